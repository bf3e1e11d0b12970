"""Changes of the colors of an image, (H, W, 3) uint8 RGB, which is not changed itself."""

import cv2
import numpy as np


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


def grayscale(image: np.ndarray) -> np.ndarray:
    """The image with its brightness (ITU-R BT.601) in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """The image under a Gaussian filter of `sigma` pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)
