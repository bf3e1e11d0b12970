"""torchvision's ssd300_vgg16."""

from pathlib import Path

import numpy as np

from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.imported_detector import ImportedDetector, limited_anchors, pick_classes, with_mean
from ssdzoo.weights.importers.vgg_layers import LIST_POSITIONS, count_slots, take_ssd
from ssdzoo.zoo import find_preset

MEAN = (0.48235, 0.45882, 0.40784)  # RGB, 0..1
COCO_SLOTS = 91  # with the background
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # the slots that stand for no class


# Its names of the layers, in their order. conv5 follows a pooling layer in its block; conv6 and conv7 lie in a block within that.
BACKBONE = [
    *(f"backbone.features.{i}" for i in LIST_POSITIONS[:10]), *(f"backbone.extra.0.{i}" for i in (1, 3, 5)),
    "backbone.extra.0.7.1", "backbone.extra.0.7.3",
]  # fmt: skip
EXTRAS = [f"backbone.extra.{block}.{i}" for block in range(1, 5) for i in (0, 2)]
SCALE = "backbone.scale_weight"
CLASS_HEADS, BOX_HEADS = ([f"head.{side}_head.module_list.{i}" for i in range(6)] for side in ("classification", "regression"))


def import_torchvision_ssd(path: str | Path, arrays: dict, classes: list | None = None) -> ImportedDetector:
    """The detector in a state dict of torchvision's `ssd300_vgg16`, as a `ssd_300_vgg16_atrous_coco`.

    It orders the anchors of a grid cell and the channels of a head as they are ordered here. So the heads are taken unchanged,
    but for the slots of COCO's class heads that stand for no class.

    Args:
        path: the file that `arrays` came from.
        arrays: {name: array}.
        classes: names of its classes, without the background, where they are not COCO's.

    Raises:
        WeightsError: an array is missing, of another shape, or unknown.
        CallError: the number of `classes` is not that of the file.
    """
    source = CheckedArrays(path, arrays, "torchvision ssd300_vgg16")
    preset = find_preset("ssd_300_vgg16_atrous_coco")
    norm = source.take(SCALE, (512,))
    parameters = take_ssd(source, 300, BACKBONE, EXTRAS, norm, CLASS_HEADS, BOX_HEADS, preset.ratios)
    source.finish()
    notes = ["it caps decoded widths and heights at 62.5 times the anchor's, and keeps 400 boxes of each class, 200 at the end"]
    slots = count_slots(source, parameters, preset.ratios)
    if slots == COCO_SLOTS and classes is None:
        parameters = {n: _without_gaps(a) if n.startswith("class_") else a for n, a in parameters.items()}
        notes.append("scores are shares of 81 outputs, its own of 91, of which 10 stand for no class")
    else:
        preset = pick_classes(source, slots - 1, preset, classes)
    anchors = limited_anchors(preset, limit_centers=False)
    return ImportedDetector({**parameters, **anchors}, with_mean(preset, MEAN), source.origin, tuple(notes))


def _without_gaps(head: np.ndarray) -> np.ndarray:
    """The channels of a class head, (A * 91, ...), of the background and COCO's 80 classes: (A * 81, ...)."""
    kept = [slot for slot in range(COCO_SLOTS) if slot not in COCO_GAPS]
    return head.reshape(-1, COCO_SLOTS, *head.shape[1:])[:, kept].reshape(-1, *head.shape[1:])
