"""Weights of other projects under the names of this one; one file for each origin. No mxnet here."""

from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_tensors
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.weights.importers.caffe import read_caffe
from ssdzoo.weights.importers.imported_detector import ImportedDetector
from ssdzoo.weights.importers.ssd_pytorch import import_ssd_pytorch
from ssdzoo.weights.importers.torchvision_ssd import import_torchvision_ssd

__all__ = ["ImportedDetector", "read_detector"]


def read_detector(path: str | Path, classes: list | None = None) -> ImportedDetector:
    """A whole detector from another framework's file.

    Args:
        path: `.pth`, `.pt` or `.safetensors` with a state dict of ssd.pytorch's SSD300 or torchvision's `ssd300_vgg16`;
            or a `.caffemodel` with its `.prototxt` beside it: see `ssdzoo.weights.importers.caffe.read_caffe`.
        classes: names of its classes in the order of its class heads, without the background. Needed where the file is
            of other classes than VOC's or COCO's.

    Raises:
        WeightsError: a file of another kind, of another network, damaged, or one that would run code.
        CallError: the number of `classes` is not that of the file.
    """
    kind = file_kind(path)
    if kind == "caffe":
        return read_caffe(path, classes=classes)
    if kind not in ("torch", "safetensors"):
        raise WeightsError(f"{path}: neither a PyTorch, nor a safetensors, nor a Caffe file")
    arrays = read_tensors(path)
    if "vgg.0.weight" in arrays:
        return import_ssd_pytorch(path, arrays, classes)
    if "backbone.scale_weight" in arrays:
        return import_torchvision_ssd(path, arrays, classes)
    hint = ""
    if not arrays.keys().isdisjoint(("classifier.0.weight", "fc.weight", "31.weight")):
        hint = "; it looks like a backbone: name it with base_weights= or pretrained_base="
    raise WeightsError(
        f"{path}: neither ssd.pytorch's SSD300 nor torchvision's ssd300_vgg16: its first array is {next(iter(arrays))!r}{hint}"
    )
