"""Decodes every image in full, in several processes, to find damage that decoders pass over in silence."""

import hashlib
import re
import signal
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import cv2

from ssdzoo.data.images import FILE_BYTES_PER_PIXEL, FilePart, decode_image, image_info, max_pixels
from ssdzoo.data.record import ERROR, WARNING
from ssdzoo.data.worker_pool import worker_pool
from ssdzoo.errors import DataError, SSDZooError
from ssdzoo.files import open_file
from ssdzoo.machine import captured_stderr, cores

FEW = 100  # images that are decoded before a process has started
_COMPLAINT = re.compile(r"(Corrupt JPEG data: .*|Premature end of JPEG.*|libpng (?:error|warning): .*|Invalid SOS.*)")
_LEFT_OVER = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
HARMLESS = 15  # bytes between an image's last pixel and its end marker, as some cameras leave there


class Decoded(NamedTuple):
    """What decoding an image showed.

    Attributes:
        digest: of its bytes, as hexadecimal digits; "" where they cannot be read.
        message: what is wrong with it, or None.
        severity: of that.
        size: (height, width) of what is decoded; None where it cannot be.
        bits: of a value, 8 or more.
        orientation: see ImageInfo.
    """

    digest: str
    message: str | None = None
    severity: str = ERROR
    size: tuple | None = None
    bits: int = 8
    orientation: int = 1


def decode(image: Path | FilePart) -> Decoded:
    """Reads and decodes an image as a training would."""
    try:
        digest = _digest(image)
    except OSError as error:
        return Decoded("", f"cannot be read: {error.strerror}")
    printed: list[bytes] = []
    try:
        with captured_stderr(printed):  # after an error libjpeg and libpng go on, and report it here alone
            pixels = decode_image(image, 8)
        info = image_info(image)
    except DataError as error:
        return Decoded(digest, str(error).removeprefix(f"{image}: "))
    found = Decoded(digest, None, ERROR, info[:2], 8 * pixels.dtype.itemsize, info.orientation)
    complaints = _COMPLAINT.findall(b"".join(printed).decode("utf-8", "replace"))
    if not complaints:
        return found
    left = _LEFT_OVER.fullmatch(complaints[0])
    if left and int(left[1]) <= HARMLESS:
        message = f"{left[1]} bytes too many before its end marker: harmless if it looks right"
        return found._replace(message=message, severity=WARNING)
    message = f"damaged, a part of it decodes to garbage ({complaints[0]}); replace it, or take it out of the data"
    return found._replace(message=message)


def _digest(image: Path | FilePart) -> str:
    """Of an image's bytes. Of a file that no image has the size of, reading it takes long and its digest is not needed."""
    if isinstance(image, FilePart):
        return hashlib.blake2b(image.read(), digest_size=16).hexdigest()
    if image.stat().st_size > max_pixels() * FILE_BYTES_PER_PIXEL:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    with open_file(image) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def decode_all(images: list, workers: int | None = None) -> Iterator[Decoded]:
    """Yields the result of `decode` for each image, in order.

    Args:
        workers: processes; 0 works in this one, None takes one for each core where there are many images.

    Raises:
        SSDZooError: a process was killed.
    """
    if workers is None:
        workers = cores() if len(images) > FEW and cores() > 1 else 0
    pool = worker_pool(workers, _start) if workers else None
    if pool is None:
        yield from map(decode, images)
        return
    try:
        yield from pool.map(decode, images, chunksize=8)
    except BrokenProcessPool:
        raise SSDZooError("a process that decodes images was killed, perhaps because memory ran out: use workers=1") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
