"""Reads images, and refuses those whose end is missing, which OpenCV would fill with gray."""

import io
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from ssdzoo.data.image_header import Header, count_scans, is_jpeg, read_header
from ssdzoo.data.image_source import FilePart, ImageBytes, ImageFile
from ssdzoo.errors import CallError, DataError
from ssdzoo.files import open_file
from ssdzoo.machine import memory
from ssdzoo.quote import brief

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
OPENCV_PIXELS = int(os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS") or 1 << 30)  # as OpenCV reads it when it is imported
MAX_PIXELS = 1 << 29  # photos of 500 megapixels have fewer; `SSDZOO_MAX_PIXELS` sets another limit
MAX_SCANS = 100  # of a JPEG; cameras and programs write 10 to 20, and each takes as long as decoding a whole image
SCANNED_PIXELS = 1 << 32  # pixels times scans of a JPEG: about half a minute
FILE_BYTES_PER_PIXEL = 4  # of an image's file, for the pixels that an image may have
_CONVERT = "replace it, convert it to JPEG or PNG if it is an image of another format"
_SEND_OTHER = "send a JPEG or a PNG"
ROWS = 256  # that are scaled at once, to spare memory
BYTES_PER_PIXEL = 8  # the decoded image, its copy in RGB, and the file
_FLAGS = {
    1: cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


ImageSource = str | Path | FilePart | ImageBytes | ImageFile


class ImageInfo(NamedTuple):
    """What is known of an image before it is decoded.

    Attributes:
        height, width: in pixels, of what `read_image` returns.
        orientation: the turning that EXIF asks for and `read_image` does, 2 to 8; 1 for none.
    """

    height: int
    width: int
    orientation: int = 1


def read_image(path: ImageSource, reduction: int = 1) -> np.ndarray:
    """The pixels of a path, a FilePart or ImageBytes, (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Gray becomes three equal channels, and transparency is dropped. An image of more than 8 bits per channel is scaled by
    `to_8_bits`.

    Args:
        reduction: 1, 2, 4 or 8; a JPEG is decoded with that many times fewer rows and columns, in much less time. Other
            formats are always decoded in full.

    Raises:
        DataError: missing, unreadable, not an image, truncated (OpenCV would fill the missing part with gray), or with more
            pixels than `max_pixels`.
    """
    return cv2.cvtColor(to_8_bits(decode_image(path, reduction)), cv2.COLOR_BGR2RGB)


def decode_image(path: ImageSource, reduction: int = 1) -> np.ndarray:
    """The pixels as the file has them, (H, W, 3) BGR of any dtype, turned; arguments and errors are those of `read_image`."""
    with _opened(path) as file:
        header = _checked_header(path, file)
        file.seek(0)
        data = file.read()
    _check_scans(path, data, header)
    pixels, flags = np.frombuffer(data, np.uint8), _FLAGS[reduction if is_jpeg(data) else 1]
    image = _decoded(pixels, flags)
    if image is None:  # one channel of 32 or 64 bits has no color in OpenCV
        image = _decoded(pixels, cv2.IMREAD_ANYDEPTH)
    if image is None or (image.ndim == 2 and image.dtype == np.uint8):
        raise DataError(f"{path}: not an image that OpenCV can decode; {_remedy(path, _CONVERT, _SEND_OTHER)}")
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any dtype as uint8. Those of 8 bits stay as they are.

    Of others, such as thermal photos of 14 or 16 bits, the lowest value of the image becomes 0 and its highest 255, for all
    channels together: fixed limits would leave a few shades of gray of a photo that uses a small part of its range. Values that
    are not finite become 0, and so does an image of a single value.
    """
    if pixels.dtype == np.uint8:
        return pixels
    finite = pixels if pixels.dtype.kind in "iu" else pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0, 0)
    result = np.zeros(pixels.shape, np.uint8)
    if high > low:
        type_: type = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
        for i in range(0, len(pixels), ROWS):
            values = (pixels[i : i + ROWS].astype(type_) - type_(low)) * type_(255 / (high - low))
            result[i : i + ROWS] = np.nan_to_num(np.rint(values), nan=0, posinf=0, neginf=0)
    return result


def encode_image(image: np.ndarray, suffix: str, quality: int = 92) -> bytes:
    """The content of an image's file. `cv2.imwrite` would end the process where a path is not UTF-8.

    Args:
        image: (H, W, 3) uint8 RGB.
        suffix: ".jpg" or ".png".
        quality: of a JPEG, 0 to 100.

    Raises:
        DataError: larger than the format allows: 65,535 pixels in a JPEG.
    """
    try:
        return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    except cv2.error:
        raise DataError(f"an image of {image.shape[1]}x{image.shape[0]} cannot be written as {suffix}") from None


def image_size(path: ImageSource) -> tuple:
    """(height, width) in pixels of what `read_image` returns; see `image_info`."""
    return image_info(path)[:2]


def image_info(path: ImageSource) -> ImageInfo:
    """The size of what `read_image` returns, from the header and a look at the end.

    Raises:
        DataError: see `read_image`.
    """
    with _opened(path) as file:
        header = _checked_header(path, file)
    is_rare = header is None or header.kind == "other"
    if is_rare and isinstance(path, (str, Path)) and not has_decoder(path):
        raise DataError(f"{path}: not an image; {_remedy(path, _CONVERT, _SEND_OTHER)}")
    if header is None or not header.height or not header.width:
        return ImageInfo(*decode_image(path).shape[:2])
    sides, turned = (header.height, header.width), (header.width, header.height)
    if header.kind == "jpeg":
        height, width = turned if header.orientation > 4 else sides
        return ImageInfo(height, width, header.orientation)
    if header.orientation > 4:  # which of the rarer formats OpenCV turns depends on its version
        height, width = decode_image(path).shape[:2]
        return ImageInfo(height, width, header.orientation if (height, width) == turned else 1)
    return ImageInfo(*sides, header.orientation)


def has_decoder(path: str | Path) -> bool:
    """Whether OpenCV knows the format of a file, by its content; False for what is no regular file."""
    try:
        with open_file(path) as file:
            # A name with bytes that are not UTF-8 would end the process within OpenCV.
            name = str(path) if _is_utf8(path) else f"/dev/fd/{file.fileno()}"
            return bool(cv2.haveImageReader(name))
    except OSError:
        return False


def _is_utf8(path: str | Path) -> bool:
    return not re.search("[\ud800-\udfff]", str(path))


@lru_cache
def max_pixels() -> int:
    """The number of pixels that an image may have: MAX_PIXELS or what the environment variable `SSDZOO_MAX_PIXELS` says, but no
    more than OpenCV decodes and the memory holds.

    Raises:
        CallError: the variable is not a whole number.
    """
    wanted = os.environ.get("SSDZOO_MAX_PIXELS", "").strip() or str(MAX_PIXELS)
    if not re.fullmatch("[0-9]{1,18}", wanted) or not int(wanted):
        raise CallError(
            f"SSDZOO_MAX_PIXELS is {brief(wanted)}; expected the maximum number of pixels of an image, such as 500000000"
        )
    bytes_ = memory()
    return min(int(wanted), OPENCV_PIXELS, bytes_ // BYTES_PER_PIXEL if bytes_ else OPENCV_PIXELS)


def _checked_header(path: ImageSource, file: BinaryIO) -> Header | None:
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise DataError(f"{path}: the file is empty; {_remedy(path, 'replace it', 'send it again')}")
    check_file_size(path, size)
    header = read_header(file)
    if header and not header.is_complete:
        raise DataError(f"{path}: truncated, the end of the image is missing; {_remedy(path, 'replace it', 'send it again')}")
    if header and header.height * header.width > max_pixels():
        limit = _limit(path, max_pixels() // 10**6, "million")
        raise DataError(f"{path}: {header.width}x{header.height} are too many pixels, {limit}")
    return header


def file_limit() -> int:
    """The number of bytes that an image's file may have."""
    return max_pixels() * FILE_BYTES_PER_PIXEL


def check_file_size(path: ImageSource, size: int) -> None:
    """
    Raises:
        DataError: more bytes than `file_limit`.
    """
    if size > file_limit():
        limit = _limit(path, file_limit() >> 20, "MiB")
        raise DataError(f"{path}: {size >> 20:,} MiB are too many for an image, {limit}")


def _remedy(path: ImageSource, advice: str, to_clients: str) -> str:
    """What to do about an image that can't be used: one of the user's files, or one that was sent by somebody else."""
    sent = isinstance(path, ImageBytes) and path.sent
    return to_clients if sent else f"{advice}, or take it out of the data"


def _limit(path: ImageSource, count: int, unit: str) -> str:
    if isinstance(path, ImageBytes) and path.sent:
        return f"the limit is {count:,} {unit}; send a smaller image"
    what = _remedy(path, "cut the image into tiles, make it smaller", "")
    if max_pixels() == MAX_PIXELS:
        return f"the limit is {count:,} {unit}; {what}, or set SSDZOO_MAX_PIXELS to more than {MAX_PIXELS}"
    return f"OpenCV and the memory of this machine, or SSDZOO_MAX_PIXELS, allow {count:,} {unit}; {what}"


def _check_scans(path: ImageSource, data: bytes, header: Header | None) -> None:
    """Refuses a JPEG of so many scans that it would be decoded for minutes."""
    if not is_jpeg(data) or not header:
        return
    pixels = header.height * header.width
    most = min(MAX_SCANS, SCANNED_PIXELS // max(1, pixels))
    if (count := count_scans(data, most)) > most:
        remedy = _remedy(path, _CONVERT, "save it again with fewer")
        raise DataError(f"{path}: a JPEG of {count} scans; up to {most} are decoded at its size: {remedy}")


def _decoded(data: np.ndarray, flags: int) -> np.ndarray | None:
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)  # the error of the caller reports it once, with the path
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:
        return None
    finally:
        cv2.setLogLevel(level)


def _opened(path):
    try:
        return open_file(str(path)) if isinstance(path, (str, Path, ImageFile)) else io.BytesIO(path.read())
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; put it there, or take it out of the data") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; fix it, or take it out of the data") from None
