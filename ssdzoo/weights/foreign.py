"""A whole detector from another framework's file, by the kind of file. No mxnet here."""

from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.weights import caffe, torch
from ssdzoo.weights.converted import Converted
from ssdzoo.weights.tensors import TENSOR_SUFFIXES


def read_detector(path, classes=None) -> Converted:
    """A detector out of `.pth`, `.pt`, `.safetensors` (see `torch.read_ssd`) or `.caffemodel` (see `caffe.read_ssd`).

    Args:
        path: the file; a `.caffemodel` needs its `.prototxt` beside it.
        classes: names of its classes, without the background, where they are not those of VOC or COCO.

    Raises:
        WeightsError: of another kind; and as those two.
    """
    suffix = Path(path).suffix
    if suffix == ".caffemodel":
        return caffe.read_ssd(path, classes=classes)
    if suffix in TENSOR_SUFFIXES:
        return torch.read_ssd(path, classes)
    raise WeightsError(f"{path}: not one of {', '.join(('.caffemodel', *TENSOR_SUFFIXES))}")
