"""SSD's augmentation (Liu et al. 2016, section 2.2, "Data augmentation", and the expansion of section 3.6).

The crop is drawn on rectangles alone. The pixels are touched once, when the last rectangle is cut out and resized, and the
colors are changed in the small result. Images are (H, W, 3) uint8 RGB, boxes (M, 4) float32 xyxy pixels. Random
functions take a numpy Generator and return what they drew.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from ssdzoo import boxes as geometry

MEAN_PIXEL = (123.675, 116.28, 103.53)  # ImageNet's mean color
MIN_IOUS = (None, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # None keeps the whole image, 0.0 takes any part of it
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Augmentation:
    """Probabilities of the expansion, of a crop, of mirroring, and of any change of colors."""

    expand: float = 0.5
    crop: float = 1.0
    mirror: float = 0.5
    colors: float = 1.0


# "ssd" is the paper's; "light" hardly changes sizes and places, which learns faster where time is short.
AUGMENTATIONS = {
    "ssd": Augmentation(),
    "light": Augmentation(expand=0.0, crop=0.3, colors=0.5),
    "none": Augmentation(expand=0.0, crop=0.0, mirror=0.0, colors=0.0),
}


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a sample: window (4,) in pixels of the image, whether it is mirrored, interpolation, and arguments of
    `apply_colors`."""

    window: np.ndarray
    mirrored: bool
    interpolation: int
    colors: dict


