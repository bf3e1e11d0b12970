"""Numbers about a data set's objects, as plain values."""

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.anchors.levels import best_of_all

SMALL, LARGE = 32**2, 96**2  # square pixels: COCO's borders of small, medium and large
PERCENTILES = (5, 50, 95)


def split_table(records: dict) -> dict:
    """{split: {"images", "objects", "negatives" (images without objects), "difficult", "crowd"}} of {split: records}."""
    return {
        split: {
            "images": len(found),
            "objects": sum(len(r.boxes) for r in found),
            "negatives": sum(not len(r.boxes) for r in found),
            "difficult": int(sum(r.difficult.sum() for r in found)),
            "crowd": int(sum(r.crowd.sum() for r in found)),
        }
        for split, found in records.items()
    }


def class_table(records: dict, names: list) -> dict:
    """{class: {"objects": {split: number}, "images": number of images with it, "share" of all objects, "width", "height" in
    pixels and "aspect" (width / height): 5th, 50th and 95th percentile, "sizes": {"small", "medium", "large"}}}."""
    ids, boxes, images = _stacked(records)
    splits = {split: _stacked({split: found})[0] for split, found in records.items()}
    table = {}
    for i, name in enumerate(names):
        mine = boxes[ids == i]
        width, height = (mine[:, 2:] - mine[:, :2]).T
        table[name] = {
            "objects": {split: int((found == i).sum()) for split, found in splits.items()},
            "images": len(np.unique(images[ids == i])),
            "share": round(len(mine) / max(1, len(ids)), 4),
            "width": _percentiles(width),
            "height": _percentiles(height),
            "aspect": _percentiles(width / height),
            "sizes": dict(zip(("small", "medium", "large"), _by_size(geometry.area(mine)).sum(axis=1).tolist())),
        }
    return table


def anchor_table(records: dict, names: list, model: str, size: tuple, levels: list) -> dict:
    """How well anchors fit the objects, stretched to the model's input.

    Args:
        records: {split: records}; crowds are left out.
        size: (height, width) of the input in pixels.
        levels: the anchors, a `ssdzoo.anchors.levels.Level` for each feature map.

    Returns:
        {"model", "size", "anchors" and "objects": how many there are, "classes": {class: shares}, "all": shares}; shares are
        {"all", "small", "medium", "large": share of the objects with an anchor above IoU 0.5, None without objects, "IoU":
        mean of the best IoUs}; sizes are those in the input.
    """
    ids, boxes, _ = _stacked(records, size)
    best = best_of_all(boxes, levels)[0]
    by_size = _by_size(geometry.area(boxes))

    def shares(which):
        groups = {"all": which, **{n: which & s for n, s in zip(("small", "medium", "large"), by_size)}}
        found = {n: round(float((best[g] > 0.5).mean()), 4) if g.any() else None for n, g in groups.items()}
        return {**found, "IoU": round(float(best[which].mean()), 4) if which.any() else None}

    classes = {name: shares(ids == i) for i, name in enumerate(names)}
    every = shares(np.ones(len(ids), bool))
    count = sum(level.count for level in levels)
    return {"model": model, "size": list(size), "anchors": count, "objects": len(ids), "classes": classes, "all": every}


def _stacked(records: dict, size: tuple | None = None) -> tuple:
    """Class ids (M,), boxes (M, 4) and numbers of images (M,) of all objects but crowds; an image in two splits counts once.
    Boxes are in pixels of the image, or of an input of `size` (height, width) that it is stretched to."""
    found = list({str(r.image): r for rs in records.values() for r in rs}.values())
    ids, boxes = [np.zeros(0, np.int32)], [np.zeros((0, 4), np.float32)]
    for record in found:
        scale = np.float32([size[1] / record.width, size[0] / record.height] * 2) if size else np.float32(1)
        ids.append(record.class_ids[~record.crowd])
        boxes.append(record.boxes[~record.crowd] * scale)
    images = np.repeat(np.arange(len(found)), [len(part) for part in ids[1:]])
    return np.concatenate(ids), np.concatenate(boxes), images


def _by_size(areas: np.ndarray) -> np.ndarray:
    """(3, M) bool: small, medium, large."""
    return np.stack([areas < SMALL, (areas >= SMALL) & (areas < LARGE), areas >= LARGE])


def _percentiles(values: np.ndarray) -> list | None:
    return [round(float(v), 2) for v in np.percentile(values, PERCENTILES)] if len(values) else None
