"""What is drawn for a view of an image, on rectangles alone: no pixels are needed. Functions take a numpy Generator."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from ssdzoo import boxes as geometry
from ssdzoo.augmentation.table import Augmentation, Colors, Crop
from ssdzoo.data.loading.augment.geometry import centers_inside, whole

INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a view.

    Attributes:
        window: (4,) float32 xyxy, pixels of the image.
        mirrored, flipped: whether left and right, and top and bottom, change places.
        interpolation: of OpenCV.
        colors: arguments of `apply_colors`.
        turns: by 90 degrees, counterclockwise, 0 to 3; the last of all operations.
        degrees: of the rotation around the center of the window, counterclockwise.
        gray: whether the colors are taken away.
        blur: sigma of the Gaussian filter, pixels of the result; 0 for none.
        min_visible: minimum part of the area of a box that is left in the view.
    """

    window: np.ndarray
    mirrored: bool
    interpolation: int
    colors: dict
    flipped: bool = False
    turns: int = 0
    degrees: float = 0.0
    gray: bool = False
    blur: float = 0.0
    min_visible: float = 0.0


def happens(rng: Generator, probability: float) -> bool:
    """Whether something happens. What never does draws nothing, so that a new operation changes no augmentation without it."""
    return probability > 0 and bool(rng.random() < probability)


def draw_view(height: int, width: int, boxes: np.ndarray, rng: Generator, augmentation: Augmentation) -> Drawn:
    """Draws a random view of an image, whose pixels need not be read yet.

    Args:
        height, width: of the image; boxes: (M, 4) in its pixels.
        rng: numpy Generator.
        augmentation: the operations; a mosaic is not among them, see `mosaic`.
    """
    window = whole(height, width)
    if rng.random() < augmentation.expand.probability:
        window = draw_expand(height, width, rng, augmentation.expand.ratio)
    if happens(rng, augmentation.scale.probability):
        window = draw_scale(window, rng, augmentation.scale.ratio)
    if rng.random() < augmentation.crop.probability:
        window = draw_crop(window, boxes, rng, augmentation.crop)
    mirrored = bool(rng.random() < augmentation.mirror.probability)
    interpolation = INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]
    colors = draw_colors(rng, augmentation.colors) if rng.random() < augmentation.colors.probability else {}
    rotated = happens(rng, augmentation.rotate.probability)
    return Drawn(
        window, mirrored, interpolation, colors,
        degrees=float(rng.uniform(*augmentation.rotate.degrees)) if rotated else 0.0,
        min_visible=augmentation.rotate.min_visible if rotated else 0.0,
        gray=happens(rng, augmentation.grayscale.probability),
        blur=float(rng.uniform(*augmentation.blur.sigma)) if happens(rng, augmentation.blur.probability) else 0.0,
        flipped=happens(rng, augmentation.flip.probability),
        turns=int(rng.integers(1, 4)) if happens(rng, augmentation.rotate90.probability) else 0,
    )  # fmt: skip


def draw_expand(height: int, width: int, rng: Generator, ratio: tuple = (1.0, 4.0)) -> np.ndarray:
    """(4,) window of as many times the sides of the image as is drawn from `ratio`, with the image anywhere in it."""
    drawn = rng.uniform(*ratio)
    left, top = rng.uniform(0, width * (drawn - 1)), rng.uniform(0, height * (drawn - 1))
    return np.round(np.array([-left, -top, width * drawn - left, height * drawn - top], np.float32))


def draw_scale(window: np.ndarray, rng: Generator, ratio: tuple) -> np.ndarray:
    """(4,) window in which what a window shows is as many times as large as is drawn from `ratio`: a part of it, or around it."""
    sides = (window[2:] - window[:2]) / rng.uniform(*ratio)
    corner = window[:2] + rng.random(2) * (window[2:] - window[:2] - sides)
    return _rounded(corner, sides)


def _rounded(corner: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(4,) window of whole pixels, at least one wide and high."""
    first = np.round(corner)
    return np.concatenate([first, np.maximum(np.round(corner + sides), first + 1)]).astype(np.float32)


def draw_part(window: np.ndarray, parts: np.ndarray, rng: Generator) -> np.ndarray:
    """(4,) part of a window anywhere in it: `parts` (2,) of its width and height."""
    sides = (window[2:] - window[:2]) * parts
    return _rounded(window[:2] + rng.random(2) * (window[2:] - window[:2] - sides), sides)


def draw_crop(window: np.ndarray, boxes: np.ndarray, rng: Generator, crop: Crop, trials: int = 50) -> np.ndarray:
    """(4,) part of a window, or the window itself.

    A minimum IoU is drawn; then parts of `crop.scale` times the sides, whose aspect ratio is changed by `crop.aspect`, until one
    has that IoU with an object and contains an object's center. Without objects, the first part is taken.
    """
    drawn = rng.integers(len(crop.min_iou) + 1)
    if drawn == 0:
        return window
    scale = rng.uniform(crop.scale[0], crop.scale[1], trials)
    low, high = crop.aspect
    root = np.sqrt(rng.uniform(np.maximum(low, scale**2), np.minimum(high, scale**-2)))
    whole_sides = window[2:] - window[:2]
    sides = whole_sides * np.stack([scale * root, scale / root], axis=1)
    corner = window[:2] + rng.random((trials, 2)) * (whole_sides - sides)
    crops = np.round(np.concatenate([corner, corner + sides], axis=1)).astype(np.float32)
    good = (crops[:, 2:] - crops[:, :2] >= 1).all(axis=1)
    if len(boxes):
        good &= geometry.iou(crops, boxes).max(axis=1) >= crop.min_iou[drawn - 1]
        good &= centers_inside(boxes, crops[:, None]).any(axis=1)
    return crops[good.argmax()] if good.any() else window


def draw_colors(rng: Generator, colors: Colors) -> dict:
    """Arguments of `apply_colors`: brightness, contrast (before or after the others), saturation and hue, each with probability
    `colors.each`, within their ranges."""
    drawn = {}
    for name in ("brightness", "contrast", "saturation", "hue"):
        if rng.random() < colors.each:
            drawn[name] = float(rng.uniform(*getattr(colors, name)))
    return {**drawn, "contrast_first": bool(rng.random() < 0.5)}
