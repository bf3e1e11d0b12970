"""What the first bytes of an image file say, without decoding it: its size, its orientation, and whether its end is there."""

import io
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

_TAIL = 65536  # bytes at a file's end in which its end marker is looked for first; phones append whole videos after it
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # of the markers C0 to CF, those that begin no frame
_ORIENTATION = 0x0112
_MAX_STEPS = 1 << 17  # segments of a JPEG or chunks of a PNG that are looked at; a file of zeros has as many as bytes
_MAX_EXIF = 1 << 20  # bytes
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # behind coded pixels
# Formats that Pillow does not know, but OpenCV: Radiance's HDR, and the newest of the netpbm.
_LINES = (
    re.compile(rb"#\?R.*?\n[-+]Y (?P<height>\d{1,9}) [-+]X (?P<width>\d{1,9})\n", re.DOTALL),
    re.compile(rb"P[Ff]\s+(?P<width>\d{1,9})\s+(?P<height>\d{1,9})\s"),
    re.compile(rb"P7\s(?=.*?WIDTH\s+(?P<width>\d{1,9})\s)(?=.*?HEIGHT\s+(?P<height>\d{1,9})\s)", re.DOTALL),
)
_pillow = threading.Lock()


class Header(NamedTuple):
    """What a header says.

    Attributes:
        kind: "jpeg", "png" or "other".
        height, width: in pixels, as they are stored; 0 where the header does not say.
        orientation: EXIF's, 1 to 8; 5 to 8 swap height and width.
        is_complete: False where the end of the image is missing.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    is_complete: bool = True


def read_header(file: BinaryIO) -> Header | None:
    """The header of an image; None for what is no image, or is one that only OpenCV knows."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(8)
    if head[:2] == _JPEG:
        return _read_jpeg(file, size)
    return _read_png(file, size) if head == _PNG else _read_other(file)


def is_jpeg(data: bytes) -> bool:
    """Whether a file begins like a JPEG."""
    return data[:2] == _JPEG


def count_scans(data: bytes, most: int) -> int:
    """The number of scans of a JPEG, at least where it is more than `most`; each may hold all pixels."""
    if data.count(b"\xff\xda") <= most:
        return 0  # in its segments there may be some that are none, but not fewer
    at, count = 2, 0
    while (match := _MARKER.search(data, at)) and match[1] != b"\xd9":
        count += match[1] == b"\xda"
        at = match.end() + max(2, int.from_bytes(data[match.end() : match.end() + 2], "big"))
    return count


def _read_jpeg(file: BinaryIO, size: int) -> Header:
    """Its end marker counts only behind the first scan: a thumbnail in the header segments has its own."""
    at, height, width, exif = 2, 0, 0, b""
    for _ in range(_MAX_STEPS):
        if at + 4 > size:
            break
        file.seek(at)
        head = file.read(4)
        if head[0] != 0xFF:
            break
        marker = head[1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        length = struct.unpack(">H", head[2:])[0]
        if marker == 0xDA:  # start of scan; in what follows, FF D9 can only be the end
            return Header("jpeg", height, width, _orientation(exif), _holds(file, b"\xff\xd9", at, size))
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            frame = file.read(5)
            height, width = struct.unpack(">HH", frame[1:]) if len(frame) == 5 else (0, 0)
        elif marker == 0xE1 and (part := file.read(length - 2 if length > 2 else 0))[:6] == b"Exif\0\0":
            exif += (part[6:] if exif else part) if len(exif) < _MAX_EXIF else b""
        at += 2 + length
    return Header("jpeg", height, width, is_complete=False)


def _holds(file: BinaryIO, marker: bytes, start: int, size: int) -> bool:
    """Whether bytes are found behind `start`: near the end of the file, or else anywhere."""
    for at in (max(start, size - 64), max(start, size - _TAIL), start):
        file.seek(at)
        if marker in file.read():
            return True
    return False


def _read_png(file: BinaryIO, size: int) -> Header:
    """Its last chunk counts only if the file holds the 12 bytes around the content."""
    height = width = 0
    exif, name, at = b"", b"", len(_PNG)
    for _ in range(_MAX_STEPS):
        if at + 12 > size or name == b"IEND":
            break
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"IHDR" and length >= 8 and at + 16 <= size:
            width, height = struct.unpack(">II", file.read(8))
        elif name == b"eXIf":
            exif = b"Exif\0\0" + file.read(min(length, _MAX_EXIF))
        at += 12 + length
    return Header("png", height, width, _orientation(exif), name == b"IEND")


def _read_other(file: BinaryIO) -> Header | None:
    from PIL import Image

    file.seek(0)
    try:
        with _any_size(), Image.open(file) as image:
            return Header("other", image.height, image.width, _valid(image.getexif().get(_ORIENTATION, 1)))
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error):
        file.seek(0)
        head = file.read(_TAIL)
    match = next(filter(None, (pattern.match(head) for pattern in _LINES)), None)
    return Header("other", int(match["height"]), int(match["width"])) if match else None


@contextmanager
def _any_size() -> Iterator[None]:
    """Within it Pillow neither warns of an image of many pixels nor refuses it: there is one rule for that, in `images`."""
    from PIL import Image

    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _orientation(exif: bytes) -> int:
    """The orientation that EXIF gives. One that cannot be read turns nothing, in OpenCV too."""
    if not exif:
        return 1
    from PIL import Image

    table = Image.Exif()
    try:
        table.load(exif)
        return _valid(table.get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
