"""Published parameter files from mirrors: folders and http(s) servers in the layout of MXNet's own server.

A downloader such as pooch would not shorten this. It compares whole hashes; file names here hold eight digits of one. It checks
the archive; the published hash is that of the file in it. It has no mirrors, no limit of size, and none of time for a server
that sends a byte now and then.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from ssdzoo.errors import WeightsError
from ssdzoo.files import file_hash, replacing
from ssdzoo.weights.download import MAX_SIZE, Failed, download

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None  # type: ignore[assignment]

ORIGINAL = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/"
_VARIABLES = ("SSDZOO_REPO", "MXNET_GLUON_REPO")
_MAX_RATIO = 50  # of a file and its zip; parameters hardly shrink


def places() -> list:
    """Where published files are looked for after the folder of the models: the mirrors that `SSDZOO_REPO` and `MXNET_GLUON_REPO`
    name, then MXNet's server, unless `SSDZOO_OFFLINE` is set."""
    mirrors = [os.environ.get(variable, "") for variable in _VARIABLES]
    return [m for m in dict.fromkeys(mirrors) if m] + ([] if os.environ.get("SSDZOO_OFFLINE") else [ORIGINAL])


def is_url(place: str) -> bool:
    return "://" in place


def candidates(stem: str) -> list:
    """Paths, below a mirror, of the parameter file `stem`.params or of its archive."""
    return [f"gluon/models/{stem}.zip", f"gluon/models/{stem}.params", f"{stem}.params", f"{stem}.zip"]


def fetch(stem: str, digest: str, folder: Path) -> Path:
    """`folder/stem.params`, from the first place that has it with the right hash.

    Args:
        stem: NAME-HHHHHHHH.
        digest: 8 or more hexadecimal digits of its SHA-1 or SHA-256.
        folder: is made where it is missing.

    Raises:
        Failed: no place has it; its `places` say why.
        WeightsError: `folder` can't be written.
    """
    target, failures = folder / f"{stem}.params", []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f".{stem}.lock"):
            if fits(target, digest):  # another process was faster
                return target
            for place in places():
                try:
                    (_from_server if is_url(place) else _from_folder)(place, stem, digest, target)
                    return target
                except Failed as failure:
                    failures.append((place, str(failure)))
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be written: {error.strerror or error}") from None
    raise Failed(f"no place has {stem}.params", places=failures)


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


def _from_folder(place: str, stem: str, digest: str, target: Path) -> None:
    folder = Path(place).expanduser()
    found = [path for path in (folder / c for c in candidates(stem)) if path.is_file()]
    if not found:
        raise Failed(f"holds no {stem}.params" if folder.is_dir() else "no such folder")
    try:
        source = open(found[0], "rb")  # noqa: SIM115
    except OSError as error:
        raise Failed(f"{found[0].name}: {error.strerror}") from None
    with source:
        install(source, stem, digest, target)


def _from_server(place: str, stem: str, digest: str, target: Path) -> None:
    if not place.startswith(("http://", "https://")):
        raise Failed("neither http(s) nor a folder")
    missing = []
    for candidate in candidates(stem)[: 1 if place == ORIGINAL else None]:
        try:
            return _from_url(f"{place.rstrip('/')}/{candidate}", stem, digest, target)
        except Failed as failure:
            if failure.dead:
                raise
            missing.append(f"{candidate}: {failure}")
            if not failure.absent:
                raise Failed(missing[-1]) from None
    raise Failed(missing[0])


def _from_url(url: str, stem: str, digest: str, target: Path) -> None:
    with TemporaryFile(dir=target.parent) as file:
        total = download(url, file)
        size = file.tell()
        try:
            install(file, stem, digest, target)
        except Failed:
            if total is None or size >= total:
                raise
            raise Failed(f"broke off after {size} of {total} bytes") from None


def install(source: BinaryIO, stem: str, digest: str, target: Path) -> None:
    """Copies `stem`.params out of an open file, itself or an archive with it, to `target`, once its hash is right.

    Raises:
        Failed: another file, or a damaged archive.
    """
    source.seek(0)
    archived = source.read(4) == b"PK\x03\x04"
    source.seek(0)
    try:
        if not archived:
            return _copy(source, MAX_SIZE, digest, target)
        with zipfile.ZipFile(source) as archive:
            # Only this member is read, and only to a path of our own, whatever names the archive has.
            member = archive.getinfo(f"{stem}.params")
            limit = min(MAX_SIZE, _MAX_RATIO * member.compress_size + 1024)
            with archive.open(member) as content:
                return _copy(content, limit, digest, target)
    except KeyError:
        raise Failed(f"an archive without {stem}.params") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise Failed(f"a damaged archive ({error})") from None


def _copy(content: Any, limit: int, digest: str, target: Path) -> None:
    with replacing(target) as temporary:
        with open(temporary, "wb") as file:
            while piece := content.read(1 << 20):
                if file.tell() + len(piece) > limit:
                    raise Failed(f"larger than {limit} bytes when unpacked")
                file.write(piece)
        if not fits(temporary, digest):
            raise Failed(f"the wrong file: its SHA-1 begins with {file_hash(temporary, 'sha1')[:8]}, not {digest[:8]}")


def fits(path: Path, digest: str) -> bool:
    """Whether the SHA-1 or the SHA-256 of a file begins with `digest`."""
    return path.is_file() and any(file_hash(path, algorithm).startswith(digest) for algorithm in ("sha1", "sha256"))
