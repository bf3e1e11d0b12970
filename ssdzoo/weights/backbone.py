"""Weights of a backbone from any file that `pretrained_base=` and `base_weights=` accept. No mxnet here."""

from collections.abc import Callable, Collection
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_hdf5, read_tensors
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.network_params import read_network_params
from ssdzoo.weights.importers import torchvision_fpn, torchvision_resnet, vgg16
from ssdzoo.weights.importers.backbone_importer import BackboneImporter

# The first one that recognizes a file's arrays reads it.
IMPORTERS: tuple[BackboneImporter, ...] = (torchvision_fpn.IMPORTER, torchvision_resnet.IMPORTER, vgg16.IMPORTER)


def _read_keras(path: str | Path) -> dict:
    return read_hdf5(path, lambda name: not name.startswith("optimizer_weights/"))


def _read_caffe(path: str | Path) -> dict:
    raise WeightsError(f"{path}: convert it first (ssdzoo convert), then start from the new file with weights=")


# By the kind of the file: its arrays, {name: array}.
_READERS: dict[str, Callable[[str | Path], dict]] = {
    "caffe": _read_caffe, "keras": _read_keras, "torch": read_tensors, "safetensors": read_tensors,
}  # fmt: skip


def read_backbone(path: str | Path, wanted: Collection[str]) -> dict:
    """{name: array} of a file with a classifier's weights, under the names of a backbone's parameters.

    The arrays in the file say what it is, not its name.

    Args:
        path: `.params` (MXNet's, GluonCV's), `.pth` or `.safetensors` (torchvision's VGG-16, ResNets and detectors on
            ResNet-FPN, ssd.pytorch's `vgg16_reducedfc`), `.h5` (Keras's VGG16).
        wanted: attribute paths of the backbone's parameters. A `.params` file keeps its own names, unless it is a VGG-16
            classifier for a VGG backbone.

    Raises:
        WeightsError: unreadable, or of another network than the backbone.
    """
    kind = file_kind(path)
    arrays = _READERS.get(kind, read_network_params)(path)
    for importer in IMPORTERS:
        if importer.recognizes(arrays):
            return importer.backbone(path, arrays, wanted)
    if kind not in _READERS:  # MXNet's own names, which are compared with the backbone's
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
