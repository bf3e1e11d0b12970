"""ResNets and MobileNets of keras.applications as MXNet's `resnet*_v1` and `mobilenet*`.

Sources: keras.applications' resnet.py and mobilenet.py for the layers' names, eps and input.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.folded_layers import fold_norm, fold_pixels, mobilenet_layers

# LAYER/LAYER/kernel:0, below model_weights in the file of a whole model.
_DATA_SET = re.compile(
    r"(?:model_weights/)?([^/]+)/(?:.*/)?[^/]*?(depthwise_kernel|kernel|bias|gamma|beta|moving_mean|moving_variance)[^/]*"
)
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_MOBILENET = ["conv1", *(f"conv_{kind}_{i}" for i in range(1, 14) for kind in ("dw", "pw"))]

_RESNET_MEAN = (123.68, 116.779, 103.939)  # RGB; its pixels are BGR
_RESNET_EPS, _MOBILENET_EPS = 1.001e-5, 1e-3
_HALF = (127.5,) * 3  # a MobileNet takes pixels in -1..1


def _layers(arrays: dict) -> dict:
    """{LAYER.PART: array} from {name of the data set: array}."""
    found = ((_DATA_SET.fullmatch(name), array) for name, array in arrays.items())
    return {f"{m[1]}.{m[2].removeprefix('depthwise_')}": array for m, array in found if m}


def _backbone(source: CheckedArrays, layers: dict, wanted: Collection[str], eps: float, **pixels: Any) -> dict:
    """{attribute path: float32 array}.

    Args:
        source: the file's arrays, LAYER.PART.
        layers: {attribute path of a convolution: Keras's names of it and of the BatchNorm behind it}, the first layer first.
        wanted: the paths of the backbone's parameters.
        eps: of the BatchNorms.
        pixels: mean, std and bgr of the input: see `fold_pixels`.
    """
    backbone: dict[str, np.ndarray] = {}
    for path, (conv, norm) in layers.items():
        weight = _kernel(source, conv, 3 if not backbone else None)
        width = (len(weight),)
        bias = source.take(f"{conv}.bias", width) if f"{conv}.bias" in source else np.zeros(width)
        if not backbone:
            weight, shift = fold_pixels(weight, **pixels)
            bias = bias + shift
        backbone[f"{path}.weight"] = weight
        backbone.update(fold_norm(path, [source.take(f"{norm}.{part}", width) for part in _NORM], eps, bias))
        if f"{path}.bias" in wanted:
            backbone[f"{path}.bias"] = np.zeros(width, np.float32)  # it is in the BatchNorm's mean
    return backbone


def _kernel(source: CheckedArrays, conv: str, inputs: int | None) -> np.ndarray:
    """The weight (out, in, H, W) of a convolution; `inputs` None is any number of them."""
    name = f"{conv}.kernel"
    shape = source.shape(name)
    if name in source and (len(shape) != 4 or inputs not in (None, shape[2])):
        raise source.error(f"{name!r} is {shape}; expected (rows, columns, {inputs or 'inputs'}, outputs)")
    # A depthwise kernel is (rows, columns, channels, 1).
    return source.take(name, shape, pick=lambda kernel: kernel.transpose((2, 3, 0, 1) if "_dw_" in conv else (3, 2, 0, 1)))


def _is_resnet(arrays: dict) -> bool:
    return {"conv1_conv.kernel", "conv1_bn.gamma", "conv2_block1_1_conv.kernel"} <= _layers(arrays).keys()


def _resnet(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    layers = _layers(arrays)
    theirs = _blocks(r"conv([2-5])_block(\d+)_1_conv\.kernel", layers)
    if not {"features.0.weight", "features.4.0.body.6.weight"} <= set(wanted):
        raise WeightsError(
            f"{path}: Keras's ResNet, for backbones resnet50_v1, resnet101_v1 and resnet152_v1; this backbone begins with "
            f"{next(iter(wanted))!r}"
        )
    ours = _blocks(r"features\.([4-7])\.(\d+)\.body\.0\.weight", wanted)
    if any(a != b for a, b in zip(theirs, ours) if b):
        raise WeightsError(f"{path}: Keras's ResNet has {theirs} blocks, this backbone {ours}")
    convolutions = (name.removesuffix(".weight") for name in wanted if name.endswith(".weight"))
    names = {conv: _resnet_name(conv) for conv in convolutions}
    pairs = {conv: (f"{name}_conv", f"{name}_bn") for conv, name in names.items()}
    source = CheckedArrays(path, layers, f"Keras's ResNet of {theirs} blocks")
    return _backbone(source, pairs, wanted, _RESNET_EPS, mean=_RESNET_MEAN, bgr=True)


def _blocks(pattern: str, names: Collection[str]) -> tuple[int, ...]:
    """Number of blocks in each of four stages. The pattern's groups are the stage and the block."""
    stages = [m[1] for m in (re.fullmatch(pattern, name) for name in names) if m]
    return tuple(stages.count(stage) for stage in sorted(set(stages)))


def _resnet_name(conv: str) -> str:
    """Keras's name, without `_conv`, of the convolution with an attribute path such as `features.4.0.body.3`."""
    block = re.fullmatch(r"features\.(\d)\.(\d+)\.(body|downsample)\.(\d)", conv)
    if not block:
        return "conv1"
    number = 0 if block[3] == "downsample" else int(block[4]) // 3 + 1
    return f"conv{int(block[1]) - 2}_block{int(block[2]) + 1}_{number}"


def _is_mobilenet(arrays: dict) -> bool:
    return {"conv1.kernel", "conv_dw_1.kernel", "conv_pw_13.kernel"} <= _layers(arrays).keys()


def _mobilenet(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    convolutions = mobilenet_layers(wanted)
    if convolutions is None:
        raise WeightsError(
            f"{path}: Keras's MobileNet, for backbones mobilenet*; this backbone begins with {next(iter(wanted))!r}"
        )
    pairs = {conv: (name, f"{name}_bn") for conv, name in zip(convolutions, _MOBILENET)}
    source = CheckedArrays(path, _layers(arrays), "Keras's MobileNet")
    return _backbone(source, pairs, wanted, _MOBILENET_EPS, mean=_HALF, std=_HALF)


RESNET = BackboneImporter("Keras's ResNets", _is_resnet, _resnet)
MOBILENET = BackboneImporter("Keras's MobileNets", _is_mobilenet, _mobilenet)
