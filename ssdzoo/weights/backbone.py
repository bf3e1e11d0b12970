"""Weights of a backbone from any file that `pretrained_base=` and `base_weights=` accept. No mxnet here."""

from collections.abc import Callable, Collection
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_hdf5, read_tensors
from ssdzoo.formats.caffemodel import read_caffemodel
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.network_params import read_network_params
from ssdzoo.formats.onnx_initializers import read_initializers
from ssdzoo.weights.importers import (
    caffe_mobilenet,
    keras,
    torchvision_fpn,
    torchvision_mobilenet,
    torchvision_resnet,
    vgg16,
    vgg_bn,
)
from ssdzoo.weights.importers.backbone_importer import BackboneImporter

# The first one that recognizes a file's arrays reads it.
IMPORTERS: tuple[BackboneImporter, ...] = (
    torchvision_fpn.IMPORTER,
    torchvision_resnet.IMPORTER,
    torchvision_mobilenet.IMPORTER,
    vgg_bn.IMPORTER,  # before VGG-16, whose names it has too
    vgg16.IMPORTER,
    keras.RESNET,
    keras.MOBILENET,
    caffe_mobilenet.IMPORTER,
)


def _read_keras(path: str | Path) -> dict:
    return read_hdf5(path, lambda name: not name.startswith("optimizer_weights/"))


def _read_caffe(path: str | Path) -> dict:
    arrays = read_caffemodel(path)
    if caffe_mobilenet.IMPORTER.recognizes(arrays):
        return arrays
    raise WeightsError(f"{path}: convert it first (ssdzoo convert), then start from the new file with weights=")


# By the kind of the file: its arrays, {name: array}.
_READERS: dict[str, Callable[[str | Path], dict]] = {
    "caffe": _read_caffe, "keras": _read_keras, "onnx": read_initializers, "torch": read_tensors, "safetensors": read_tensors,
}  # fmt: skip


def read_backbone(path: str | Path, wanted: Collection[str]) -> dict:
    """{name: array} of a file with a classifier's weights, under the names of a backbone's parameters.

    The arrays in the file say what it is, not its name.

    Args:
        path: `.params` (MXNet's, GluonCV's), `.onnx` (of MXNet's classifiers), `.pth` or `.safetensors` (torchvision's VGGs,
            ResNets, MobileNetV2 and detectors on ResNet-FPN, timm's ResNets of GluonCV, ssd.pytorch's `vgg16_reducedfc`), `.h5`
            (VGG16, ResNets and MobileNets of Keras), `.caffemodel` (shicai's MobileNet).
        wanted: attribute paths of the backbone's parameters. A `.params` or `.onnx` file keeps its own names, unless it is a VGG
            classifier for the VGG backbone of an SSD.

    Raises:
        WeightsError: unreadable, or of another network than the backbone.
    """
    kind = file_kind(path)
    arrays = _READERS.get(kind, read_network_params)(path)
    for importer in IMPORTERS:
        if importer.recognizes(arrays):
            return importer.backbone(path, arrays, wanted)
    if kind in ("params", "onnx"):  # MXNet's own names, which are compared with the backbone's
        return arrays
    origins = ", ".join(importer.origin for importer in IMPORTERS)
    raise WeightsError(f"{path}: no backbone of {origins}: its first array is {next(iter(arrays), None)!r}")


def read_pyramid(path: str | Path, wanted: dict) -> dict:
    """{name: array} of the feature pyramid in a file of torchvision's; empty for a file without one.

    Args:
        path: see `read_backbone`.
        wanted: {attribute path: shape} of the convolutions of a `ResNetFPN`.

    Raises:
        WeightsError: a pyramid over other stages, or with other channels.
    """
    arrays = read_tensors(path) if file_kind(path) in ("torch", "safetensors") else {}
    return torchvision_fpn.pyramid(path, arrays, wanted) if torchvision_fpn.is_fpn(arrays) else {}
