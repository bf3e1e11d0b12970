"""Matches the detections and the objects of an image across classes: for the confusion matrix and the list of mistakes."""

import numpy as np

from ssdzoo import boxes as geometry

UNMATCHED, IGNORED = -1, -2


def match(boxes: np.ndarray, ids: np.ndarray, gt_boxes: np.ndarray, gt_ids: np.ndarray, gt_ignored: np.ndarray,
          iou: float = 0.5) -> np.ndarray:  # fmt: skip
    """The object that each detection matches.

    First each detection, in the order given, takes the free object of its own class that it overlaps most. The others then
    take, in the same order, the free object of any class that they overlap most: these are classification errors.

    Args:
        boxes (N, 4), ids (N,): detections, best first; boxes are xyxy pixels.
        gt_boxes (M, 4), gt_ids (M,): objects.
        gt_ignored: (M,) bool; objects that are ignored.
        iou: minimum IoU of a match.

    Returns:
        (N,) int64: index of the object; UNMATCHED where there is none; IGNORED for a detection without an object that overlaps
        an ignored one by at least `iou`.
    """
    matched = np.full(len(ids), UNMATCHED)
    if not len(ids) or not len(gt_ids):
        return matched
    overlaps = geometry.iou(boxes, gt_boxes)
    near = overlaps >= iou
    real = np.where(near & ~gt_ignored, overlaps, -1.0)
    for allowed in (np.where(ids[:, None] == gt_ids, real, -1.0), real):
        for n in np.flatnonzero((matched == UNMATCHED) & (allowed >= 0).any(axis=1)):
            free = allowed[n].copy()
            free[matched[matched >= 0]] = -1
            if free.max() >= 0:
                matched[n] = free.argmax()
    matched[(matched == UNMATCHED) & (near & gt_ignored).any(axis=1)] = IGNORED
    return matched
