"""Finding the images that a data set's files name: by their path, or by their stem where the suffix is another one.

A folder is listed once, and again after it has changed. Names are compared in NFC, because a Mac may write them in NFD. Files
that a Mac adds to archives (`._x.jpg`, `__MACOSX/`) are no images.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from ssdzoo.data.formats.paths import path_inside
from ssdzoo.data.formats.text_files import nfc
from ssdzoo.data.images import IMAGE_SUFFIXES, has_decoder
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

_NOT_IMAGES = frozenset({".xml", ".json", ".jsonl", ".txt", ".csv", ".yaml", ".yml", ".md", ".rec", ".idx", ".lst", ".names"})


class AmbiguousImageError(DataError):
    """Two images fit, and nothing decides."""


def is_image(path: str | Path) -> bool:
    """Whether a file is an image: by its suffix, or for other suffixes by how its content begins."""
    name = os.path.basename(path)
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("._") or suffix in _NOT_IMAGES:
        return False
    return suffix in IMAGE_SUFFIXES or (os.path.isfile(path) and has_decoder(path))


def is_hidden(name: str) -> bool:
    """Whether a folder is no part of a data set, by its name: of a tool's own, or what a Mac adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def find_image(folder: Path, text: str, where: str, ways: str = "") -> Path:
    """The image that a file of a data set names by a path relative to `folder`: that of `named_image`, or the only image of the
    same stem, where the suffix differs.

    Args:
        where: the file and the place in it, with which errors begin.
        ways: what else can be done about an image that is missing, besides putting it there and taking it out of the data.

    Raises:
        DataError: a path that leaves the folder, an image that is missing, a stem that fits two images.
    """
    if image := named_image(folder, text, where):
        return image
    paths = _paths(folder, text, where)
    for path in paths:
        suffix = path.suffix[1:]
        # In "photo.2", 2 belongs to the name.
        stems = [path, path.with_suffix("")] if suffix.isalpha() else [path]
        for stem in stems:
            if found := images_of_stem(folder, str(stem.relative_to(folder))):
                return _only(found, text, where)
    return _existing(paths[0], where, ways)


def named_image(folder: Path, text: str, where: str) -> Path | None:
    """The file of exactly a path relative to `folder`; or of the path with `\\` for `/`; or with percent-escapes decoded (`%20`);
    or one that is equal in NFC. None where there is none.

    Raises:
        DataError: a path that leaves the folder, or two files that are equal to it in NFC; begins with `where`.
    """
    paths = _paths(folder, text, where)
    for path in paths:
        if path.name in _names(os.path.dirname(path)):
            return path
    for path in paths:
        parent = _true_folder(folder, path)
        same = [parent / name for name in _by_stem(parent).get(_stem(path.name), ()) if nfc(name) == nfc(path.name)]
        if same:
            return _only(same, text, where)
    return None


def image_of_stem(folder: Path, stem: str, where: str) -> Path:
    """The only image of a stem, which may have folders in front as in "sub/x"; see `find_image`."""
    path = path_inside(folder, stem, where)
    found = images_of_stem(folder, stem)
    if not found:
        raise DataError(
            f"{where}: no image of the name {brief(path.name)} in {path.parent}; put it there, or take it out of the data"
        )
    return _only(found, stem, where)


def images_of_stem(folder: Path, stem: str) -> list[Path]:
    """All images of a stem, which may have folders in front as in "sub/x"."""
    parent = _true_folder(folder, folder / stem)
    names = _by_stem(parent).get(nfc(os.path.basename(stem)), ())
    return [parent / name for name in sorted(names) if is_image(parent / name)]


def file_names(folder: str | Path) -> frozenset:
    """The names of the files in a folder."""
    return _names(str(folder))


def images_below(folder: Path) -> list:
    """The images in a folder and the folders in it, sorted; links to folders are followed, but not in circles."""
    found = []
    for place, folders, files in walk(folder):
        named = [name for name in folders if Path(name).suffix.lower() in IMAGE_SUFFIXES]  # refused when they are read
        found += [Path(place) / name for name in named + [name for name in files if is_image(os.path.join(place, name))]]
    return sorted(found)


def folders_in(folder: str | Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    except OSError:
        return []


def walk(folder: Path) -> Iterator[tuple]:
    """(folder, names of the folders in it, names of the files in it) of a folder and all below it, without hidden ones. Links to
    folders are followed, but not in circles. The caller may take names out of the folders, as with `os.walk`."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        true = os.path.realpath(place)
        if true in seen:
            folders.clear()
            continue
        seen.add(true)
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield place, folders, [name for name in files if not name.startswith("._")]


def _paths(folder: Path, text: str, where: str) -> list:
    """The paths that a text may mean."""
    paths = [path_inside(folder, text, where)]
    if "%" in text:
        with contextlib.suppress(DataError):  # then the text as it is has to be right
            paths.append(path_inside(folder, unquote(text), where))
    return paths


def _only(images: list, text: str, where: str) -> Path:
    if len(images) > 1:
        names = " or ".join(image.name for image in images)
        raise AmbiguousImageError(f"{where}: {brief(text)} may be {names} in {images[0].parent}: keep one of them")
    return images[0]


def _existing(path: Path, where: str, ways: str) -> Path:
    try:
        os.stat(path)
    except FileNotFoundError:
        raise DataError(f"{where}: {path}: no such image; put it there{ways}, or take it out of the data") from None
    except OSError as error:
        raise DataError(f"{where}: {path}: cannot be read: {error.strerror}; fix it, or take it out of the data") from None
    return path  # a folder that nobody may list, or a folder in place of an image: reading it says what is wrong


def _true_folder(folder: Path, path: Path) -> Path:
    """The folder of a path below `folder`, as its parts are called on the disk."""
    if os.path.isdir(path.parent):
        return path.parent
    place = folder
    for part in path.parent.relative_to(folder).parts:
        same = [name for name in _by_nfc(place).get(nfc(part), ()) if os.path.isdir(place / name)]
        place = place / (same[0] if len(same) == 1 else part)
    return place


def _stem(name: str) -> str:
    return os.path.splitext(nfc(name))[0]


def _names(folder: str) -> frozenset:
    return _listed(folder, _changed(folder))[0]


def _by_stem(folder: Path) -> dict:
    return _grouped(str(folder), _changed(folder), _stem)


def _by_nfc(folder: Path) -> dict:
    return _grouped(str(folder), _changed(folder), nfc)


def _changed(folder: str | Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4096)
def _listed(folder: str, changed: int) -> tuple:
    """(names of the files in a folder, names of the folders in it)."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        found = []
    return frozenset(name for name, is_folder in found if not is_folder), frozenset(n for n, is_folder in found if is_folder)


@lru_cache(maxsize=4096)
def _grouped(folder: str, changed: int, key: Callable) -> dict:
    """Names in a folder by what `key` makes of them: stems of files, or folders."""
    groups: dict[str, list] = {}
    for name in _listed(folder, changed)[key is nfc]:
        groups.setdefault(key(name), []).append(name)
    return groups
