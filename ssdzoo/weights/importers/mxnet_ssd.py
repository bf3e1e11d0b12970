"""mxnet-ssd's SSD on VGG-16, which SageMaker trains too: from its graph and its parameters to GluonCV's layers.

The names of its layers are those of the project's `vgg16_reduced` and of its older `legacy_vgg16_ssd_300` and `..._512`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssdzoo.boxes import anchor_grid, center_to_corner, clip, corner_to_center, listed_shapes
from ssdzoo.errors import WeightsError
from ssdzoo.formats.graph_input import MULTI_BOX_DETECTION
from ssdzoo.formats.symbol_file import Node, SymbolGraph
from ssdzoo.nn.vgg_spec import extra_stages
from ssdzoo.preset import Preset
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.imported_detector import ImportedDetector, pick_classes, stored_anchors
from ssdzoo.weights.importers.vgg_layers import CONVOLUTIONS, count_slots, take_ssd
from ssdzoo.zoo import find_preset

_PRIORS = ("_contrib_MultiBoxPrior", "MultiBoxPrior")
_FIRST_MAPS = {300: (38, 19), 512: (64, 32)}  # H and W of relu4_3 and relu7
_VARIANCES = (0.1, 0.1, 0.2, 0.2)
# A parameter that only this backbone has, and what it is called.
_OTHERS = (
    ("DBstage", "a DenseNet"),
    ("stage3_unit23_", "a pre-activation ResNet-101"),
    ("stage1_unit1_", "a pre-activation ResNet-50"),
    ("mixed_", "an Inception-v3"),
    ("_dw", "a MobileNet"),
)


def import_mxnet_ssd(graph: SymbolGraph, arrays: dict, preset: Preset, params: str | Path) -> ImportedDetector:
    """A detector of mxnet-ssd or SageMaker as `ssd_300_vgg16_atrous_custom` or `ssd_512_vgg16_atrous_custom`, with the anchors of
    its graph.

    Args:
        graph: of its detection.
        arrays: {name: array} of its parameters, without `arg:` and `aux:`.
        preset: gives its input size, classes, mean and std.
        params: the parameter file, for errors.

    Raises:
        WeightsError: another architecture, which it names as far as it can; an input of other than 300 or 512 pixels; a parameter
            that is missing, left over or of another shape.
    """
    if not {"conv4_3_weight", "relu4_3_scale"} <= arrays.keys():
        raise WeightsError(
            f"{params}: only mxnet-ssd's SSD on VGG-16 can be converted, and this one looks like {_looks_like(arrays)}. It runs, "
            "is exported, and with engine=torch is trained further as it is"
        )
    height, width = preset.base_size
    if height != width or height not in _FIRST_MAPS:
        raise WeightsError(f"{params}: it takes {height}x{width} pixels; the VGG-16 of the zoo takes 300x300 or 512x512")
    renamed = {re.sub(r"_(weight|bias)$", r".\1", name): array for name, array in arrays.items()}
    source = CheckedArrays(params, renamed, f"mxnet-ssd's SSD{height} on VGG-16")
    backbone, extras, maps = _layers(source, height)
    last = np.shape(renamed.get(f"{extras[-1]}.weight", ()))[-1:]
    last_kernel = 3 if height == 512 and last == (3,) else None
    priors = _priors(graph, source, maps)
    sizes, ratios = zip(*(_listed(node, height) for node in priors))
    class_heads, box_heads = ([f"{name}_{what}_pred_conv" for name in maps] for what in ("cls", "loc"))
    norm = source.take("relu4_3_scale", (1, 512, 1, 1))
    counts = [of_map[1:] for of_map in ratios]  # `take_ssd` expects an anchor more than ratios
    ours = take_ssd(source, height, backbone, extras, norm, class_heads, box_heads, counts, last_kernel)
    source.finish(ignored=("fc8.weight", "fc8.bias"))  # of the classifier, which older files keep
    scale = 255 * np.array(preset.std).reshape(1, 3, 1, 1)  # of the pixels, which the network undoes
    ours["features.init_scale"] = scale.astype(np.float32)
    ours["features.stages.0.0.weight"] = (ours["features.stages.0.0.weight"] / scale).astype(np.float32)
    anchors, steps = _anchors(priors, sizes, ratios, _map_sizes(height, last_kernel), height)
    ours.update(stored_anchors(anchors, steps))
    count = count_slots(source, ours, counts) - 1
    limits, notes = _limits(graph, source)
    table = replace(
        find_preset(f"ssd_{height}_vgg16_atrous_custom"), sizes=sizes, ratios=ratios, steps=tuple(steps), mean=preset.mean,
        std=preset.std, last_kernel=last_kernel, **limits,
    )  # fmt: skip
    return ImportedDetector(ours, pick_classes(source, count, table, list(preset.classes or ())), source.origin, notes)


def _looks_like(arrays: dict) -> str:
    found = next((name for part, name in _OTHERS if any(part in array for array in arrays)), None)
    return found or f"none of its networks: its first parameter is {next(iter(arrays), None)!r}"


def _layers(source: CheckedArrays, size: int) -> tuple[list, list, list]:
    """Names of the backbone's convolutions, of the appended ones, and of the feature maps."""
    stages = range(len(extra_stages(size)))
    backbone = [f"conv{stage}_{i}" for stage, i in CONVOLUTIONS]
    if "multi_feat_2_conv_1x1_conv.weight" in source:
        extras = [f"multi_feat_{i + 2}_conv_{kernel}_conv" for i in stages for kernel in ("1x1", "3x3")]
        return [*backbone, "fc6", "fc7"], extras, ["relu4_3", "relu7", *(f"multi_feat_{i + 2}_conv_3x3_relu" for i in stages)]
    extras = [f"conv{i + 8}_{j}" for i in stages for j in (1, 2)]
    return [*backbone, "conv6", "conv7"], extras, ["relu4_3", "relu7", *(f"relu{i + 8}_2" for i in stages)]


