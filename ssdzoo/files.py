"""Files: users' ones opened and read with care, others written so that a reader never sees half of one."""

import errno
import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from ssdzoo.machine import memory

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MOST_TEXT = 1 << 30  # bytes of a text file, which is read as a whole
EXPANSION = 32  # that text may grow when it becomes Python's objects: 2 bytes of a line, or of {} in JSON, become 64
# What `zipfile` raises where an archive is damaged: besides its own error, for names that are not text, for lengths that no file
# has, and for methods of compression that it lacks.
DAMAGED_ARCHIVE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError, OverflowError)
_BLOCK = 1 << 24
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: str | Path) -> BufferedReader:
    """Opens a file that a user names, to be read as bytes. Links are followed.

    Every file of a user is opened here. What is no regular file is refused at once: a FIFO would wait for a writer, and a device
    has no end.

    Raises:
        OSError: missing, may not be read, or a folder (IsADirectoryError), FIFO, device or socket; `strerror` says which.
    """
    try:
        _refuse_special(os.stat(path), path)
        # It may have been replaced by a FIFO in between, which O_NONBLOCK does not wait for.
        descriptor = os.open(path, _READ)
    except ValueError:  # a path with a zero byte, or with half a character that is no byte either
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None
    try:
        _refuse_special(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_special(status: os.stat_result, path: str | Path) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL  # of EISDIR, OSError makes an IsADirectoryError
        why = os.strerror(number) if kind == stat.S_IFDIR else f"{_KINDS.get(kind, 'something else')}, not a file"
        raise OSError(number, why, str(path))


def read_whole(path: str | Path, limit: int = MOST_TEXT, is_utf8: bool = True) -> bytes:
    """The content of a text file that a user names: JSON, XML, YAML, TOML, CSV or lines.

    It is refused at its first zero byte, which no text in UTF-8 has: so a file of 40 GB without content takes no time.

    Args:
        limit: maximum size in bytes; in any case the memory divided by EXPANSION.
        is_utf8: False takes single zero bytes, as in UTF-16, but not eight of them.

    Raises:
        OSError: see `open_file`; a zero byte, or more bytes than `limit` (`strerror` says so).
    """
    limit = min(limit, (memory() or limit * EXPANSION) // EXPANSION)
    blocks, size, zeros = [], 0, b"\0" if is_utf8 else bytes(8)
    with open_file(path) as file:
        while block := file.read(_BLOCK if size else min(_BLOCK, 4096)):
            if (zero := block.find(zeros)) >= 0:
                raise OSError(errno.EILSEQ, f"not {'UTF-8 ' if is_utf8 else ''}text: byte {size + zero} is zero", str(path))
            size += len(block)
            if size > limit:
                raise OSError(errno.EFBIG, f"too large: text files of up to {limit >> 20:,} MiB are read", str(path))
            blocks.append(block)
    return b"".join(blocks)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which takes `path`'s place when the block ends without an error.

    The folder is made where it is missing; after an error nothing is left behind.
    """
    path = Path(path)
    if "\0" in str(path):  # libraries in C would write a file of the name up to there
        raise OSError(errno.EINVAL, "no file can have this name", str(path))
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


def lock(descriptor: int) -> bool:
    """Locks an open file or folder until it is closed, which the end of the process does in any case.

    Returns:
        False if another process has locked it, or another part of this one. True also where the file system has no locks.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def lock_folder(folder: str | Path) -> int | None:
    """A descriptor of a folder that is locked until it is closed; None if `lock` fails.

    Raises:
        OSError: no folder, or one that may not be read.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    if lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


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
    with open_file(path) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