def eval_transform(image: np.ndarray, size: tuple) -> np.ndarray:
    """The image at `size` (height, width), stretched as SSD does."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def train_transform(image: np.ndarray, boxes: np.ndarray, class_ids: np.ndarray, size: tuple, rng: Generator,
                    mean: tuple = MEAN_PIXEL, augmentation: Augmentation = AUGMENTATIONS["ssd"]) -> tuple:  # fmt: skip
    """One random view of an image: `draw_view`, then `render_view`, which see for arguments and results."""
    height, width = image.shape[:2]
    drawn = draw_view(height, width, boxes, rng, augmentation)
    return (*render_view(image, (height, width), boxes, class_ids, drawn, size, mean), drawn)


def draw_view(height: int, width: int, boxes: np.ndarray, rng: Generator,
              augmentation: Augmentation = AUGMENTATIONS["ssd"]) -> Drawn:  # fmt: skip
    """Draws a random view of an image, whose pixels need not be read yet.

    Args:
        height, width: of the image; boxes: (M, 4) in its pixels.
        rng: numpy Generator.
        augmentation: the probabilities.
    """
    window = whole(height, width)
    if rng.random() < augmentation.expand:
        window = draw_expand(height, width, rng)
    if rng.random() < augmentation.crop:
        window = draw_crop(window, boxes, rng)
    mirrored = bool(rng.random() < augmentation.mirror)
    interpolation = INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]
    return Drawn(window, mirrored, interpolation, draw_colors(rng) if rng.random() < augmentation.colors else {})


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
    scale = np.array(image.shape[1::-1] * 2, np.float32) / np.array(shape[::-1] * 2, np.float32)
    window = np.round(drawn.window * scale)
    pixels = cut(image, window, size, drawn.interpolation, mean)
    boxes, keep = move_boxes(boxes, drawn.window, size)
    # The part outside of the image keeps the mean color, as if colors were changed before the expansion.
    part = pixels[placed(image.shape[:2], window, size)[1]]
    if part.size and drawn.colors:
        part[:] = apply_colors(part, **drawn.colors)
    if drawn.mirrored:
        pixels, boxes = flip(pixels, boxes)
    return pixels, boxes, class_ids[keep]


def reduction(window: np.ndarray, size: tuple) -> int:
    """8, 4, 2 or 1: how many times smaller an image may be decoded so that its window still fills `size` (height, width)."""
    width, height = window[2:] - window[:2]
    return next(r for r in (8, 4, 2, 1) if r == 1 or (width >= r * size[1] and height >= r * size[0]))


def whole(height: int, width: int) -> np.ndarray:
    """(4,) window of the whole image."""
    return np.array([0, 0, width, height], np.float32)


def draw_expand(height: int, width: int, rng: Generator, largest: float = 4.0) -> np.ndarray:
    """(4,) window of 1 to `largest` times the sides of the image, with the image anywhere in it."""
    ratio = rng.uniform(1, largest)
    left, top = rng.uniform(0, width * (ratio - 1)), rng.uniform(0, height * (ratio - 1))
    return np.round(np.array([-left, -top, width * ratio - left, height * ratio - top], np.float32))


def draw_crop(window: np.ndarray, boxes: np.ndarray, rng: Generator, trials: int = 50) -> np.ndarray:
    """(4,) part of a window, or the window itself.

    A minimum IoU is drawn from MIN_IOUS; then parts of 0.3 to 1 times the sides, with an aspect ratio of 0.5 to 2, until one has
    that IoU with an object and contains an object's center. Without objects, the first part is taken.
    """
    min_iou = MIN_IOUS[rng.integers(len(MIN_IOUS))]
    if min_iou is None:
        return window
    scale = rng.uniform(0.3, 1, trials)
    root = np.sqrt(rng.uniform(np.maximum(0.5, scale**2), np.minimum(2, scale**-2)))
    whole_sides = window[2:] - window[:2]
    sides = whole_sides * np.stack([scale * root, scale / root], axis=1)
    corner = window[:2] + rng.random((trials, 2)) * (whole_sides - sides)
    crops = np.round(np.concatenate([corner, corner + sides], axis=1)).astype(np.float32)
    good = (crops[:, 2:] - crops[:, :2] >= 1).all(axis=1)
    if len(boxes):
        good &= geometry.iou(crops, boxes).max(axis=1) >= min_iou
        good &= centers_inside(boxes, crops[:, None]).any(axis=1)
    return crops[good.argmax()] if good.any() else window


def centers_inside(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(M,) bool: the center lies inside the window (4,) on both axes; (T, M) for windows (T, 1, 4)."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centers > window[..., :2]) & (centers < window[..., 2:])).all(axis=-1)


def move_boxes(boxes: np.ndarray, window: np.ndarray, size: tuple) -> tuple:
    """Boxes (K, 4) in pixels of the window resized to `size` and clipped to it, and (M,) bool which of the boxes they are:
    those whose center is inside, and that are at least a pixel wide and high."""
    scale = np.array([size[1], size[0]] * 2, np.float32) / np.tile(window[2:] - window[:2], 2)
    moved = geometry.clip((boxes - np.tile(window[:2], 2)) * scale, *size)
    keep = centers_inside(boxes, window) & (moved[:, 2:] - moved[:, :2] >= 1).all(axis=1)
    return moved[keep].astype(np.float32), keep


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


def flip(image: np.ndarray, boxes: np.ndarray) -> tuple:
    """Image and boxes mirrored."""
    return cv2.flip(image, 1), geometry.mirror(boxes, image.shape[1])


def draw_colors(rng: Generator) -> dict:
    """Arguments of `apply_colors`: brightness (+-32), contrast (0.5 to 1.5, before or after the colors), saturation (0.5 to
    1.5) and hue (+-18 degrees), each with probability 0.5."""
    drawn = {}
    for name, low, high in (("brightness", -32, 32), ("contrast", 0.5, 1.5), ("saturation", 0.5, 1.5), ("hue", -18, 18)):
        if rng.random() < 0.5:
            drawn[name] = float(rng.uniform(low, high))
    return {**drawn, "contrast_first": bool(rng.random() < 0.5)}


def apply_colors(image: np.ndarray, brightness: float = 0.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0,
                 contrast_first: bool = True) -> np.ndarray:  # fmt: skip
    """The image with changed colors, clipped to 0..255. Hue in degrees; contrast is a factor of the values, as in Caffe's SSD."""
    levels = np.arange(256)
    values = levels + brightness
    if contrast_first:
        values = np.clip(values, 0, 255) * contrast
    if brightness or (contrast_first and contrast != 1):
        image = cv2.LUT(image, _levels(values))
    if saturation != 1 or hue:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # hue is in steps of 2 degrees, 0..179
        hues = ((levels + round(hue / 2)) % 180).astype(np.uint8)
        table = np.stack([hues, _levels(levels * saturation), levels.astype(np.uint8)], axis=-1)[None]
        image = cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)
    if not contrast_first and contrast != 1:
        image = cv2.LUT(image, _levels(levels * contrast))
    return image


def _levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
