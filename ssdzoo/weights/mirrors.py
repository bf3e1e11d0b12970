"""Published files from elsewhere: mirrors, which are folders and http(s) servers, and the servers of their projects.

A downloader such as pooch would not shorten this. It compares whole hashes; most projects publish eight digits of one. It checks
the archive; the hash that GluonCV published is that of the file in it. It has no mirrors, no limit of size, and none of time for
a server that sends a byte now and then.
"""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from ssdzoo.errors import WeightsError
from ssdzoo.files import DAMAGED_ARCHIVE, open_file, replacing
from ssdzoo.weights.download import MAX_SIZE, Failed, download
from ssdzoo.weights.sources import ORIGINAL, Source

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None  # type: ignore[assignment]

LIVING = "the servers of their projects"
_VARIABLES = ("SSDZOO_REPO", "MXNET_GLUON_REPO")
_WEB_PAGES = (b"<!doctype html", b"<html")
_MAX_RATIO = 50  # of a file and its zip; parameters hardly shrink


class Fetched(NamedTuple):
    """A file that was copied to this machine, and its row in the table of sources."""

    source: Source
    path: Path


def mirrors() -> list[str]:
    """The folders and servers that `SSDZOO_REPO` and `MXNET_GLUON_REPO` name."""
    return [m for m in dict.fromkeys(os.environ.get(variable, "") for variable in _VARIABLES) if m]


def places() -> list[str]:
    """Where published files are looked for that are not on this machine: mirrors, then the servers of their projects, then
    MXNet's, which has been dead since February 2024. `SSDZOO_OFFLINE` leaves all but the mirrors out."""
    return mirrors() + ([] if os.environ.get("SSDZOO_OFFLINE") else [LIVING, ORIGINAL])


def is_url(place: str) -> bool:
    return "://" in place


def fetch(sources: Sequence[Source], folder: Path, check: Callable[[Source, Path], str | None]) -> Fetched:
    """Copies the first of several files that a place has to `folder`. The places are asked in the order of `places`, each for all
    files.

    Args:
        sources: the files, the preferred one first.
        folder: is made where it is missing.
        check: tells what is wrong with a file that was copied; None for nothing.

    Raises:
        Failed: no place has any; its `places` say why.
        WeightsError: `folder` can't be written.
    """
    failures: list[tuple[str, str]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f".{sources[0].file}.lock"):
            for source in sources:  # another process was faster
                if (folder / source.file).is_file() and not check(source, folder / source.file):
                    return Fetched(source, folder / source.file)
            for place in places():
                found = _from_place(place, sources, folder, check, failures)
                if found:
                    return Fetched(found, folder / found.file)
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be written: {error.strerror or error}") from None
    raise Failed(f"no place has {sources[0].file}", places=failures)


def _from_place(place: str, sources: Sequence[Source], folder: Path, check: Callable, failures: list) -> Source | None:
    """The source whose file was copied from a place, or None; `failures` get the reasons."""
    dead: set[str] = set()
    for source in sources:
        where = urlsplit(source.url).netloc if place == LIVING else place
        if where in dead or (place == LIVING and source.archived) or (place == ORIGINAL and not source.archived):
            continue
        try:
            install = _Installation(source, folder / source.file, check)
            if place in (LIVING, ORIGINAL):
                install.from_url(source.url)
            elif is_url(place):
                install.from_server(place)
            else:
                install.from_folder(Path(place).expanduser())
            return source
        except Failed as failure:
            failures.append((source.url if place == LIVING else place, str(failure)))
            if failure.dead:
                dead.add(where)
    return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Other processes wait. The lock belongs to the open file, so that it ends with the process that holds it."""
    with open(path, "wb") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


class _Installation(NamedTuple):
    """A file of the table on its way to `target`, whose name it gets once it is checked. All methods raise Failed."""

    source: Source
    target: Path
    check: Callable[[Source, Path], str | None]

    def from_folder(self, folder: Path) -> None:
        found = [path for path in (folder / c for c in self.source.candidates) if path.is_file()]
        if not found:
            raise Failed(f"holds no {self.source.file}" if folder.is_dir() else "no such folder", dead=not folder.is_dir())
        try:
            content = open_file(found[0])
        except OSError as error:
            raise Failed(f"{found[0].name}: {error.strerror}") from None
        with content:
            try:
                self.install(content)
            except Failed as failure:
                raise Failed(f"{found[0].name}: {failure}") from None

    def from_server(self, server: str) -> None:
        if not server.startswith(("http://", "https://")):
            raise Failed("neither http(s) nor a folder", dead=True)
        missing = []
        for candidate in self.source.candidates:
            try:
                return self.from_url(f"{server.rstrip('/')}/{candidate}")
            except Failed as failure:
                if failure.dead:
                    raise
                missing.append(f"{candidate}: {failure}")
                if not failure.absent:
                    raise Failed(missing[-1]) from None
        raise Failed(missing[0])

    def from_url(self, url: str) -> None:
        with TemporaryFile(dir=self.target.parent) as file:
            total = download(url, file, f"{self.source.title}, {self.source.license}")
            size = file.tell()
            try:
                if total is not None and size < total and not self.source.digest:  # a hash tells more than a length
                    raise Failed("")
                self.install(file)
            except Failed:
                if total is None or size >= total:
                    raise
                raise Failed(f"broke off after {size} of {total} bytes") from None

    def install(self, content: BinaryIO) -> None:
        """Copies the file out of an open one, itself or an archive with it.

        Raises:
            Failed: another file, a web page, or a damaged archive.
        """
        content.seek(0)
        start = content.read(512)
        content.seek(0)
        archived = self.source.archived and start[:4] == b"PK\x03\x04"
        if start.lstrip().lower().startswith(_WEB_PAGES):
            raise Failed("a web page, such as one to log in, instead of the file")
        try:
            if not archived:
                return self._copy(content, MAX_SIZE)
            with zipfile.ZipFile(content) as archive:
                # Only this member is read, and only to a path of our own, whatever names the archive has.
                member = archive.getinfo(self.source.file)
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Failed("an archive of an unusual compression")
                limit = min(MAX_SIZE, _MAX_RATIO * member.compress_size + 1024)
                with archive.open(member) as unpacked:
                    return self._copy(unpacked, limit)
        except KeyError:
            raise Failed(f"an archive without {self.source.file}") from None
        except DAMAGED_ARCHIVE as error:
            raise Failed(f"a damaged archive ({error})") from None

    def _copy(self, content: Any, limit: int) -> None:
        with replacing(self.target) as temporary:
            with open(temporary, "wb") as file:
                while piece := content.read(1 << 20):
                    if file.tell() + len(piece) > limit:
                        raise Failed(f"larger than {limit} bytes when unpacked")
                    file.write(piece)
            problem = self.check(self.source, temporary)
            if problem:
                raise Failed(f"the wrong file: {problem}")