def _priors(graph: SymbolGraph, source: CheckedArrays, maps: list) -> list[Node]:
    """The node that computes the anchors of each feature map."""
    found = {node.name: node for node in graph.nodes if node.op in _PRIORS}
    missing = [name for name in maps if f"{name}_anchors" not in found]
    if missing or len(found) != len(maps):
        raise source.error(f"its graph computes anchors in {len(found)} nodes; expected {len(maps)}, such as {maps[0]}_anchors")
    return [found[f"{name}_anchors"] for name in maps]


def _listed(node: Node, side: int) -> tuple[tuple, tuple]:
    """Sizes in pixels and ratios, one by one, of the anchors at a grid cell: each size with the first ratio, then the first size
    with each other ratio."""
    sizes, ratios = node.numbers("sizes", (1.0,)), node.numbers("ratios", (1.0,))
    listed = [*sizes, *[sizes[0]] * (len(ratios) - 1)]
    return tuple(float(size * side) for size in listed), tuple(float(r) for r in [ratios[0]] * len(sizes) + ratios[1:])


def _map_sizes(side: int, last_kernel: int | None) -> list:
    """H and W of each feature map."""
    maps = list(_FIRST_MAPS[side])
    for stage in extra_stages(side, last_kernel):
        cells = maps[-1]
        for _, kernel, stride, pad in stage:
            cells = (cells + 2 * pad - kernel) // stride + 1
        maps.append(cells)
    return maps


def _anchors(priors: list, sizes: Sequence, ratios: Sequence, cells: list, side: int) -> tuple[list, list]:
    """For each feature map its anchors (H, W, A, 4), center form, pixels, and the distance of their centers in pixels."""
    maps, steps = [], []
    for node, of_size, of_ratio, count in zip(priors, sizes, ratios, cells):
        step, offset = (node.numbers(key, default) for key, default in (("steps", (-1.0, -1.0)), ("offsets", (0.5, 0.5))))
        distance = float(step[0] * side) if step[0] > 0 else side / count
        grid = anchor_grid(listed_shapes(of_size, of_ratio), (distance,) * 2, tuple(offset), (count, count))
        if node.flag("clip"):
            grid = corner_to_center(clip(center_to_corner(grid.reshape(-1, 4)), side, side)).reshape(grid.shape)
        maps.append(grid)
        steps.append(distance)
    return maps, steps


def _limits(graph: SymbolGraph, source: CheckedArrays) -> tuple[dict, tuple]:
    """The fields of the NMS, and where it differs from ours."""
    node = next(node for node in graph.nodes if node.op in MULTI_BOX_DETECTION)
    variances = node.numbers("variances", _VARIANCES)
    if not np.allclose(variances, _VARIANCES):
        raise source.error(f"its variances are {variances}; expected {list(_VARIANCES)}")
    notes = ["its detection gives an anchor the class of its highest score alone; here every class above the minimum"]
    if node.flag("force_suppress"):
        notes.append("its NMS compares the boxes of all classes; here those of one class")
    fields = {"nms_thresh": float(node.get("nms_threshold", 0.5)), "nms_topk": int(node.get("nms_topk", -1))}
    return fields, tuple(notes)
