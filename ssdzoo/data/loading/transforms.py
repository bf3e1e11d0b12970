"""Views of images, as a training and an evaluation see them: SSD's augmentation (Liu et al. 2016, section 2.2, "Data
augmentation", and the expansion of section 3.6), and further operations; see `ssdzoo.augmentation`.

A view is drawn on rectangles alone. The pixels are touched once, when the last rectangle is cut out and resized, and the
colors are changed in the small result. Images are (H, W, 3) uint8 RGB, boxes (M, 4) float32 xyxy pixels.
"""

import cv2
import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.data.loading.augment.colors import apply_colors, blur, grayscale
from ssdzoo.data.loading.augment.draw import Drawn
from ssdzoo.data.loading.augment.geometry import flip_boxes, move_boxes, rotate_boxes, rotation, turn_boxes
from ssdzoo.data.loading.augment.pixels import MEAN_PIXEL, cut, placed, warp


def eval_transform(image: np.ndarray, size: tuple) -> np.ndarray:
    """The image at `size` (height, width), stretched as SSD does."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def render_view(image: np.ndarray, shape: tuple, boxes: np.ndarray, class_ids: np.ndarray, drawn: Drawn, size: tuple,
                mean: tuple = MEAN_PIXEL) -> tuple:  # fmt: skip
    """The drawn view.

    Args:
        image: the image, or a smaller copy of it.
        shape: (height, width) of the image itself, in whose pixels boxes and window are.
        boxes: (M, 4); class_ids: (M,).
        size: (height, width) of the result.
        mean: (3,) color of the part of the window that lies outside of the image.

    Returns:
        image (height, width, 3) uint8; boxes (K, 4) in its pixels, of the objects whose center is in it; class_ids (K,).
    """
    frame = turned_size(size, drawn.turns)
    scale = np.array(image.shape[1::-1] * 2, np.float32) / np.array(shape[::-1] * 2, np.float32)
    if drawn.degrees:
        matrix = rotation(drawn.window, drawn.degrees, frame)
        pixels = _rotated(image, matrix / [*scale[:2], 1], frame, drawn, mean)
        boxes, keep = rotate_boxes(boxes, matrix, frame, drawn.min_visible)
    else:
        pixels = _straight(image, np.round(drawn.window * scale), frame, drawn, mean)
        boxes, keep = move_boxes(boxes, drawn.window, frame, drawn.min_visible)
    if drawn.mirrored:
        pixels, boxes = cv2.flip(pixels, 1), geometry.mirror(boxes, frame[1])
    if drawn.flipped:
        pixels, boxes = cv2.flip(pixels, 0), flip_boxes(boxes, frame[0])
    if drawn.turns:
        pixels, boxes = np.rot90(pixels, drawn.turns), turn_boxes(boxes, drawn.turns, frame)
    return pixels, boxes, class_ids[keep]


def turned_size(size: tuple, turns: int) -> tuple:
    """The (height, width) that becomes `size` by turns of 90 degrees."""
    return tuple(size[::-1]) if turns % 2 else tuple(size)


def _straight(image: np.ndarray, window: np.ndarray, size: tuple, drawn: Drawn, mean: tuple) -> np.ndarray:
    pixels = cut(image, window, size, drawn.interpolation, mean)
    # The part outside of the image keeps the mean color, as if colors were changed before the expansion.
    part = pixels[placed(image.shape[:2], window, size)[1]]
    if part.size:
        part[:] = _changed(part, drawn)
    return pixels


def _rotated(image: np.ndarray, matrix: np.ndarray, size: tuple, drawn: Drawn, mean: tuple) -> np.ndarray:
    pixels, inside = warp(image, matrix, size, drawn.interpolation)
    return np.where(inside[..., None], _changed(pixels, drawn), np.round(mean).astype(np.uint8))


def _changed(pixels: np.ndarray, drawn: Drawn) -> np.ndarray:
    """The pixels with their colors changed."""
    if drawn.colors:
        pixels = apply_colors(pixels, **drawn.colors)
    if drawn.gray:
        pixels = grayscale(pixels)
    return blur(pixels, drawn.blur) if drawn.blur else pixels


def reduction(window: np.ndarray, size: tuple) -> int:
    """8, 4, 2 or 1: how many times smaller an image may be decoded so that its window still fills `size` (height, width)."""
    width, height = window[2:] - window[:2]
    return next(r for r in (8, 4, 2, 1) if r == 1 or (width >= r * size[1] and height >= r * size[0]))
