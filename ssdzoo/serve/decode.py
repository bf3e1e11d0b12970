"""From the bytes of an image to the input of the network, in a thread of the pool."""

import io
import time
from typing import NamedTuple

import numpy as np

from ssdzoo.data.image_header import count_scans, is_jpeg, read_header
from ssdzoo.data.images import ImageBytes
from ssdzoo.errors import DataError
from ssdzoo.predict.detector import Detector
from ssdzoo.serve.limits import Limits


class Prepared(NamedTuple):
    """An image for the network.

    Attributes:
        name: of the image.
        size: (height, width) of the image in pixels.
        pixels: what the backend takes of it.
        seconds: that decoding it took.
    """

    name: str
    size: tuple[int, int]
    pixels: np.ndarray
    seconds: float


def prepare(detector: Detector, image: ImageBytes, limits: Limits) -> Prepared:
    """
    Raises:
        DataError: not an image, broken, or larger than `limits` or the library allow.
    """
    start = time.perf_counter()
    _check(image, limits)
    pixels, prepared = detector.prepare(image)
    height, width = pixels.shape[:2]
    return Prepared(image.name, (height, width), prepared, time.perf_counter() - start)


def _check(image: ImageBytes, limits: Limits) -> None:
    """What strangers may send is less than what a user's own file may be, which `read_image` checks afterwards."""
    header = read_header(io.BytesIO(image.data)) if image.data else None
    if header is None:
        return
    pixels = header.height * header.width
    if pixels > limits.pixels:
        raise DataError(
            f"{image}: {header.width}x{header.height} are too many pixels, this server takes {limits.pixels // 10**6} million: "
            "send a smaller image"
        )
    most = limits.scanned_pixels // max(1, pixels)
    if is_jpeg(image.data) and count_scans(image.data, most) > most:
        raise DataError(f"{image}: a JPEG of more than {most} scans takes too long to decode at its size: save it again")
