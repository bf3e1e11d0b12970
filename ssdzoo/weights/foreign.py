"""A whole detector from another framework's file, by the kind of file. No mxnet here."""

from ssdzoo.errors import WeightsError
from ssdzoo.formats.weights_file import file_kind
from ssdzoo.weights.importers import caffe
from ssdzoo.weights.importers import pytorch_ssd as torch
from ssdzoo.weights.importers.imported import Converted


def read_detector(path, classes=None) -> Converted:
    """A detector out of `.pth`, `.pt`, `.safetensors` (see `torch.read_ssd`) or `.caffemodel` (see `caffe.read_ssd`).

    Args:
        path: the file; a `.caffemodel` needs its `.prototxt` beside it.
        classes: names of its classes, without the background, where they are not those of VOC or COCO.

    Raises:
        WeightsError: of another kind; and as those two.
    """
    kind = file_kind(path)
    if kind == "caffe":
        return caffe.read_ssd(path, classes=classes)
    if kind in ("torch", "safetensors"):
        return torch.read_ssd(path, classes)
    raise WeightsError(f"{path}: neither a PyTorch, nor a safetensors, nor a Caffe file")
