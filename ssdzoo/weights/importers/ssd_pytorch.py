"""amdegroot's ssd.pytorch: SSD300 on VGG-16."""

from pathlib import Path

from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.imported_detector import CAFFE_MEAN, ImportedDetector, limited_anchors, pick_classes, with_mean
from ssdzoo.weights.importers.vgg_layers import LIST_POSITIONS, count_slots, take_ssd
from ssdzoo.zoo import find_preset


def import_ssd_pytorch(path: str | Path, arrays: dict, classes: list | None = None) -> ImportedDetector:
    """The detector in a state dict of ssd.pytorch's SSD300, as a `ssd_300_vgg16_atrous_voc`.

    It orders the anchors of a grid cell (the square, the square of the geometric mean, ratios 2, 1/2, 3, 1/3) and the channels
    of a head as they are ordered here. So the heads are taken unchanged.

    Args:
        path: the file that `arrays` came from.
        arrays: {name: array}.
        classes: names of its classes, without the background, where they are not VOC's.

    Raises:
        WeightsError: an array is missing, of another shape, or unknown.
        CallError: the number of `classes` is not that of the file.
    """
    source = CheckedArrays(path, arrays, "ssd.pytorch SSD300")
    preset = find_preset("ssd_300_vgg16_atrous_voc")
    backbone, extras = [f"vgg.{i}" for i in (*LIST_POSITIONS, 31, 33)], [f"extras.{i}" for i in range(8)]
    class_heads, box_heads = ([f"{side}.{i}" for i in range(6)] for side in ("conf", "loc"))
    norm = source.take("L2Norm.weight", (512,))
    parameters = take_ssd(source, 300, backbone, extras, norm, class_heads, box_heads, preset.ratios)
    source.finish(ignored=("priors",))
    preset = pick_classes(source, count_slots(source, parameters, preset.ratios) - 1, preset, classes)
    parameters.update(limited_anchors(preset, limit_centers=True))
    note = "it keeps 200 boxes of each class before NMS; here the best 400 of all classes go in and 100 come out"
    return ImportedDetector(parameters, with_mean(preset, [mean / 255 for mean in CAFFE_MEAN]), source.origin, (note,))
