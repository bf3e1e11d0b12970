"""Rotated boxes, as some tools draw them: an SSD finds upright ones, so each becomes the upright box around it."""

import math
from collections.abc import Sequence
from typing import Any

from ssdzoo.data.formats.text_files import number


def around_rotated(box: tuple, degrees: float, size: Sequence | None = None, by_corner: bool = False) -> tuple:
    """The smallest upright box around a rotated one.

    Args:
        box: (xmin, ymin, xmax, ymax) in pixels before the rotation.
        degrees: of the rotation, clockwise as the image is viewed. The box of one that is not finite is NaN.
        size: (height, width) of the image, to which the corners are clipped: tools let them leave it. None or zeros do not clip.
        by_corner: the box is rotated around its upper left corner; otherwise around its center.
    """
    if not math.isfinite(degrees):
        return (math.nan,) * 4
    x1, y1, x2, y2 = box
    x, y = (x1, y1) if by_corner else ((x1 + x2) / 2, (y1 + y2) / 2)
    # Quarters of a turn are exact.
    cosine, sine = (round(f(math.radians(degrees)), 15) for f in (math.cos, math.sin))
    corners = [(cx - x, cy - y) for cx in (x1, x2) for cy in (y1, y2)]
    xs, ys = [x + cosine * dx - sine * dy for dx, dy in corners], [y + sine * dx + cosine * dy for dx, dy in corners]
    around = min(xs), min(ys), max(xs), max(ys)
    if size is None or not all(size):
        return around
    height, width = size
    return tuple(min(max(value, 0), limit) for value, limit in zip(around, (width, height) * 2))


def rotation_of(attributes: Any) -> float:
    """The rotation in degrees among the attributes that CVAT writes with a box; 0 where there is none."""
    degrees = number(attributes.get("rotation")) if isinstance(attributes, dict) else 0.0
    return degrees if math.isfinite(degrees) else 0.0
