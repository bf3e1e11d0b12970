"""ImageNet's VGG-16 as the backbone of the VGG SSDs, from the layouts of torchvision, MXNet, Keras and ssd.pytorch.

fc6 and fc7 become conv6 and conv7: every fourth channel of both, and every third row and column of fc6's kernel. That is why
conv6 is dilated. Source: Liu et al. 2016, section 3.1, after Chen et al. 2015.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.imported_detector import CAFFE_MEAN
from ssdzoo.weights.importers.vgg_layers import CONVOLUTIONS, LIST_POSITIONS, backbone_layers, take_layers

_FEATURES = {f"features.{i}.{part}" for i in LIST_POSITIONS for part in ("weight", "bias")}

_Color = Sequence[float] | np.ndarray  # three numbers, in the order RGB

# The backbone's first convolution takes pixels 0..255, RGB, less ImageNet's mean: `init_scale` has undone the division by std.
_OUR_MEAN = 255 * np.array(IMAGENET_MEAN)
_KERAS_MEAN = (123.68, 116.779, 103.939)  # in the order RGB; its pixels are BGR

_VGG_PATH = "stages.5.0.weight"  # a parameter that a VGG backbone has, and no other

_KERAS_CONVOLUTIONS = [f"block{stage}_conv{i}" for stage, i in CONVOLUTIONS]


def sample_fc6(weight: np.ndarray) -> np.ndarray:
    """conv6's kernels (1024, 512, 3, 3) from fc6's weights (4096, 512, 7, 7): outputs, channels, rows, columns."""
    return weight[::4, :, ::3, ::3]


def sample_fc7(weight: np.ndarray) -> np.ndarray:
    """conv7's kernels (1024, 1024, 1, 1) from fc7's weights (4096, 4096): outputs, inputs."""
    return weight[::4, ::4, None, None]


def fold_input(weight: np.ndarray, bias: np.ndarray, mean: _Color, std: _Color = (1, 1, 1),
               bgr: bool = False) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """conv1_1 for pixels 0..255, RGB, less ImageNet's mean, from one for (pixel - mean) / std.

    Args:
        weight: (64, 3, 3, 3): outputs, channels, rows, columns.
        bias: (64,).
        mean, std: of the pixels that it was trained with, 0..255, in the order RGB.
        bgr: its input channels are in the order BGR.

    Returns:
        Weight (64, 3, 3, 3) and bias (64,), float32. The division by std and the order of channels are exact. Another mean is
        exact except at the outermost pixels, where the kernel covers padding: zeros there stand for one mean and not the other.
    """
    weight = (weight[:, ::-1] if bgr else weight) / np.reshape(std, (1, 3, 1, 1))
    bias = bias + np.einsum("ocij,c->o", weight, _OUR_MEAN - mean)
    return weight.astype(np.float32), bias.astype(np.float32)


def is_vgg16(names: Collection[str]) -> bool:
    """Whether these are the names in a file that `vgg16_backbone` reads."""
    return _layout(names) is not None


def _layout(names: Collection[str]) -> str | None:
    """Whose VGG-16 these names are of: a key of `found`; else None."""
    found = {
        "torchvision's features": set(names) == _FEATURES,
        "torchvision": "classifier.0.weight" in names and "features.0.weight" in names,
        "MXNet": "features.31.weight" in names and "output.weight" in names,
        "MXNet's flat names": any(re.fullmatch(r"vgg\d+_conv0_weight", name) for name in names),
        "ssd.pytorch": "31.weight" in names and "33.weight" in names,
        "Keras": any("block1_conv1" in name for name in names),
    }
    return next((layout for layout, fits in found.items() if fits), None)


def vgg16_backbone(path: str | Path, arrays: dict) -> dict:
    """{attribute path: float32 array} of conv1_1 to conv7, for the `features` of a VGG SSD.

    Args:
        path: the file that `arrays` came from.
        arrays: by name: torchvision's `vgg16` (IMAGENET1K_V1); MXNet's `vgg16` by attribute path or flat name; Keras's
            `VGG16` with its data sets' names; ssd.pytorch's `vgg16_reducedfc.pth`, where fc6 and fc7 are already sampled; or
            torchvision's `vgg16_features-amdegroot` (IMAGENET1K_FEATURES), without a classifier or with NaN in its place: conv6
            and conv7 are noise then, as in a network without weights.

    Raises:
        WeightsError: another network (with batch norm, or of 11, 13, 19 layers), or an incomplete one.
    """
    layout, listed = _layout(arrays), [*LIST_POSITIONS, 31, 33]
    if layout == "torchvision":
        if np.isnan(arrays.get("classifier.0.bias", 0)).all():
            return _from_features(CheckedArrays(path, arrays, "torchvision vgg16 features"))
        names = [f"features.{i}" for i in LIST_POSITIONS] + ["classifier.0", "classifier.3"]
        return _from_dense(CheckedArrays(path, arrays, "torchvision vgg16"), names)
    if layout == "torchvision's features":
        return _from_features(CheckedArrays(path, arrays, "torchvision vgg16 features"))
    if layout == "MXNet":
        return _from_dense(CheckedArrays(path, arrays, "MXNet vgg16"), [f"features.{i}" for i in listed])
    if layout == "MXNet's flat names":
        flat = {re.sub(r"^vgg\d+_", "vgg_", name): array for name, array in arrays.items()}
        names = [f"vgg_conv{i}" for i in range(13)] + ["vgg_dense0", "vgg_dense1"]
        return _from_dense(CheckedArrays(path, flat, "MXNet vgg16"), names, ("_weight", "_bias"))
    if layout == "ssd.pytorch":
        source = CheckedArrays(path, arrays, "ssd.pytorch vgg16_reducedfc")
        return _folded(take_layers(source, backbone_layers(), [f"{i}" for i in listed]), CAFFE_MEAN)
    if layout == "Keras":
        return _from_keras(path, arrays)
    raise WeightsError(f"{path}: no VGG-16 of torchvision, MXNet or Keras: its first array is {next(iter(arrays))!r}")


def _folded(backbone: dict, mean: _Color, std: _Color = (1, 1, 1), bgr: bool = False) -> dict:
    weight, bias = fold_input(backbone["stages.0.0.weight"], backbone["stages.0.0.bias"], mean, std, bgr)
    return {**backbone, "stages.0.0.weight": weight, "stages.0.0.bias": bias}


def _from_features(source: CheckedArrays) -> dict:
    """Without fc6 and fc7. torchvision gives it pixels with Caffe's mean and a std of 1/255, as ssd.pytorch does."""
    layers, random = backbone_layers(), np.random.default_rng(0)
    backbone = take_layers(source, {path: layers[path] for path in list(layers)[:13]}, [f"features.{i}" for i in LIST_POSITIONS])
    for path in ("stages.5.0", "stages.5.2"):
        outputs, _, *kernel = layers[path]
        deviation = (2 / (outputs * np.prod(kernel))) ** 0.5  # He et al. 2015, of the outputs, as in a network without weights
        backbone[f"{path}.weight"] = random.standard_normal(layers[path], np.float32) * np.float32(deviation)
        backbone[f"{path}.bias"] = np.zeros(outputs, np.float32)
    return _folded(backbone, CAFFE_MEAN)


