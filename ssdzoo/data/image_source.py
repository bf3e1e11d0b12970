"""Images that are no plain paths: parts of files, bytes in memory, and paths that are looked at late."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from ssdzoo.files import open_file


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
        with open_file(self.path) as file:
            left = file.seek(0, io.SEEK_END) - self.offset
            file.seek(self.offset)
            data = file.read(max(0, min(self.size, left)))
        starts = [0, *(hole + 4 - self.offset for hole in self.holes)]
        ends = [*(hole - self.offset for hole in self.holes), len(data)]
        return b"".join(data[a:b] for a, b in zip(starts, ends))


@dataclass(frozen=True)
class ImageBytes:
    """An image's file in memory, such as one that was sent to a server; it can be given wherever an image's path can.

    Attributes:
        name: what messages call it.
        data: the content of its file.
        sent: whether somebody else sent it, who is told what to do about it in other words than one who has the file.
    """

    name: str
    data: bytes = field(repr=False)
    sent: bool = True

    def __str__(self):
        return self.name

    @property
    def stem(self) -> str:
        """A name for files that are made from the image."""
        return Path(self.name).stem

    def read(self) -> bytes:
        """The image's bytes."""
        return self.data


@dataclass(frozen=True)
class ImageFile:
    """A path of one image, whatever lies there. Other paths are looked at before, and a folder stands for its images; this one is
    opened when its turn comes, and reported as the images that cannot be read are.
    """

    path: str

    def __str__(self):
        return self.path

    @property
    def stem(self) -> str:
        """A name for files that are made from the image."""
        return Path(self.path).stem
