"""What a user calls images, as a list of names: of files, folders, patterns, lists, and addresses of other file systems.

A name is a path or an address. Beside it each image has a key, by which it is given to a shard: its path below the folder, below
the fixed part of the pattern, or below the folder of the list that it is from; of an image that is named by itself, the name of
its file. So a shard is the same wherever the folder lies.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from glob import glob, has_magic
from pathlib import Path

from ssdzoo.data.formats.image_files import is_image
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.video import VIDEO_SUFFIXES
from ssdzoo.errors import CallError, DataError
from ssdzoo.files import open_file
from ssdzoo.predict.remote import check_address, expand_remote, fixed_part, is_remote, local_path
from ssdzoo.predict.sharding import Shard

LONGEST_LINE = 1 << 16  # bytes of a line of a list; paths of Linux have up to 4,096


def list_names(images: Iterable[str | Path] = (), from_list: str | Path | None = None, shard: Shard | None = None) -> list[str]:
    """Names of images and videos, in the order in which they are given.

    Args:
        images: paths of images and videos, folders (their images, sorted), patterns such as "photos/*.jpg" (what they match,
            sorted), and addresses of any of these on another file system, such as "s3://bucket/photos/*.jpg".
        from_list: a file with one path or address a line; relative paths start at the folder of the file. "-" is standard input,
            whose paths start at the current folder. Its images need not be there: each is reported when its turn comes.
        shard: the part of them to take; None takes all.

    Raises:
        CallError: a folder without images; a pattern that matches nothing; an empty list.
        DataError: of `images`, one that is not there; a list that cannot be read.
        SSDZooError: an address, and fsspec or what it needs for it is not installed.
    """

    def pairs() -> Iterator[tuple[str, str]]:
        for item in images:
            yield from expand_remote(str(item)) if is_remote(local_path(str(item))) else expand(local_path(str(item)))
        if from_list is not None:
            yield from read_list(from_list)

    return [name for name, key in pairs() if shard is None or shard.takes(key)]


def expand(path: str | Path) -> list[tuple[str, str]]:
    """[(path, key)] of an image or a video, of the images of a folder, or of what a pattern matches.

    Raises:
        CallError: a folder without images; a pattern that matches nothing.
        DataError: no such file.
    """
    folder = os.path.dirname(Path(path))
    if os.path.isdir(path):
        folder = str(Path(path))
        found = [str(Path(path, name)) for name in sorted(os.listdir(path)) if is_image(os.path.join(path, name))]
        if not found:
            raise CallError(f"{path}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    elif not os.path.exists(path) and has_magic(str(path)):
        found = [str(Path(name)) for name in sorted(glob(str(path), recursive=True), key=lambda name: name.split(os.sep))]
        if not found:
            raise CallError(f"{path}: no file matches this pattern")
        folder = fixed_part(str(Path(path)))
    elif not os.path.exists(path) and Path(path).suffix.lower() not in VIDEO_SUFFIXES:
        raise DataError(f"{path}: no such image or folder")
    else:
        found = [str(Path(path))]
    return [(name, _below(name, folder)) for name in found]


def read_list(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yields (name, key) of each line of a file; see `list_names`. Empty lines are left out.

    Raises:
        CallError: there are none.
        DataError: it cannot be read, or a line is too long for a path.
    """
    folder, kinds, count = ("" if str(path) == "-" else os.path.dirname(path)), set(), 0
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else open_file(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
                if len(line) == LONGEST_LINE:
                    raise DataError(f"{path}: line {number} is too long for a path; expected the path of one image a line")
                text = os.fsdecode(line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").rstrip(b"\r\n"))
                if not text.strip():
                    continue
                count += 1
                text = local_path(text)
                if not is_remote(text):
                    name = str(Path(folder, text))
                    yield name, _below(name, folder)
                    continue
                if (kind := text.partition("//")[0]) not in kinds:
                    check_address(text)
                    kinds.add(kind)
                yield text, text
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not count:
        raise CallError(f"{path}: an empty list; expected the path of one image a line")


def _below(name: str, folder: str) -> str:
    start = folder.rstrip(os.sep) + os.sep if folder else ""
    return (name[len(start) :] if name.startswith(start) else name).replace(os.sep, "/")
