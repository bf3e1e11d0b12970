"""Reading images, and finding out that one is broken before its missing part is trained on."""

import struct
from pathlib import Path

import cv2
import numpy as np

from ssdzoo.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_TAIL = 65536  # bytes at a file's end in which its end marker must stand; cameras append some data after it


def read_image(path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        DataError: missing, unreadable, not an image, or truncated (OpenCV would fill the missing part with gray).
    """
    data = _bytes(path)
    _check_complete(path, data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path}: not an image that OpenCV can decode; replace it, or take it out of the data")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def image_size(path) -> tuple:
    """(height, width) in pixels, after EXIF orientation, from the header and a look at the end: nothing is decoded.

    Raises:
        DataError: see `read_image`.
    """
    from PIL import Image, UnidentifiedImageError

    data = _bytes(path)
    _check_complete(path, data)
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise DataError(f"{path}: not an image; replace it, or take it out of the data") from None
    return (width, height) if turned else (height, width)


def _bytes(path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not data:
        raise DataError(f"{path}: the file is empty; replace it, or take it out of the data")
    return data


def _check_complete(path, data: bytes) -> None:
    if data[:2] == b"\xff\xd8":
        complete = _jpeg_is_complete(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        complete = b"IEND" in data[-_TAIL:]
    else:
        return
    if not complete:
        raise DataError(f"{path}: truncated, the end of the image is missing; replace it, or take it out of the data")


def _jpeg_is_complete(data: bytes) -> bool:
    """Whether an end marker follows the first scan. Its header segments are skipped, because a thumbnail in them has its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA:  # start of scan; in what follows, FF D9 can only be the end
            return data.rfind(b"\xff\xd9", max(at, len(data) - _TAIL)) > 0
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return False
