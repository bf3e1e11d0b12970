"""The checks that the boxes of every format go through, as pure functions of arrays: one call for one image or for many."""

from typing import NamedTuple

import numpy as np

from ssdzoo.data.record import ERROR, WARNING

SLACK = 1.0  # pixels that a box may stick out of its image, by rounding or by counting from 1; it is clipped
TINY = 0.99  # pixels; a box with a shorter side is below one pixel, whatever was lost by rounding
ROUNDING = 0.001  # that a normalized width or height may exceed 1


class Fault(NamedTuple):
    """What can be wrong with a box.

    Attributes:
        kind, severity: see Problem.
        message: follows "box (...)"; {width} and {height} are those of the image.
        is_kept: whether the box stays in the record.
    """

    kind: str
    severity: str
    message: str
    is_kept: bool = False


NO_FAULT = 0  # the faults are numbered from 1
FAULTS = {
    1: Fault("no box", ERROR, "is not finite"),
    2: Fault("degenerate box", WARNING, "has no width or no height: left out"),
    3: Fault("box outside", ERROR, "is outside of the {width}x{height} image"),
    4: Fault("swapped corners", WARNING, "has its corners in the wrong order, or a negative width or height: swapped", True),
    5: Fault("tiny box", WARNING, "is less than one pixel wide or high: too small to be learned", True),
}


def check_boxes(raw: np.ndarray, height: np.ndarray | int, width: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as a training takes them, and what was wrong with them.

    Args:
        raw: (M, 4) float64, xmin, ymin, xmax, ymax in pixels, 0-based, as the annotation has them.
        height, width: of the image in pixels; or (M,) those of the image of each box.

    Returns:
        boxes: (M, 4) float32 xyxy with the corners in order, clipped to the image.
        faults: (M,) int8, the number in FAULTS of what is wrong with each box; 0 where nothing is.
    """
    ordered = order_corners(raw)
    limits = np.stack(np.broadcast_arrays(width, height, width, height), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        boxes = np.clip(ordered, 0, limits).astype(np.float32)
        is_inside = ((ordered >= -SLACK) & (ordered <= limits + SLACK)).all(1)
        sides = np.where(is_inside[:, None], boxes[:, 2:] - boxes[:, :2], ordered[:, 2:] - ordered[:, :2]).min(1)
    wrong = [~np.isfinite(raw).all(1), sides <= 0, ~is_inside, (ordered != raw).any(1), sides < TINY]
    return boxes, np.select(wrong, list(FAULTS), NO_FAULT).astype(np.int8)


def order_corners(boxes: np.ndarray) -> np.ndarray:
    """(M, 4) boxes with xmin <= xmax and ymin <= ymax."""
    first, second = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def are_normalized(boxes: np.ndarray) -> bool:
    """Whether boxes (M, 4), xyxy in the numbers of their file, are all in normalized coordinates: they begin within 0 and 1, have
    sides of at most 1, and some of them have an extent. As pixels they would cover next to nothing."""
    ordered = order_corners(boxes)
    with np.errstate(invalid="ignore"):
        sides = ordered[:, 2:] - ordered[:, :2]
    within = (ordered[:, :2] >= 0).all() and (ordered[:, :2] < 1).all() and (sides <= 1 + ROUNDING).all()
    return bool(within and (sides > 0).all(1).any())
