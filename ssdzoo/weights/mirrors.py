"""Published parameter files from mirrors: folders and http(s) servers in the layout of MXNet's own server."""

import hashlib
import os
import time
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.files import replacing
from ssdzoo.weights.download import LARGEST, Failed, download

try:
    import fcntl
except ImportError:  # Windows: two processes at once then download twice
    fcntl = None

ORIGINAL = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/"
_VARIABLES = ("SSDZOO_REPO", "MXNET_GLUON_REPO")
_LONGEST_WAIT = 60.0  # seconds for another process whose download does not grow
_LARGEST_RATIO = 50  # of a file and its zip; parameters hardly shrink


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
        for place in places():
            try:
                return (_from_server if is_url(place) else _from_folder)(place, stem, digest, target)
            except Failed as failure:
                failures.append((place, str(failure)))
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be written: {error.strerror or error}") from None
    raise Failed(f"no place has {stem}.params", places=failures)


def _from_folder(place: str, stem: str, digest: str, target: Path) -> Path:
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
    return target


def _from_server(place: str, stem: str, digest: str, target: Path) -> Path:
    if not place.startswith(("http://", "https://")):
        raise Failed("neither http(s) nor a folder")
    missing = []
    for candidate in candidates(stem)[: 1 if place == ORIGINAL else None]:
        url = f"{place.rstrip('/')}/{candidate}"
        try:
            return _from_url(url, stem, digest, target)
        except Failed as failure:
            if failure.dead:
                raise
            missing.append(f"{candidate}: {failure}")
            if not failure.absent:
                raise Failed(missing[-1]) from None
    raise Failed(missing[0])


def _from_url(url: str, stem: str, digest: str, target: Path) -> Path:
    key = hashlib.sha1(url.encode()).hexdigest()[:8]
    with _locked(target.with_name(f".{stem}.{key}.part"), target, digest) as part:
        if part is None:
            return target
        for resumed in (part.seek(0, 2) > 0, False):
            download(url, part)
            part.flush()
            try:
                install(part, stem, digest, target)
            except Failed:
                # What lay there from an earlier time may have been another file: once more, from its beginning.
                part.truncate(0)
                if not resumed:
                    raise
                continue
            with suppress(FileNotFoundError):
                os.unlink(part.name)
            return target
    raise AssertionError("unreachable")


@contextmanager
def _locked(path: Path, target: Path, digest: str):
    """The partial download `path`, open and locked; None when another process finished `target` meanwhile.

    The lock is on the open file, so that it ends with the process that holds it, however that ends.
    """
    waited_since, size = time.monotonic(), -1
    while True:
        file = open(path, "a+b")  # noqa: SIM115
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(file.fileno()).st_ino:
                    break
        except BlockingIOError:
            grown = os.fstat(file.fileno()).st_size
            if grown != size:
                waited_since, size = time.monotonic(), grown
            if time.monotonic() - waited_since > _LONGEST_WAIT:
                file.close()
                raise Failed(f"another process holds {path} and does not go on") from None
            time.sleep(0.1)
        file.close()
    with file:
        if fits(target, digest):
            os.unlink(path)
            yield None
            return
        try:
            yield file
        finally:
            with suppress(FileNotFoundError):
                if file.seek(0, 2) == 0:
                    os.unlink(path)


def install(source, stem: str, digest: str, target: Path) -> None:
    """Copies `stem`.params out of an open file, itself or an archive with it, to `target`, once its hash is right.

    Raises:
        Failed: another file, or a damaged archive.
    """
    source.seek(0)
    archived = source.read(4) == b"PK\x03\x04"
    source.seek(0)
    try:
        if not archived:
            return _copy(source, LARGEST, digest, target)
        with zipfile.ZipFile(source) as archive:
            # Only this member is read, and only to a path of our own, whatever names the archive has.
            member = archive.getinfo(f"{stem}.params")
            limit = min(LARGEST, _LARGEST_RATIO * member.compress_size + 1024)
            with archive.open(member) as content:
                return _copy(content, limit, digest, target)
    except KeyError:
        raise Failed(f"an archive without {stem}.params") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise Failed(f"a damaged archive ({error})") from None


def _copy(content, limit: int, digest: str, target: Path) -> None:
    hashes, size = (hashlib.sha1(), hashlib.sha256()), 0
    with replacing(target) as temporary, open(temporary, "wb") as file:
        while piece := content.read(1 << 20):
            size += len(piece)
            if size > limit:
                raise Failed(f"larger than {limit} bytes when unpacked")
            for running in hashes:
                running.update(piece)
            file.write(piece)
        found = [running.hexdigest() for running in hashes]
        if not any(value.startswith(digest) for value in found):
            raise Failed(f"the wrong file: its SHA-1 begins with {found[0][:8]}, not {digest[:8]}")


def fits(path: Path, digest: str) -> bool:
    """Whether the SHA-1 or the SHA-256 of a file begins with `digest`."""
    if not path.is_file():
        return False
    return any(file_hash(path, algorithm).startswith(digest) for algorithm in ("sha1", "sha256"))


def file_hash(path, algorithm: str = "sha256") -> str:
    """Hexadecimal hash of a file, read in pieces."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
