"""The pixels of a view: windows of images cut out, resized, rotated. Images are (H, W, 3) uint8 RGB."""

import cv2
import numpy as np

MEAN_PIXEL = (123.675, 116.28, 103.53)  # ImageNet's mean color


def placed(shape: tuple, window: np.ndarray, size: tuple) -> tuple:
    """Where an image of `shape` (height, width) and a window overlap: (rows, columns) of the image, and (rows, columns) of the
    result at `size` (height, width) that they are resized to; four slices in two pairs, empty where nothing is left."""
    left, top, right, bottom = (int(v) for v in window)
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = max(min(right, shape[1]), x1), max(min(bottom, shape[0]), y1)
    across, down = size[1] / (right - left), size[0] / (bottom - top)
    rows = slice(round((y1 - top) * down), round((y2 - top) * down))
    columns = slice(round((x1 - left) * across), round((x2 - left) * across))
    return (slice(y1, y2), slice(x1, x2)), (rows, columns)


def cut(image: np.ndarray, window: np.ndarray, size: tuple, interpolation: int, mean: tuple = MEAN_PIXEL) -> np.ndarray:
    """The window's pixels at `size` (height, width); what lies outside of the image gets the mean color."""
    source, target = placed(image.shape[:2], window, size)
    result = np.empty((*size, 3), np.uint8)
    part = result[target]
    if part.shape != result.shape:
        result[:] = np.round(mean)
    if part.size:
        part[:] = cv2.resize(image[source], (part.shape[1], part.shape[0]), interpolation=interpolation)
    return result


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple, interpolation: int) -> tuple:
    """The image moved by a matrix of `rotation`, at `size` (height, width), and (height, width) bool where it shows the image."""
    smaller = int(1 / max(np.linalg.norm(matrix[:, :2], axis=1)))  # one that shrinks a lot would skip pixels
    if smaller > 1:
        sides = -(-image.shape[1] // smaller), -(-image.shape[0] // smaller)
        matrix = np.concatenate([matrix[:, :2] * (image.shape[1] / sides[0], image.shape[0] / sides[1]), matrix[:, 2:]], axis=1)
        image = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    # OpenCV counts from the center of the first pixel, boxes from its corner.
    matrix = np.concatenate([matrix[:, :2], matrix[:, :2] @ [[0.5], [0.5]] + matrix[:, 2:] - 0.5], axis=1)
    sides = size[1], size[0]
    smooth = cv2.INTER_LINEAR if interpolation == cv2.INTER_AREA else interpolation  # which a warp does not have
    moved = cv2.warpAffine(image, matrix, sides, flags=smooth, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones(image.shape[:2], np.uint8), matrix, sides, flags=cv2.INTER_NEAREST)
    return moved, inside.astype(bool)
