"""What two detectors found in one image, drawn so that the eye falls on what differs."""

import cv2
import numpy as np

from ssdzoo.detections import Detections
from ssdzoo.report.pictures import draw_detections

_QUIET = (170, 170, 170)


def draw_difference(image: np.ndarray, found: tuple, match, tolerance: dict, score: float) -> tuple:
    """(picture of A, picture of B, whether anything differs): what differs has colors and tags, the rest gray outlines. Where
    nothing does, all has colors.

    Args:
        image: (H, W, 3) uint8 RGB.
        found: the Detections of A and of B.
        match: their Match.
        tolerance: {"box", "score", "map", "agreement"}; where one of the last two decides, only what has no partner differs.
        score: least score of what is drawn.
    """
    beyond = (match.pixels > tolerance["box"]) | (match.scores > tolerance["score"])
    exact = tolerance["map"] is None and tolerance["agreement"] is None
    pairs = match.pairs[beyond] if exact else match.pairs[:0]
    loud = [np.concatenate([alone, pairs[:, side]]) for side, alone in enumerate((match.missing, match.extra))]
    if not any(map(len, loud)):
        return *(draw_detections(image, side, score) for side in found), False
    return *(_draw(image, side, np.sort(rows).astype(int), score) for side, rows in zip(found, loud)), True


def _draw(image: np.ndarray, found: Detections, loud: np.ndarray, score: float) -> np.ndarray:
    quiet, picture = np.setdiff1d(np.flatnonzero(found.scores >= score), loud), np.ascontiguousarray(image).copy()
    for x1, y1, x2, y2 in np.rint(np.clip(found.boxes[quiet], -1, max(image.shape[:2]))).astype(int).tolist():
        cv2.rectangle(picture, (x1, y1), (x2, y2), _QUIET, 1)
    return draw_detections(picture, Detections(found.boxes[loud], found.scores[loud], found.class_ids[loud], found.names))
