"""Where things are in a view: windows, boxes, and the matrices of rotations. Pixels of images are elsewhere.

A window is (4,) float32 xyxy, pixels of the image; it may reach beyond it. Boxes are (M, 4) float32 xyxy.
"""

import numpy as np

from ssdzoo import boxes as geometry


def whole(height: int, width: int) -> np.ndarray:
    """(4,) window of the whole image."""
    return np.array([0, 0, width, height], np.float32)


def centers_inside(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(M,) bool: the center lies inside the window (4,) on both axes; (T, M) for windows (T, 1, 4)."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centers > window[..., :2]) & (centers < window[..., 2:])).all(axis=-1)


def move_boxes(boxes: np.ndarray, window: np.ndarray, size: tuple, min_visible: float = 0.0) -> tuple:
    """Boxes (K, 4) in pixels of the window resized to `size` and clipped to it, and (M,) bool which of the boxes they are:
    those whose center is inside, that are at least a pixel wide and high, and of whose area at least the part `min_visible` is
    inside."""
    scale = np.array([size[1], size[0]] * 2, np.float32) / np.tile(window[2:] - window[:2], 2)
    moved = (boxes - np.tile(window[:2], 2)) * scale
    clipped = geometry.clip(moved, *size)
    keep = centers_inside(boxes, window) & _shown(moved, clipped, min_visible)
    return clipped[keep].astype(np.float32), keep


def _shown(moved: np.ndarray, clipped: np.ndarray, min_visible: float) -> np.ndarray:
    """(M,) bool: the part of a box that is left is at least a pixel wide and high, and at least `min_visible` of its area."""
    return (clipped[:, 2:] - clipped[:, :2] >= 1).all(axis=1) & (geometry.area(clipped) >= min_visible * geometry.area(moved))


def rotation(window: np.ndarray, degrees: float, size: tuple) -> np.ndarray:
    """(2, 3) float64 matrix from pixels of the image, x and y, to those of the result of `size` (height, width): the window,
    around whose center the image is rotated counterclockwise, is stretched to the result."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # y points down
    sides, center = (window[2:] - window[:2]).astype(np.float64), (window[:2] + window[2:]).astype(np.float64) / 2
    target = np.array(size[::-1], np.float64)
    matrix = np.diag(target / sides) @ turn
    return np.concatenate([matrix, (target / 2 - matrix @ center)[:, None]], axis=1)


def rotate_boxes(boxes: np.ndarray, matrix: np.ndarray, size: tuple, min_visible: float) -> tuple:
    """Enclosing boxes (K, 4) of the rotated corners, clipped to `size`, and (M,) bool which of the boxes they are, by the rule of
    `move_boxes` for the enclosing boxes."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] @ matrix[:, :2].T + matrix[:, 2]  # (M, 4 corners, 2)
    moved = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    clipped = geometry.clip(moved, *size)
    keep = centers_inside(moved, whole(*size)) & _shown(moved, clipped, min_visible)
    return clipped[keep].astype(np.float32), keep


def flip_boxes(boxes: np.ndarray, height: int) -> np.ndarray:
    """Boxes of an image whose top and bottom change places: the new ymin is height - ymax."""
    return geometry.mirror(boxes[:, [1, 0, 3, 2]], height)[:, [1, 0, 3, 2]]


def turn_boxes(boxes: np.ndarray, turns: int, size: tuple) -> np.ndarray:
    """Boxes of an image of `size` (height, width) that is turned counterclockwise by 90 degrees `turns` times."""
    for _ in range(turns):
        boxes, size = geometry.mirror(boxes, size[1])[:, [1, 0, 3, 2]], size[::-1]
    return boxes
