"""Numbers about a data set's objects, as plain values."""

from typing import NamedTuple

import numpy as np

from ssdzoo.anchors.objects import Objects, collect_objects
from ssdzoo.anchors.recall import recall_by_size
from ssdzoo.boxes import area
from ssdzoo.data.check.object_limit import POST_NMS
from ssdzoo.metrics.sizes import SIZES, within

PERCENTILES = (5, 50, 95)


class ModelAnchors(NamedTuple):
    """What a check needs to know of a model.

    Attributes:
        name: as messages show it.
        size: (height, width) of its input in pixels.
        levels: a `ssdzoo.anchors.levels.Level` for each feature map.
        classes: names that it was trained for; None for a model that takes any.
        post_nms: maximum number of detections in an image; -1 for any.
    """

    name: str
    size: tuple
    levels: list
    classes: list | None = None
    post_nms: int = POST_NMS


def split_table(records: dict) -> dict:
    """{split: {"images", "objects", "negatives" (images without objects), "difficult", "crowd"}} of {split: Records}."""
    return {
        split: {
            "images": len(found),
            "objects": len(found.boxes),
            "negatives": int((np.diff(found.offsets) == 0).sum()),
            "difficult": int(found.difficult.sum()),
            "crowd": int(found.crowd.sum()),
        }
        for split, found in records.items()
    }


def class_table(records: dict, names: list) -> dict:
    """{class: {"objects": {split: number}, "images": number of images with it, "share" of all objects, "width", "height" in
    pixels and "aspect" (width / height): 5th, 50th and 95th percentile, "sizes": {"small", "medium", "large": number}}}, of
    {split: Records}; crowds are left out."""
    boxes, ids, images = _objects(records)
    count = len(names)
    splits = {split: np.bincount(_objects({split: found}).class_ids, minlength=count) for split, found in records.items()}
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    ranges = [_percentiles(values, ids, count) for values in (width, height, width / height)]
    sizes = {size: np.bincount(ids[within(area(boxes), size)], minlength=count) for size in SIZES}
    in_images = np.bincount(np.unique(np.stack([ids, images]), axis=1)[0], minlength=count)
    totals = np.bincount(ids, minlength=count)
    return {
        name: {
            "objects": {split: int(found[i]) for split, found in splits.items()},
            "images": int(in_images[i]),
            "share": round(int(totals[i]) / max(1, len(ids)), 4),
            **{key: values[i] for key, values in zip(("width", "height", "aspect"), ranges)},
            "sizes": {size: int(found[i]) for size, found in sizes.items()},
        }
        for i, name in enumerate(names)
    }


def anchor_table(records: dict, names: list, model: ModelAnchors) -> dict:
    """How well a model's anchors fit the objects, stretched to its input.

    Args:
        records: {split: Records}.
        names: the classes.

    Returns:
        {"model", "size", "anchors" and "objects": their numbers}, and what `recall_by_size` returns.
    """
    objects, count = _objects(records, model.size), sum(level.total for level in model.levels)
    found = recall_by_size(objects, names, model.levels)
    return {"model": model.name, "size": list(model.size), "anchors": count, "objects": len(objects.boxes), **found}


def _objects(records: dict, size: tuple | None = None) -> Objects:
    """All objects but crowds; an image in two splits counts once."""
    return collect_objects([records[split][i] for split, i in different_records(records).values()], size)


def different_records(records: dict) -> dict:
    """{image as text: (split, place)} of {split: Records}: the last record of each image."""
    return {str(image): (split, i) for split, found in records.items() for i, image in enumerate(found.images)}


def _percentiles(values: np.ndarray, ids: np.ndarray, count: int) -> list:
    """The PERCENTILES of the values (M,) of each of `count` classes, interpolated; None for a class without any."""
    ordered = values[np.lexsort((values, ids))].astype(np.float64)
    totals = np.bincount(ids, minlength=count)
    begins = np.cumsum(totals) - totals
    places = np.outer(np.maximum(totals - 1, 0), np.array(PERCENTILES) / 100)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(totals - 1, 0)[:, None])
    if not len(ordered):
        return [None] * count
    last = len(ordered) - 1
    first, second = (ordered[np.minimum(begins[:, None] + place, last)] for place in (low, high))
    found = np.round(first + (second - first) * (places - low), 2).tolist()
    return [row if total else None for row, total in zip(found, totals.tolist())]
