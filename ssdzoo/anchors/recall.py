"""Which objects have an anchor: by class, by size and by feature map."""

import numpy as np

from ssdzoo.anchors.levels import Level, best_of_all
from ssdzoo.anchors.objects import Objects
from ssdzoo.boxes import area
from ssdzoo.metrics.sizes import SIZES, within

THRESHOLDS = (0.5, 0.6, 0.7)  # of the IoU; at the first one, an anchor is trained on an object
# Finer ranges of the square root of an object's area in pixels, within COCO's sizes.
SIDES: dict[str, dict] = {
    "small": {"below 8": (0, 8), "8 to 16": (8, 16), "16 to 32": (16, 32)},
    "medium": {"32 to 64": (32, 64), "64 to 96": (64, 96)},
    "large": {"96 to 192": (96, 192), "192 to 384": (192, 384), "from 384": (384, np.inf)},
}


def recall_table(objects: Objects, names: list, levels: list) -> dict:
    """The share of the objects that have an anchor, in the real grid of each feature map.

    Args:
        objects: in pixels of the network's input.
        names: the classes.
        levels: a Level for each feature map.

    Returns:
        {"anchors": number of anchors, "all": row, "classes": {name: row}, "sizes": {"small", "medium", "large": row}, "sides":
        {of SIDES: row}, "levels": [row]}; sizes are those in the network's input. A row is {"objects": their number, "0.5",
        "0.6", "0.7": share with an anchor of at least that IoU, "IoU": mean of the best}, None without objects. The row of a
        level is about the objects whose best anchor is its own, and has {"cells": [H, W], "steps", "shapes": number in a grid
        cell} too.
    """
    best, _, level = best_of_all(objects.boxes, levels)
    areas = area(objects.boxes)
    sides = {name: ends for finer in SIDES.values() for name, ends in finer.items()}
    return {
        "anchors": sum(each.total for each in levels),
        "all": _row(best),
        "classes": {name: _row(best[mine]) for name, mine in zip(names, objects.of_classes(len(names)))},
        "sizes": {size: _row(best[within(areas, size)]) for size in SIZES},
        "sides": {name: _row(best[(areas >= low**2) & (areas < high**2)]) for name, (low, high) in sides.items()},
        "levels": [{**_about(each), **_row(best[level == i])} for i, each in enumerate(levels)],
    }


def recall_by_size(objects: Objects, names: list, levels: list) -> dict:
    """The share of the objects of each class and size that have an anchor; arguments as for `recall_table`.

    Returns:
        {"classes": {name: shares}, "all": shares}; shares are {"all", "small", "medium", "large": share of the objects with an
        anchor of IoU 0.5 or more, "IoU": mean of the best IoUs}, None without objects.
    """
    best, _, _ = best_of_all(objects.boxes, levels)
    sizes = {size: within(area(objects.boxes), size) for size in SIZES}

    def shares(chosen: np.ndarray) -> dict:
        row = _row(best[chosen])
        return {
            "all": row["0.5"],
            **{size: _row(best[chosen[of[chosen]]])["0.5"] for size, of in sizes.items()},
            "IoU": row["IoU"],
        }

    classes = {name: shares(mine) for name, mine in zip(names, objects.of_classes(len(names)))}
    return {"classes": classes, "all": shares(np.arange(len(best)))}


def missed_by_class(table: dict) -> dict[str, float]:
    """{class: share of its objects without an anchor at IoU 0.5} of a `recall_table`, for classes with objects."""
    return {name: 1 - row["0.5"] for name, row in table["classes"].items() if row["0.5"] is not None}


def mean_missed(table: dict) -> float:
    """The mean of `missed_by_class` over the classes."""
    shares = missed_by_class(table).values()
    return sum(shares) / len(shares)


def _about(level: Level) -> dict:
    return {"cells": list(level.cells), "steps": [round(float(s), 2) for s in level.steps], "shapes": len(level.shapes)}


def _row(best: np.ndarray) -> dict:
    shares = {f"{t}": round(float((best >= t).mean()), 4) if len(best) else None for t in THRESHOLDS}
    return {"objects": len(best), **shares, "IoU": round(float(best.mean()), 4) if len(best) else None}
