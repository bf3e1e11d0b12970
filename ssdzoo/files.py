"""Files: written so that a reader sees the old one or the new one and never half of one, and hashed."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which takes `path`'s place when the block ends without an error.

    The folder is made where it is missing; after an error nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays at the end, because writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # of a disk that is full
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def user_cache() -> Path:
    """Where what can be made again is kept for this user: `SSDZOO_CACHE`, or `ssdzoo` in `XDG_CACHE_HOME` (~/.cache)."""
    own = os.environ.get("SSDZOO_CACHE")
    return Path(own).expanduser() if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssdzoo"


def write_text(path: str | Path, text: str) -> None:
    """Replaces a file by `text` in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def file_hash(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal hash of a file, read in pieces.

    Args:
        path: the file.
        algorithm: of `hashlib`, such as "sha1".

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
