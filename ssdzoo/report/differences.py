"""The detections of two detectors in one image, drawn so that the differences stand out."""

import numpy as np

from ssdzoo.detections import Detections
from ssdzoo.measure.compare import Match
from ssdzoo.report.pictures import draw_detections, outline

_EQUAL = (170, 170, 170)


def draw_difference(image: np.ndarray, found: tuple, match: Match, tolerance: dict, score: float) -> tuple:
    """(picture of A, picture of B, whether anything differs): detections that differ have colors and tags, the others gray
    outlines. Where none differ, all have colors.

    Args:
        image: (H, W, 3) uint8 RGB.
        found: the Detections of A and of B.
        match: their Match.
        tolerance: {"box", "score", "map", "agreement"}; with one of the last two, only detections without a match differ.
        score: minimum score of a detection that is drawn.
    """
    beyond = (match.pixels > tolerance["box"]) | (match.scores > tolerance["score"])
    exact = tolerance["map"] is None and tolerance["agreement"] is None
    pairs = match.pairs[beyond] if exact else match.pairs[:0]
    marked = [np.concatenate([alone, pairs[:, side]]) for side, alone in enumerate((match.missing, match.extra))]
    if not any(map(len, marked)):
        return *(draw_detections(image, side, score) for side in found), False
    return *(_draw(image, side, np.sort(rows).astype(int), score) for side, rows in zip(found, marked)), True


def _draw(image: np.ndarray, found: Detections, marked: np.ndarray, score: float) -> np.ndarray:
    equal = np.setdiff1d(np.flatnonzero(found.scores >= score), marked)
    picture = outline(image, found.boxes[equal], _EQUAL)
    return draw_detections(picture, Detections(found.boxes[marked], found.scores[marked], found.class_ids[marked], found.names))
