"""Weights of a backbone from any file that `pretrained_base=` and `base_weights=` accept. No mxnet here."""

from collections.abc import Collection
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_hdf5, read_tensors
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.network_params import read_network_params
from ssdzoo.weights.importers.torchvision_fpn import body_names, is_fpn, pyramid
from ssdzoo.weights.importers.torchvision_resnet import is_resnet, resnet_backbone
from ssdzoo.weights.importers.vgg16 import is_vgg16, keras_layers, vgg16_backbone
from ssdzoo.weights.importers.vgg_layers import backbone_layers

_VGG_PATH = "stages.5.0.weight"  # a parameter that a VGG backbone has, and no other


def read_backbone(path: str | Path, wanted: Collection[str]) -> dict:
    """{name: array} of a file with a classifier's weights, under the names of a backbone's parameters.

    Args:
        path: `.params` (MXNet's, GluonCV's), `.pth` or `.safetensors` (torchvision's VGG-16, ResNets and detectors on
            ResNet-FPN, ssd.pytorch's `vgg16_reducedfc`), `.h5` (Keras's VGG16).
        wanted: attribute paths of the backbone's parameters. A `.params` file keeps its own names, unless it is a VGG-16
            classifier for a VGG backbone.

    Raises:
        WeightsError: unreadable, or of another network than the backbone.
    """
    kind = file_kind(path)
    if kind == "caffe":
        raise WeightsError(f"{path}: convert it first (ssdzoo convert), then start from the new file with weights=")
    if kind == "keras":
        arrays = read_hdf5(path, lambda name: any(layer in name.split("/") for layer in keras_layers()))
        if not arrays:
            raise WeightsError(f"{path}: no layers of Keras's VGG16 in it (block1_conv1 to fc2)")
    elif kind in ("torch", "safetensors"):
        arrays = read_tensors(path)
    else:
        arrays = read_network_params(path)
        if _VGG_PATH not in wanted or not is_vgg16(arrays):
            return arrays
    if is_fpn(arrays):
        arrays = body_names(arrays)
    if is_resnet(arrays):
        return resnet_backbone(path, arrays, wanted)
    if not is_vgg16(arrays):
        raise WeightsError(f"{path}: neither a VGG-16 nor a ResNet: its first array is {next(iter(arrays))!r}")
    if _VGG_PATH not in wanted:
        raise WeightsError(f"{path}: a VGG-16, for ssd_*_vgg16_atrous models; this backbone begins with {next(iter(wanted))!r}")
    if set(wanted) != {f"{layer}.{part}" for layer in backbone_layers() for part in ("weight", "bias")}:
        raise WeightsError(f"{path}: a VGG-16 without batch norm; this backbone is another VGG")
    return vgg16_backbone(path, arrays)


def read_pyramid(path: str | Path, wanted: dict) -> dict:
    """{name: array} of the feature pyramid in a file of torchvision's; empty for a file without one.

    Args:
        path: see `read_backbone`.
        wanted: {attribute path: shape} of the convolutions of a `ResNetFPN`.

    Raises:
        WeightsError: a pyramid over other stages, or with other channels.
    """
    arrays = read_tensors(path) if file_kind(path) in ("torch", "safetensors") else {}
    return pyramid(path, arrays, wanted) if is_fpn(arrays) else {}
