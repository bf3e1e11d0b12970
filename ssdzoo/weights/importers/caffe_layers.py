"""What Caffe's layers compute from sizes alone: feature maps, and prior boxes.

Sources: `compute_output_shape` of base_conv_layer.cpp, pooling_layer.cpp of BVLC's Caffe; prior_box_layer.cpp of weiliu89's.
"""

import math
from typing import Any

import numpy as np

_MOST = 4096  # of a size, a kernel or a stride
_MAX_BOXES = 64  # per grid cell


def layers_of(net: dict) -> list[dict]:
    """[{"name", "type", "bottom" and "top" lists, "parameters"}] of a network that `read_prototxt` read."""
    found = []
    for layer in net.get("layer", ()):
        if isinstance(layer, dict):
            kind = _text(layer, "type")
            parameters: Any = next((v[0] for k, v in layer.items() if k.endswith("_param") and _is_own(k, kind)), {})
            found.append({
                "name": _text(layer, "name"), "type": kind, "bottom": layer.get("bottom", []), "top": layer.get("top", []),
                "parameters": parameters if isinstance(parameters, dict) else {},
            })  # fmt: skip
    return found


def _is_own(field: str, kind: str) -> bool:
    """Whether `prior_box_param` are the parameters of a PriorBox, and so on."""
    return field.removesuffix("_param").replace("_", "") == kind.lower()


def _text(message: dict, field: str, default: str = "") -> str:
    value = message.get(field, [default])[0]
    return value if isinstance(value, str) else default


def _floats(message: dict, field: str) -> list[float]:
    values = [float(value) if isinstance(value, str) else math.nan for value in message.get(field, [])]
    if not all(abs(value) <= 1e6 for value in values):
        raise ValueError(f"{field} is not a number that a layer can have")
    return values


def _integer(message: dict, fields: str, default: int, minimum: int) -> int:
    """A number that has one of several names."""
    found = next((values[0] for field in fields.split() if (values := _floats(message, field))), default)
    if not minimum <= found <= _MOST or found != int(found):
        raise ValueError(f"{fields.split()[0]} is {found:g}; expected {minimum} to {_MOST}")
    return int(found)


def map_sizes(layers: list[dict], size: int) -> dict[str, int]:
    """{name of a value: rows of its feature map} of a square input `data` of `size` rows, in the order of the layers.

    Raises:
        ValueError: impossible parameters, or a feature map without rows.
    """
    sizes = {"data": size}
    for layer in layers:
        bottom = layer["bottom"][0] if layer["bottom"] else None
        if not isinstance(bottom, str) or bottom not in sizes:
            continue
        rows = _rows(layer, sizes[bottom])
        if rows < 1:
            raise ValueError(f"layer {layer['name']!r} makes a feature map without rows of one with {sizes[bottom]}")
        sizes.update({top: rows for top in layer["top"] if isinstance(top, str)})
    return sizes


def _rows(layer: dict, rows: int) -> int:
    kind, of = layer["type"], layer["parameters"]
    if kind not in ("Convolution", "Pooling"):
        return rows
    if _text(of, "global_pooling") == "true":
        return 1
    kernel, stride = _integer(of, "kernel_size kernel_h", 1, 1), _integer(of, "stride stride_h", 1, 1)
    pad, dilation = _integer(of, "pad pad_h", 0, 0), _integer(of, "dilation", 1, 1)
    if kind == "Convolution":
        return (rows + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    out = -((kernel - rows - 2 * pad) // stride) + 1  # rounded up
    return out - (pad > 0 and (out - 1) * stride >= rows + pad)


def prior_boxes(layer: dict, cells: int, size: int) -> tuple[np.ndarray, list[float]]:
    """The boxes of a PriorBox layer (cells, cells, A, 4), xyxy float64 in 0..1, and its four variances.

    Args:
        cells: along a side of its feature map.
        size: of the square input, in pixels.

    Raises:
        ValueError: impossible parameters.
    """
    of = layer["parameters"]
    smaller, larger = _floats(of, "min_size"), _floats(of, "max_size")
    ratios: list[float] = []
    for ratio in _floats(of, "aspect_ratio"):
        ratios += [r for r in ([ratio, 1 / ratio] if ratio > 0 and _flag(of, "flip", True) else [ratio]) if r != 1]
    if not smaller or len(larger) not in (0, len(smaller)) or min([*smaller, *larger, *ratios]) <= 0 or len(ratios) > _MAX_BOXES:
        raise ValueError(f"layer {layer['name']!r} has impossible sizes or ratios")
    sides = []
    for i, low in enumerate(smaller):
        sides += [(low, low), *([(math.sqrt(low * larger[i]),) * 2] if larger else [])]
        sides += [(low * math.sqrt(ratio), low / math.sqrt(ratio)) for ratio in dict.fromkeys(ratios)]
    if len(sides) > _MAX_BOXES:
        raise ValueError(f"layer {layer['name']!r} has {len(sides)} boxes per grid cell; at most {_MAX_BOXES} are read")
    step = next(iter(_floats(of, "step") or _floats(of, "step_h")), 0) or size / cells
    centers = (np.arange(cells) + next(iter(_floats(of, "offset")), 0.5)) * step
    half = np.array(sides) / 2
    boxes = np.empty((cells, cells, len(sides), 4))
    for axis, middle in ((0, centers[None, :, None]), (1, centers[:, None, None])):
        boxes[..., axis], boxes[..., axis + 2] = middle - half[:, axis], middle + half[:, axis]
    boxes /= size
    variances = _floats(of, "variance") or [0.1]
    return np.clip(boxes, 0, 1) if _flag(of, "clip", False) else boxes, variances * 4 if len(variances) == 1 else variances


def _flag(message: dict, field: str, default: bool) -> bool:
    return _text(message, field, "true" if default else "false") in ("true", "1")
