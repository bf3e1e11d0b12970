"""torchvision's ResNets as backbones.

GluonCV's v1b ResNets are the same networks. MXNet's v1 ones are the same with 18 and 34 layers only.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.zoo import find_preset, list_models

_BLOCKS: dict[tuple[int, ...], int] = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
_NORM = {"gamma": "weight", "beta": "bias"}


def is_resnet(names: Collection[str]) -> bool:
    """Whether these are names in a state dict of torchvision's ResNets. GluonCV's own files have a `bn1.gamma` instead."""
    return "layer1.0.conv1.weight" in names and "bn1.weight" in names


def _blocks(names: Collection[str]) -> tuple[int, ...]:
    """Number of blocks in each of the four stages, from names such as `layer1.0.conv1.weight` or `features.4.0.body.0.weight`."""
    matches = (re.match(r"(?:layer([1-4])|features\.([4-7]))\.(\d+)\.", name) for name in names)
    blocks = {(int(m[1] or int(m[2]) - 3), m[3]) for m in matches if m}
    return tuple(sum(stage == i for stage, _ in blocks) for i in range(1, 5))


def _depth(names: Collection[str]) -> int | None:
    """18, 34, 50, 101 or 152 from torchvision's names; None for a ResNet that is none of these."""
    depth = _BLOCKS.get(_blocks(names))
    bottleneck = "layer1.0.conv3.weight" in names
    if bottleneck and depth == 34:
        return 50
    return depth if bottleneck == ((depth or 0) > 34) else None


def resnet_backbone(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    """{attribute path: float32 array} for a backbone with the parameter paths `wanted`.

    Args:
        path: the file that `arrays` came from.
        arrays: torchvision's state dict.
        wanted: paths of GluonCV's v1b ResNets (`layer1.0.conv1.weight`) or of MXNet's v1 ones (`features.4.0.body.0.weight`).

    Raises:
        WeightsError: not the same network. The message says why, and which models the file fits.
    """
    depth = _depth(arrays)
    if "layer1.0.conv1.weight" in wanted:
        rename = {n: n for n in wanted}
    elif "features.4.0.body.0.weight" in wanted and "features.4.0.body.6.weight" not in wanted:
        rename = {n: _v1_name(n) for n in wanted}
    else:
        why = "torchvision's bottlenecks have their stride in the 3x3 convolution and no biases, the v1 ones have it in the 1x1"
        if "features.4.0.body.0.weight" not in wanted:
            why = "this backbone is no ResNet of version 1 or 1b"
        raise _unfit(path, depth, why)
    if "layer1.0.conv3.weight" in arrays and "layer1.0.conv3.weight" not in wanted:
        raise _unfit(path, depth, "its blocks are bottlenecks, this backbone's are not")
    theirs, ours = _blocks(arrays), _blocks(wanted)
    if depth is None or any(a != b for a, b in zip(theirs, ours) if b):
        raise _unfit(path, depth, f"it has {theirs} blocks, this backbone {ours}")
    source = CheckedArrays(path, arrays, f"torchvision ResNet-{depth}")
    backbone = {}
    for target, name in rename.items():
        layer, part = name.rsplit(".", 1)
        name = f"{layer}.{_NORM.get(part, part)}"
        backbone[target] = source.take(name, np.shape(arrays.get(name, ())))
    return backbone


def _v1_name(name: str) -> str:
    """torchvision's name, but for the part behind the last dot, of a parameter of MXNet's `resnet18_v1`."""
    head, part = name.rsplit(".", 1)
    block = re.fullmatch(r"features\.(\d)\.(\d+)\.(body|downsample)\.(\d)", head)
    if block:
        stage, index, side, layer = int(block[1]) - 3, block[2], block[3], int(block[4])
        inner = f"downsample.{layer}" if side == "downsample" else {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2"}[layer]
        return f"layer{stage}.{index}.{inner}.{part}"
    return f"{ {'features.0': 'conv1', 'features.1': 'bn1', 'output': 'fc'}[head] }.{part}"


def _unfit(path: str | Path, depth: int | None, why: str) -> WeightsError:
    """The error for a file of this depth; it says which backbones and models the file fits."""
    fits = "there are backbones for ResNet-18, ResNet-34 and ResNet-50"
    if depth is not None:
        backbones = [f"resnet{depth}_v1b", f"resnet{depth}_v1b_fpn"] + [f"resnet{depth}_v1"] * (depth < 50)
        models = [name for name in list_models("*_custom") if find_preset(name).backbone in backbones]
        others = f"{backbones[0]}, which no preset has; ResNet-18, -34 and -50 have one"
        fits = f"it fits {', '.join(models) or others}"
    return WeightsError(f"{path}: torchvision ResNet-{depth or '?'} does not fit: {why}; {fits}")


IMPORTER = BackboneImporter("torchvision's ResNets", is_resnet, resnet_backbone)
