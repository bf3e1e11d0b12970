"""Reads images, and refuses those whose end is missing, which OpenCV would fill with gray."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from ssdzoo.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_TAIL = 65536  # bytes at a file's end in which its end marker is looked for first; phones append whole videos after it
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_FLAGS = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip


@dataclass(frozen=True)
class FilePart:
    """An image inside of a larger file, such as a .rec; it can be given wherever an image's path can.

    Attributes:
        path: the file.
        offset, size: of the part, in bytes.
        holes: offsets in the file of 4 bytes each within the part that do not belong to the image, in rising order.
    """

    path: Path
    offset: int
    size: int
    holes: tuple = ()

    def __str__(self):
        return f"{self.path}[{self.offset}:{self.offset + self.size}]"

    @property
    def stem(self) -> str:
        """A name for files that are made from the image."""
        return f"{self.path.stem}-{self.offset}"

    def read(self) -> bytes:
        """The image's bytes; fewer where the file ends before the part does."""
        with open(self.path, "rb") as file:
            left = file.seek(0, io.SEEK_END) - self.offset
            file.seek(self.offset)
            data = file.read(max(0, min(self.size, left)))
        starts = [0, *(hole + 4 - self.offset for hole in self.holes)]
        ends = [*(hole - self.offset for hole in self.holes), len(data)]
        return b"".join(data[a:b] for a, b in zip(starts, ends))


def read_image(path: str | Path | FilePart, reduction: int = 1) -> np.ndarray:
    """The pixels of a path or a FilePart, (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Args:
        reduction: 1, 2, 4 or 8; a JPEG is decoded with that many times fewer rows and columns, in much less time. Other
            formats are always decoded in full.

    Raises:
        DataError: missing, unreadable, not an image, or truncated (OpenCV would fill the missing part with gray).
    """
    with _opened(path) as file:
        data = file.read()
    _check_complete(path, io.BytesIO(data))
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)  # the error below reports it once, with the path
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[reduction if data[:2] == _JPEG else 1])
    except cv2.error:  # such as a header that claims more pixels than OpenCV allows
        image = None
    finally:
        cv2.setLogLevel(level)
    if image is None:
        raise DataError(f"{path}: not an image that OpenCV can decode; replace it, or take it out of the data")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def image_size(path: str | Path | FilePart) -> tuple:
    """(height, width) in pixels of what `read_image` returns, from the header and a look at the end.

    Raises:
        DataError: see `read_image`.
    """
    from PIL import Image

    with _opened(path) as file:
        _check_complete(path, file)
        file.seek(0)
        try:
            with Image.open(file) as image:
                width, height = image.size
                if image.format in ("JPEG", "MPO"):
                    return (width, height) if _is_turned(image.info.get("exif")) else (height, width)
                # Pillow would decode a whole PNG in search of its orientation.
                turned = _has_exif(path) if image.format == "PNG" else image.getexif().get(0x0112, 1) > 4
        except Image.DecompressionBombError:
            raise DataError(f"{path}: has too many pixels to be decoded; make it smaller, or take it out of the data") from None
        except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error):
            raise DataError(f"{path}: not an image; replace it, or take it out of the data") from None
    # Which of the rarer formats OpenCV turns depends on its version.
    return read_image(path).shape[:2] if turned else (height, width)


def _opened(path):
    try:
        return io.BytesIO(path.read()) if isinstance(path, FilePart) else open(path, "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; put it there, or take it out of the data") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; fix it, or take it out of the data") from None
    except ValueError:
        raise DataError(f"{str(path)!r}: no such image, a file's name holds no zero bytes") from None


def _check_complete(path: str | Path | FilePart, file: BinaryIO) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(8)
    if size == 0:
        raise DataError(f"{path}: the file is empty; replace it, or take it out of the data")
    if head[:2] == _JPEG:
        complete = _jpeg_is_complete(file, size)
    elif head == _PNG:
        complete = "IEND" in _png_chunks(file, size)
    else:
        return
    if not complete:
        raise DataError(f"{path}: truncated, the end of the image is missing; replace it, or take it out of the data")


def _jpeg_is_complete(file: BinaryIO, size: int) -> bool:
    """Whether an end marker follows the first scan. Its header segments are skipped, because a thumbnail in them has its
    own."""
    at = 2
    while at + 4 <= size:
        file.seek(at)
        head = file.read(4)
        if head[0] != 0xFF:
            return False
        if head[1] == 0xFF:  # padding
            at += 1
            continue
        if head[1] == 0xDA:  # start of scan; in what follows, FF D9 can only be the end
            return _holds(file, b"\xff\xd9", at, size)
        at += 2 + struct.unpack(">H", head[2:])[0]
    return False


def _holds(file: BinaryIO, marker: bytes, start: int, size: int) -> bool:
    """Whether bytes are found behind `start`: near the end of the file, or else anywhere."""
    for at in (max(start, size - _TAIL), start):
        file.seek(at)
        if marker in file.read():
            return True
    return False


def _png_chunks(file: BinaryIO, size: int) -> set:
    """Names of the chunks; that of the last one only if the file holds its 12 bytes around the content."""
    names, at = set(), len(_PNG)
    while at + 12 <= size and "IEND" not in names:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        names.add(name.decode("latin-1"))
    return names


def _has_exif(path: str | Path | FilePart) -> bool:
    with _opened(path) as file:
        return "eXIf" in _png_chunks(file, file.seek(0, io.SEEK_END))


def _is_turned(data: bytes | None) -> bool:
    """Whether a JPEG's EXIF swaps its sides. One that cannot be read turns nothing, in OpenCV too."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(data or b"")
        return exif.get(0x0112, 1) in (5, 6, 7, 8)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return False
