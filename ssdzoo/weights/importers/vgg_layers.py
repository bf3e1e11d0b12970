"""The layers of the VGG-16 SSDs by attribute path, and how they are filled from a file with other names."""

from collections.abc import Sequence

import numpy as np

from ssdzoo.nn.vgg_spec import DILATED_CHANNELS, extra_spec, extra_stages, vgg_spec
from ssdzoo.weights.importers.checked_arrays import CheckedArrays

# (stage, number in the stage) of conv1_1 to conv5_3, both from 1.
CONVOLUTIONS = [(stage, i) for stage, count in enumerate(vgg_spec[16][0], 1) for i in range(1, count + 1)]

# Where they stand in the list of layers that torchvision, MXNet and ssd.pytorch keep: a ReLU follows each, a pooling each stage.
LIST_POSITIONS = [2 * n + stage - 1 for n, (stage, _) in enumerate(CONVOLUTIONS)]


def backbone_layers() -> dict:
    """{attribute path: shape of the weight} of the 15 convolutions from conv1_1 to conv7, in order."""
    layers, channels, widths = {}, 3, vgg_spec[16][1]
    for stage, i in CONVOLUTIONS:
        layers[f"stages.{stage - 1}.{2 * i - 2}"] = (widths[stage - 1], channels, 3, 3)
        channels = widths[stage - 1]
    layers["stages.5.0"] = (DILATED_CHANNELS, channels, 3, 3)
    return {**layers, "stages.5.2": (DILATED_CHANNELS, DILATED_CHANNELS, 1, 1)}


def extra_layers(size: int, last_kernel: int | None = None) -> dict:
    """{attribute path: shape of the weight} of the convolutions after conv7 for inputs of `size` (300, 512), in order; see
    `extra_stages`."""
    layers, channels = {}, DILATED_CHANNELS
    for stage, convolutions in enumerate(extra_stages(size, last_kernel)):
        for i, (width, kernel, _, _) in enumerate(convolutions):
            layers[f"extras.{stage}.{2 * i}"] = (width, channels, kernel, kernel)
            channels = width
    return layers


def map_channels(size: int) -> list:
    """Channels of the feature maps, finest first."""
    return [vgg_spec[16][1][3], DILATED_CHANNELS] + [stage[-1][0] for stage in extra_spec[size]]


def take_layers(source: CheckedArrays, layers: dict, names: list, parts: tuple[str, str] = (".weight", ".bias")) -> dict:
    """{attribute path: array}: weight and bias of each layer under the file's `names`.

    Args:
        source: the file's arrays.
        layers: {attribute path: shape of the weight}, see `backbone_layers`.
        names: the file's names of these layers, in the same order.
        parts: what the file appends to them for weight and bias.
    """
    arrays = {}
    for (path, shape), name in zip(layers.items(), names, strict=True):
        arrays[f"{path}.weight"] = source.take(name + parts[0], shape)
        arrays[f"{path}.bias"] = source.take(name + parts[1], shape[:1])
    return arrays


def take_ssd(source: CheckedArrays, size: int, backbone: list, extras: list, norm: np.ndarray, class_heads: list, box_heads: list,
             ratios: Sequence, last_kernel: int | None = None) -> dict:  # fmt: skip
    """{attribute path: float32 array} of a VGG-16 SSD that takes pixels 0..255 less their mean: every parameter but the anchors.

    Args:
        source: the file's arrays, convolutions as NAME.weight (out, in, H, W) and NAME.bias.
        size: 300 or 512.
        backbone, extras, class_heads, box_heads: the file's names of the layers, in order. The channels of a head go anchor by
            anchor, as in Caffe.
        norm: (512,) scale of conv4_3's normalization.
        ratios: of the preset; a grid cell has one anchor more than ratios.
        last_kernel: see `extra_stages`.
    """
    layers = {**backbone_layers(), **extra_layers(size, last_kernel)}
    arrays = {f"features.{path}": array for path, array in take_layers(source, layers, backbone + extras).items()}
    # The pixels come without a division by std, so there is nothing to undo.
    arrays["features.init_scale"] = np.ones((1, 3, 1, 1), np.float32)
    arrays["features.norm4.scale"] = norm.reshape(1, 512, 1, 1)
    for i, (channels, ratio, classes, boxes) in enumerate(zip(map_channels(size), ratios, class_heads, box_heads, strict=True)):
        arrays.update(take_heads(source, i, classes, boxes, (channels, 3, 3), len(ratio) + 1))
    return arrays


def take_heads(source: CheckedArrays, index: int, classes: str, boxes: str, kernel: tuple, anchors: int) -> dict:
    """{attribute path: float32 array} of the two heads of a feature map; that of the classes may have any number of outputs.

    Args:
        source: the file's arrays.
        index: of the feature map.
        classes, boxes: the file's names of the heads.
        kernel: (in, H, W) of both.
        anchors: in a grid cell.
    """
    arrays = {}
    for ours, name, rows in (("class", classes, 0), ("box", boxes, 4 * anchors)):
        for part, shape in (("weight", (rows, *kernel)), ("bias", (rows,))):
            arrays[f"{ours}_predictors.{index}.predictor.{part}"] = source.take(f"{name}.{part}", shape, rows=not rows)
    return arrays


def count_slots(source: CheckedArrays, arrays: dict, ratios: Sequence) -> int:
    """Outputs per anchor of the class heads, with the background.

    Args:
        source: names the file in the error.
        arrays: of `take_ssd`.
        ratios: of the preset.

    Raises:
        WeightsError: the heads of the feature maps differ, or their outputs do not divide by their anchors.
    """
    slots = set()
    for i, ratio in enumerate(ratios):
        rows = {len(arrays[f"class_predictors.{i}.predictor.{part}"]) for part in ("weight", "bias")}
        slots |= {row / (len(ratio) + 1) for row in rows}
    if len(slots) > 1 or min(slots) < 2 or min(slots) % 1:
        raise source.error(f"its class heads have {sorted(slots)} outputs per anchor")
    return int(slots.pop())
