"""Smaller copies of large photos on disk, made once, so that not every epoch decodes the full photos."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ssdzoo.data.images import FilePart, encode_image, read_image
from ssdzoo.data.loading.size_check import check_size
from ssdzoo.data.record import Record
from ssdzoo.errors import CallError
from ssdzoo.files import replacing

ENLARGED = 2  # a copy is this many times the network's input, so that crops keep most of their detail


@dataclass(frozen=True)
class ResizeCache:
    """Copies as JPEG of quality 95, named by the photo's path, size and time of change, so that a changed photo gets a new copy.

    Attributes:
        folder: where they are kept; runs may share it.
        size: (height, width) of the network's input.

    Raises:
        CallError: `folder` is something else.
    """

    folder: Path
    size: tuple

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise CallError(f"cache={self.folder} is no folder: name one, or what does not exist yet")

    def read(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the record's image, or its smaller copy if that has at most half as many pixels.

        Raises:
            DataError: an image that cannot be read, or has another size than the record.
            OSError: a copy that cannot be written.
        """
        scale = ENLARGED * max(self.size[0] / record.height, self.size[1] / record.width)
        if scale**2 > 0.5:
            return check_size(record, read_image(record.image))
        path = self.path(record)
        if not path.is_file():
            self._write(path, record, scale)
        return read_image(path)

    def path(self, record: Record) -> Path:
        """Where the copy of a record's image lies."""
        image = record.image
        file, offset = (image.path, f" {image.offset}") if isinstance(image, FilePart) else (Path(image), "")
        status, place = file.stat(), f"{file.resolve()}{offset}"
        key = f"{place} {status.st_size} {status.st_mtime_ns} {self.size} {record.height}x{record.width}"
        return self.folder / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.jpg"

    def _write(self, path: Path, record: Record, scale: float) -> None:
        sides = max(1, round(record.width * scale)), max(1, round(record.height * scale))
        image = cv2.resize(check_size(record, read_image(record.image)), sides, interpolation=cv2.INTER_AREA)
        with replacing(path) as temporary:
            temporary.write_bytes(encode_image(image, ".jpg", 95))
