"""The anchors of a feature map, and the best of them for each object."""

from typing import NamedTuple

import numpy as np


class Level(NamedTuple):
    """The anchors of one feature map, in pixels of the network input.

    Attributes:
        cells: (H, W) of the feature map.
        shapes: (A, 2) float64: width and height of the anchors in a grid cell.
        steps: (vertical, horizontal) distance of their centers in pixels.
        offsets: (vertical, horizontal) position of a center in its grid cell, 0 to 1.
    """

    cells: tuple
    shapes: np.ndarray
    steps: tuple
    offsets: tuple = (0.5, 0.5)

    @property
    def total(self) -> int:
        """The number of anchors in the whole feature map."""
        return self.cells[0] * self.cells[1] * len(self.shapes)


def best_of_level(boxes: np.ndarray, level: Level) -> tuple:
    """IoU (M,) float64 and corners (M, 4) float64 of the anchor of a level that overlaps each box (M, 4) most.

    Of the anchors of one shape, the one with the nearest center overlaps a box most, because the overlap falls with the distance
    on either axis. So only A anchors are compared with a box, whatever the number of grid cells.
    """
    boxes = np.asarray(boxes, np.float64)
    ious = np.stack([shape_ious(boxes, shape, level) for shape in level.shapes])
    centers, best = nearest_centers(boxes, level), level.shapes[ious.argmax(axis=0)]
    return ious.max(axis=0), np.concatenate([centers - best / 2, centers + best / 2], axis=1)


def shape_ious(boxes: np.ndarray, shape: np.ndarray, level: Level) -> np.ndarray:
    """(M,) IoU of each box (M, 4) with the anchor of a shape (width, height) that overlaps it most in the grid of a level."""
    centers = nearest_centers(boxes, level)
    overlap = (np.minimum(boxes[:, 2:], centers + shape / 2) - np.maximum(boxes[:, :2], centers - shape / 2)).clip(0)
    common = overlap[:, 0] * overlap[:, 1]
    sides = boxes[:, 2:] - boxes[:, :2]
    return common / (sides[:, 0] * sides[:, 1] + shape[0] * shape[1] - common)


def nearest_centers(boxes: np.ndarray, level: Level) -> np.ndarray:
    """(M, 2) x and y of the center of a level's grid that is nearest to the center of each box (M, 4)."""
    steps, offsets, cells = (np.array(pair[::-1], np.float64) for pair in (level.steps, level.offsets, level.cells))
    points = (boxes[:, :2] + boxes[:, 2:]) / 2
    return (np.round(points / steps - offsets).clip(0, cells - 1) + offsets) * steps


def best_of_all(boxes: np.ndarray, levels: list) -> tuple:
    """IoU (M,), corners (M, 4) and level (M,) of the anchor that overlaps each box most; the finest of equal ones."""
    ious, corners = map(np.stack, zip(*(best_of_level(boxes, level) for level in levels)))
    where = ious.argmax(axis=0)
    return ious.max(axis=0), corners[where, np.arange(len(where))], where
