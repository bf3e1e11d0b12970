"""Archives of models (`model.tar.gz`), read without unpacking them: nothing that they hold reaches the disk.

What an archive says of itself is not believed: paths that lead out of it, links and devices are refused, and sizes are limited
before anything is read.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ssdzoo.errors import WeightsError
from ssdzoo.files import open_file
from ssdzoo.quote import brief, short

SUFFIXES = (".tar.gz", ".tgz", ".tar")
_MAX_BYTES = 2 << 30  # of all members and what lies between them
_MAX_MEMBERS = 1000
_MAX_TEXT = 64 << 20  # of one that is read when the archive is listed: as much as a symbol may have
_MAX_HEADER = 1 << 16  # of a member's extended header, which tarfile reads as a whole
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError)  # a BadGzipFile is an OSError
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


def is_archive(path: str | Path) -> bool:
    """Whether a path names an archive."""
    return str(path).lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class ModelArchive:
    """The list of an archive.

    Attributes:
        path: the file.
        sizes: {name: bytes} of the files in it; names have no "./" before them.
        texts: {name: content} of those that were asked for.
    """

    path: Path
    sizes: dict
    texts: dict

    @contextmanager
    def open(self, name: str) -> Iterator[io.BufferedIOBase]:
        """Opens one of its files, to be read from front to back.

        Raises:
            WeightsError: the archive is damaged, also while the file is read.
        """
        with _reading(self.path) as members:
            for member, content in members:
                if member.name == name:
                    yield content.extractfile(member)
                    return
            raise WeightsError(f"{self.path}: {brief(name)} is no longer in it")


def list_archive(path: str | Path, texts: tuple = ()) -> ModelArchive:
    """Lists an archive, from its first byte to its last.

    Args:
        texts: ends of the names of small files that are read at once.

    Raises:
        WeightsError: missing, not an archive, or damaged; a path that leads out of it, a link, a device, or a name that is there
            twice; more than 1000 files or 2 GiB; a text of more than 64 MiB.
    """
    path = Path(path)
    sizes: dict[str, int] = {}
    found: dict[str, bytes] = {}
    with _reading(path) as members:
        for member, content in members:
            if member.name in sizes:
                raise WeightsError(f"{path}: holds {brief(member.name)} twice")
            sizes[member.name] = member.size
            if member.name.endswith(texts):
                if member.size > _MAX_TEXT:
                    raise WeightsError(f"{path}: {brief(member.name)} has {member.size} bytes; at most {_MAX_TEXT} are read")
                found[member.name] = content.extractfile(member).read()
    return ModelArchive(path, sizes, found)


@contextmanager
def _reading(path: Path) -> Iterator[Iterator[tuple]]:
    """(member, archive) of each file in an archive, one after the other.

    Raises:
        WeightsError: see `list_archive`; also what is raised while a member is read.
    """
    try:
        with open_file(path) as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            stream = _Limited(gzip.GzipFile(fileobj=file) if packed else file, path)
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
                yield _members(archive, stream, path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such archive") from None
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise WeightsError(f"{path}: not a tar archive, or a damaged one ({short(reason, 200)})") from None


def _members(archive: tarfile.TarFile, stream: "_Limited", path: Path) -> Iterator[tuple]:
    for count, member in enumerate(archive, 1):
        name = PurePosixPath(member.name)
        if count > _MAX_MEMBERS:
            raise WeightsError(f"{path}: more than {_MAX_MEMBERS} files; a model has a few")
        if name.is_absolute() or ".." in name.parts or "\\" in member.name or not member.name.isprintable():
            raise WeightsError(f"{path}: the path {brief(member.name)} leads out of it; nothing of it is read")
        if member.isdir():
            continue
        if member.type not in _FILES:
            raise WeightsError(f"{path}: {brief(member.name)} is a link or a device, not a file; nothing of it is read")
        if member.size > _MAX_BYTES:
            raise WeightsError(f"{path}: {brief(member.name)} has {member.size} bytes; at most {_MAX_BYTES} are read")
        member.name = str(name)
        yield member, archive
    while stream.read(1 << 20):  # to the checksum at the end
        pass


class _Member(tarfile.TarInfo):
    """A header of the archive. That of a long name or of more properties is refused where it is long itself."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.type not in _FILES and member.size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        return member


class _Limited(io.RawIOBase):
    """A stream that ends with an error where it is longer than an archive may be."""

    def __init__(self, stream: Any, path: Path):
        super().__init__()
        self._stream, self._path, self._read = stream, path, 0

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._read += len(block)
        if self._read > _MAX_BYTES:
            raise WeightsError(f"{self._path}: its content has more than {_MAX_BYTES >> 30} GiB; no model is so large")
        return block
