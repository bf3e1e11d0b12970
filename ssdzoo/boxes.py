"""Box geometry in numpy. Boxes are float32 `xyxy` pixels, 0-based, (M, 4); nothing here changes its arguments."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def as_boxes(values: ArrayLike) -> np.ndarray:
    """(M, 4) float32 copy of a list or array of boxes; an empty one becomes (0, 4)."""
    return np.array(values, np.float32).reshape(-1, 4)


def area(boxes: np.ndarray, inclusive: bool = False) -> np.ndarray:
    """(M,) float32 areas in square pixels; 0 where a box is turned inside out. `inclusive` counts the last pixel, as
    the VOC devkit."""
    size = np.clip(boxes[:, 2:] - boxes[:, :2] + np.float32(inclusive), 0, None)
    return size[:, 0] * size[:, 1]


def iou(a: np.ndarray, b: np.ndarray, inclusive: bool = False) -> np.ndarray:
    """(N, M) float32 intersection over union of boxes (N, 4) and (M, 4); 0 where both are empty."""
    extra = np.float32(inclusive)
    size = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]) + extra
    intersection = np.prod(np.clip(size, 0, None), axis=2)
    union = area(a, inclusive)[:, None] + area(b, inclusive)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def corner_to_center(boxes: np.ndarray) -> np.ndarray:
    """(M, 4) xmin, ymin, xmax, ymax to center x, center y, width, height."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def center_to_corner(boxes: np.ndarray) -> np.ndarray:
    """(M, 4) center x, center y, width, height to xmin, ymin, xmax, ymax."""
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def clip(boxes: np.ndarray, height: float, width: float) -> np.ndarray:
    """(M, 4) boxes cut at the borders of an image."""
    return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))


def mirror(boxes: np.ndarray, width: float) -> np.ndarray:
    """(M, 4) boxes of an image of `width` pixels whose left and right are exchanged: the new xmin is width - xmax."""
    mirrored = boxes.copy()
    mirrored[:, 0], mirrored[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return mirrored


def anchor_shapes(size: float, geometric_mean: float, ratios: Sequence[float]) -> np.ndarray:
    """(A, 2) float64: width and height of the anchors of a grid cell, as in the SSD paper: the square of `size`, that of
    `geometric_mean`, and for every ratio (width / height) after the first a box of area size^2."""
    return listed_shapes([size, geometric_mean, *[size] * (len(ratios) - 1)], [1, 1, *ratios[1:]])


def lite_shapes(size: float, geometric_mean: float, ratios: Sequence[float], with_mean: bool) -> np.ndarray:
    """(A, 2) float64: width and height of the anchors of a grid cell, as in TensorFlow's ssd_mobilenet_v1_coco: the square of
    half the `size`, for every ratio after the first a box of area size^2, and the square of `geometric_mean` where it is asked
    for (not on the first feature map). The published weights were trained with the half on every feature map."""
    shapes = listed_shapes([size / 2, *[size] * (len(ratios) - 1), geometric_mean], [1, *ratios[1:], 1])
    return shapes if with_mean else shapes[:-1]


def listed_shapes(sizes: ArrayLike, ratios: ArrayLike) -> np.ndarray:
    """(A, 2) float64: width and height of the anchors of a grid cell where they are listed one by one: the k-th has area
    sizes[k]^2 and width / height = ratios[k]."""
    sizes, roots = np.array(sizes, np.float64), np.sqrt(np.array(ratios, np.float64))
    return np.stack([sizes * roots, sizes / roots], axis=1)


def anchor_grid(shapes: np.ndarray, steps: tuple, offsets: tuple, cells: tuple) -> np.ndarray:
    """(H, W, A, 4) float64 center-form anchors of `shapes` (A, 2) in each of `cells` (H, W), the grid cells of a feature map.

    Args:
        steps: (vertical, horizontal) distance of the centers, in pixels.
        offsets: (vertical, horizontal) position of a center in its grid cell, in grid cells.
    """
    height, width = cells
    anchors = np.empty((height, width, len(shapes), 4))
    anchors[..., 0] = ((np.arange(width) + offsets[1]) * steps[1])[None, :, None]
    anchors[..., 1] = ((np.arange(height) + offsets[0]) * steps[0])[:, None, None]
    anchors[..., 2:] = shapes
    return anchors