def _from_dense(source: CheckedArrays, names: list, parts: tuple[str, str] = (".weight", ".bias")) -> dict:
    layers = backbone_layers()
    convolutions = {path: layers[path] for path in list(layers)[:13]}
    backbone = take_layers(source, convolutions, names[:13], parts)
    backbone.update(take_dense(source, ("stages.5.0", "stages.5.2"), names[13:], parts))
    return _folded(backbone, _OUR_MEAN, 255 * np.array(IMAGENET_STD))


def take_dense(source: CheckedArrays, paths: Sequence[str], names: Sequence[str], parts: tuple[str, str]) -> dict:
    """{attribute path: float32 array} of conv6 and conv7 from fc6 (4096, 25088) and fc7 (4096, 4096).

    Args:
        source: the file's arrays.
        paths: attribute paths of conv6 and conv7.
        names: the file's names of fc6 and fc7.
        parts: what the file appends to them for weight and bias.
    """
    arrays = {}
    picks = ((25088, lambda w: sample_fc6(w.reshape(4096, 512, 7, 7))), (4096, sample_fc7))
    for path, name, (inputs, pick) in zip(paths, names, picks, strict=True):
        arrays[f"{path}.weight"] = source.take(name + parts[0], (4096, inputs), pick=pick)
        arrays[f"{path}.bias"] = source.take(name + parts[1], (4096,), pick=lambda b: b[::4])
    return arrays


def fold_imagenet(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`fold_input` of a convolution for pixels that are normalized by ImageNet's mean and std."""
    return fold_input(weight, bias, _OUR_MEAN, 255 * np.array(IMAGENET_STD))


def _from_keras(path: str | Path, arrays: dict) -> dict:
    """Kernels are (rows, columns, inputs, outputs), fc1's inputs (7 rows, 7 columns, 512 channels)."""
    named = {}
    for name, array in arrays.items():
        layer = next((part for part in name.split("/") if part in keras_layers()), None)
        if layer:
            named[f"{layer}.{'kernel' if np.ndim(array) > 1 else 'bias'}"] = array
    source = CheckedArrays(path, named, "Keras VGG16")
    dense = {
        "fc1": ((25088, 4096), lambda w: sample_fc6(w.reshape(7, 7, 512, 4096).transpose(3, 2, 0, 1))),
        "fc2": ((4096, 4096), lambda w: sample_fc7(w.T)),
    }
    backbone = {}
    for (ours, (outputs, inputs, *sides)), layer in zip(backbone_layers().items(), keras_layers()):
        kernel, pick = dense.get(layer, ((*sides, inputs, outputs), lambda w: w.transpose(3, 2, 0, 1)))
        bias, step = ((4096,), 4) if layer in dense else ((outputs,), 1)
        backbone[f"{ours}.weight"] = source.take(f"{layer}.kernel", kernel, pick=pick)
        backbone[f"{ours}.bias"] = source.take(f"{layer}.bias", bias, pick=lambda b, step=step: b[::step])
    return _folded(backbone, _KERAS_MEAN, bgr=True)


def keras_layers() -> list[str]:
    """Names of Keras's layers, in the order of `backbone_layers`."""
    return [*_KERAS_CONVOLUTIONS, "fc1", "fc2"]


def _backbone(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    if _VGG_PATH not in wanted:
        if (_layout(arrays) or "").startswith("MXNet"):
            return arrays  # for MXNet's own VGG-16 as a backbone
        raise WeightsError(f"{path}: a VGG-16, for ssd_*_vgg16_atrous models; this backbone begins with {next(iter(wanted))!r}")
    if set(wanted) != {f"{layer}.{part}" for layer in backbone_layers() for part in ("weight", "bias")}:
        raise WeightsError(f"{path}: a VGG-16 without batch norm; this backbone is another VGG")
    return vgg16_backbone(path, arrays)


IMPORTER = BackboneImporter("VGG-16", is_vgg16, _backbone)
