"""ImageNet's VGGs with batch norm as the backbone of the VGG SSDs, from torchvision and MXNet.

fc6 and fc7 become conv6 and conv7 as in `ssdzoo.weights.importers.vgg16`. They have no batch norm. Here they have one, which is
an identity with the stored mean and variance; a training gives it those of its batches.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.nn.vgg_spec import DILATED_CHANNELS, vgg_spec
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.vgg16 import fold_imagenet, take_dense

_EPS = 1e-5  # of the BatchNorms here, of torchvision's and of MXNet's
_NORM = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # ours: torchvision's
_DEPTHS = {sum(counts): depth for depth, (counts, _) in vgg_spec.items()}  # by the number of convolutions


def _layout(names: Collection[str]) -> str | None:
    """Whose VGG with batch norm these names are of: "torchvision", "MXNet", "MXNet's flat names"; else None."""
    if "features.0.bias" in names and "features.1.running_mean" in names:
        return "torchvision" if "classifier.0.weight" in names else "MXNet" if "output.weight" in names else None
    return "MXNet's flat names" if any(re.fullmatch(r"vgg\d+_batchnorm0_gamma", name) for name in names) else None


def _layers(depth: int) -> list:
    """(attribute path of the convolution, of its BatchNorm, place in the file's list of layers, shape of the weight) for each."""
    layers, place, channels = [], 0, 3
    for stage, (count, width) in enumerate(zip(*vgg_spec[depth])):
        for i in range(count):
            layers.append((f"stages.{stage}.{3 * i}", f"stages.{stage}.{3 * i + 1}", place, (width, channels, 3, 3)))
            place, channels = place + 3, width
        place += 1  # the pooling
    return layers


def _backbone(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    layout = _layout(arrays) or ""
    if "stages.5.0.weight" not in wanted and layout.startswith("MXNet"):
        return arrays  # for MXNet's own VGG as a backbone
    theirs = sum(name.endswith("running_mean") for name in arrays)
    ours = sum(re.fullmatch(r"stages\.[0-4]\.\d+\.running_mean", name) is not None for name in wanted)
    if theirs != ours or ours not in _DEPTHS:
        fits = f"ssd_*_vgg{_DEPTHS[theirs]}_bn_atrous models" if theirs in _DEPTHS else "no model"
        first = next(iter(wanted))
        this = f"is VGG-{_DEPTHS[ours]} with batch norm" if ours in _DEPTHS else f"begins with {first!r}"
        raise WeightsError(f"{path}: a VGG of {theirs} convolutions with batch norm, for {fits}; this backbone {this}")
    return vgg_bn_backbone(path, arrays, _DEPTHS[ours])


def vgg_bn_backbone(path: str | Path, arrays: dict, depth: int) -> dict:
    """{attribute path: float32 array} of conv1_1 to conv7 and their batch norms, for the `features` of a VGG SSD.

    Args:
        path: the file that `arrays` came from.
        arrays: by name: torchvision's `vgg*_bn`, or MXNet's by attribute path or flat name.
        depth: 11, 13, 16 or 19.

    Raises:
        WeightsError: an array is missing, or of another shape.
    """
    layout, layers = _layout(arrays), _layers(depth)
    end = layers[-1][2] + 4  # behind the last pooling
    if layout == "MXNet's flat names":
        arrays = {re.sub(r"^vgg\d+_", "", name): array for name, array in arrays.items()}
        mark, convs, norms = "_", [f"conv{i}" for i in range(len(layers))], [f"batchnorm{i}" for i in range(len(layers))]
        dense = ["dense0", "dense1"]
    else:
        mark, convs, norms = ".", [f"features.{layer[2]}" for layer in layers], [f"features.{layer[2] + 1}" for layer in layers]
        dense = ["classifier.0", "classifier.3"] if layout == "torchvision" else [f"features.{end}", f"features.{end + 2}"]
    part_names = _NORM if layout == "torchvision" else {part: part for part in _NORM}
    source = CheckedArrays(path, arrays, f"{(layout or '').split(chr(39))[0]} vgg{depth}_bn")
    backbone = {}
    for (conv, norm, _, shape), conv_name, norm_name in zip(layers, convs, norms):
        backbone[f"{conv}.weight"] = source.take(f"{conv_name}{mark}weight", shape)
        backbone[f"{conv}.bias"] = source.take(f"{conv_name}{mark}bias", shape[:1])
        for part, name in part_names.items():
            backbone[f"{norm}.{part}"] = source.take(f"{norm_name}{mark}{name}", shape[:1])
    backbone.update(take_dense(source, ("stages.5.0", "stages.5.3"), dense, (f"{mark}weight", f"{mark}bias")))
    for norm in ("stages.5.1", "stages.5.4"):
        for part, value in {"gamma": 1, "beta": 0, "running_mean": 0, "running_var": 1 - _EPS}.items():
            backbone[f"{norm}.{part}"] = np.full(DILATED_CHANNELS, value, np.float32)
    weight, bias = fold_imagenet(backbone["stages.0.0.weight"], backbone["stages.0.0.bias"])
    return {**backbone, "stages.0.0.weight": weight, "stages.0.0.bias": bias}


IMPORTER = BackboneImporter("VGGs with batch norm", lambda arrays: _layout(arrays) is not None, _backbone)
