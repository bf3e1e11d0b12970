"""Which objects have an anchor: by class, by size and by level."""

from typing import NamedTuple

import numpy as np

from ssdzoo.anchors.levels import best_of_all
from ssdzoo.metrics.sizes import SIZES, within

THRESHOLDS = (0.5, 0.6, 0.7)
# Finer ranges of the root of an object's area in pixels, within COCO's sizes.
SIDES = {
    "small": {"below 8": (0, 8), "8 to 16": (8, 16), "16 to 32": (16, 32)},
    "medium": {"32 to 64": (32, 64), "64 to 96": (64, 96)},
    "large": {"96 to 192": (96, 192), "192 to 384": (192, 384), "from 384": (384, np.inf)},
}


class Objects(NamedTuple):
    """Objects of a data set, stretched to a network's input.

    Attributes:
        boxes: (M, 4) float32 corner form, pixels of the input.
        class_ids: (M,) int.
        images: (M,) int: which of the records they are in.
    """

    boxes: np.ndarray
    class_ids: np.ndarray
    images: np.ndarray


def collect_objects(records: list, size: tuple) -> Objects:
    """The objects of Records, but for crowds, which no anchor learns.

    Args:
        size: (height, width) of the input in pixels.
    """
    boxes, ids = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int32)]
    for record in records:
        kept = ~record.crowd
        boxes.append(record.boxes[kept] * np.float32([size[1] / record.width, size[0] / record.height] * 2))
        ids.append(record.class_ids[kept])
    images = np.repeat(np.arange(len(records)), [len(part) for part in ids[1:]])
    return Objects(np.concatenate(boxes), np.concatenate(ids), images)


def recall_table(objects: Objects, names: list, levels: list) -> dict:
    """How many objects have an anchor, in the real grid of each level.

    Returns:
        {"anchors": how many there are, "all": row, "classes": {name: row}, "sizes": {"small", "medium", "large": row}, "sides":
        {of SIDES: row}, "levels": [row]}; sizes are those in the network input. A row is {"objects": their number, "0.5",
        "0.6", "0.7": share with an anchor of at least that IoU, "IoU": mean of the best}, None without objects. A level's row is
        about the objects whose best anchor is one of its own, and has {"cells": [H, W], "steps", "shapes": number at a cell} too.
    """
    best, _, level = best_of_all(objects.boxes, levels)
    areas = (objects.boxes[:, 2:] - objects.boxes[:, :2]).astype(np.float64).prod(axis=1)
    sides = {name: ends for finer in SIDES.values() for name, ends in finer.items()}
    return {
        "anchors": sum(each.count for each in levels),
        "all": _row(best),
        "classes": {name: _row(best[objects.class_ids == i]) for i, name in enumerate(names)},
        "sizes": {size: _row(best[within(areas, size)]) for size in SIZES},
        "sides": {name: _row(best[(areas >= low**2) & (areas < high**2)]) for name, (low, high) in sides.items()},
        "levels": [{**_about(each), **_row(best[level == i])} for i, each in enumerate(levels)],
    }


def _about(level) -> dict:
    return {"cells": list(level.cells), "steps": [round(float(s), 2) for s in level.steps], "shapes": len(level.shapes)}


def _row(best: np.ndarray) -> dict:
    shares = {f"{t}": round(float((best >= t).mean()), 4) if len(best) else None for t in THRESHOLDS}
    return {"objects": len(best), **shares, "IoU": round(float(best.mean()), 4) if len(best) else None}
