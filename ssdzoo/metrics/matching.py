"""Which detection belongs to which object of an image, over all classes: for the confusion matrix and pictures of mistakes."""

import numpy as np

from ssdzoo import boxes as geometry

NOTHING, IGNORED = -1, -2


def match(boxes, ids, gt_boxes, gt_ids, gt_ignored, iou: float = 0.5) -> np.ndarray:
    """The object that each detection is taken to mean.

    First each detection, in the order given, takes the free object of its own class that it overlaps most. What is left over
    then takes, in the same order, the free object of any class that it overlaps most: it has found it under a wrong name.

    Args:
        boxes (N, 4), ids (N,): detections, best first.
        gt_boxes (M, 4), gt_ids (M,): objects.
        gt_ignored: (M,) bool; objects that count for nothing.
        iou: least IoU of a match.

    Returns:
        (N,) int64: index of the object; NOTHING where there is none; IGNORED for a detection without an object that overlaps
        one of those that count for nothing.
    """
    matched = np.full(len(ids), NOTHING)
    if not len(ids) or not len(gt_ids):
        return matched
    overlaps = geometry.iou(boxes, gt_boxes)
    near = overlaps >= iou
    real = np.where(near & ~gt_ignored, overlaps, -1.0)
    for allowed in (np.where(ids[:, None] == gt_ids, real, -1.0), real):
        for n in np.flatnonzero((matched == NOTHING) & (allowed >= 0).any(axis=1)):
            free = allowed[n].copy()
            free[matched[matched >= 0]] = -1
            if free.max() >= 0:
                matched[n] = free.argmax()
    matched[(matched == NOTHING) & (near & gt_ignored).any(axis=1)] = IGNORED
    return matched
