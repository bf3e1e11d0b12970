"""Images on other file systems, such as s3://bucket/photos/*.jpg, through fsspec."""

import os
import re
from glob import has_magic
from typing import Any

from ssdzoo.data.images import IMAGE_SUFFIXES, ImageBytes, check_file_size, file_limit
from ssdzoo.errors import CallError, DataError, SSDZooError
from ssdzoo.machine import import_package
from ssdzoo.quote import brief

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*(::[A-Za-z][\w+.-]*)*://")  # fsspec's too: simplecache::s3://bucket/a.jpg
_LOCAL = "file://"


def is_remote(name: str) -> bool:
    """Whether a name is the address of another file system. A path never is, because it has no two slashes in a row."""
    return bool(_ADDRESS.match(name))


def local_path(name: str) -> str:
    """The path of an address that begins with file://; other names as they are."""
    return name[len(_LOCAL) :] if name.startswith(_LOCAL) and "::" not in name else name


def check_address(address: str) -> None:
    """
    Raises:
        SSDZooError: fsspec, or the package that it needs for this kind of address, is not installed.
        CallError: it knows no such kind.
    """
    fsspec = import_package("fsspec", "fsspec")
    for part in address.split("::"):
        protocol = part.partition("://")[0]
        try:
            fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise SSDZooError(f"{address}: {error}, with pip in the environment of ssdzoo") from None
        except ValueError:
            raise CallError(f"{address}: fsspec knows no file system {brief(protocol)}") from None


def expand_remote(address: str) -> list[tuple[str, str]]:
    """[(address, path below the folder or the fixed part of the pattern)] of an image, of the images of a folder, or of what a
    pattern matches, sorted.

    Raises:
        CallError: a folder without images; a pattern that matches nothing.
        DataError: no such image or folder, or the file system refuses.
        SSDZooError: as `check_address`.
    """
    check_address(address)
    tail = "".join(address.partition("::")[1:])  # what the first file system lies in
    try:
        files, path = _file_system(address)
        found, root = _matching(files, path, address)
        return [(files.unstrip_protocol(name) + tail, name[len(root) :].lstrip("/")) for name in found]
    except SSDZooError:
        raise
    except Exception as error:  # those of the clients of clouds have nothing in common
        raise DataError(f"{address}: cannot be listed: {_reason(error)}") from None


def _matching(files: Any, path: str, address: str) -> tuple[list[str], str]:
    """(paths, the folder that they are in) in the terms of that file system."""
    if files.isdir(path):
        suffixes = tuple(IMAGE_SUFFIXES)
        found = sorted(name for name in files.ls(path, detail=False) if name.lower().endswith(suffixes))
        if not found:
            raise CallError(f"{address}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return found, path
    if files.exists(path):
        return [path], os.path.dirname(path)
    if not has_magic(path):
        raise DataError(f"{address}: no such image or folder")
    found = sorted(name for name, info in files.glob(path, detail=True).items() if info.get("type") != "directory")
    if not found:
        raise CallError(f"{address}: no file matches this pattern")
    return found, fixed_part(path)


def fixed_part(pattern: str) -> str:
    """The folder of a pattern before its first *, ? or [."""
    return os.path.dirname(pattern[: re.search(r"[*?[]", pattern).start()])  # type: ignore[union-attr]


def read_remote(address: str) -> ImageBytes:
    """The image of an address.

    Raises:
        DataError: missing, refused, or larger than an image may be.
    """
    try:
        files, path = _file_system(address)
        with files.open(path, "rb") as file:
            check_file_size(address, getattr(file, "size", None) or 0)
            return ImageBytes(address, file.read(file_limit() + 1), sent=False)
    except SSDZooError:
        raise
    except FileNotFoundError:
        raise DataError(f"{address}: no such image; put it there, or take it out of the data") from None
    except Exception as error:
        raise DataError(f"{address}: cannot be read: {_reason(error)}; fix it, or take it out of the data") from None


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(address)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error)
    return text if isinstance(error, OSError) and text else f"{type(error).__name__} {text}".strip()
