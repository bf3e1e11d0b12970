"""Finding the files that a data set's files name, and refusing to leave its folder."""

import os
from pathlib import Path, PureWindowsPath

from ssdzoo.data.formats.reader import brief, read_text
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.errors import DataError


def member(folder: Path, text: str, where: str) -> Path:
    """The file that a data set names by a path relative to a folder of its own. Links inside of it are followed: the user
    made them.

    Raises:
        DataError: an absolute path, or one that leaves the folder by `..`; begins with `where`.
    """
    parts = PureWindowsPath(text).parts if "\\" in text and not (folder / text).is_file() else Path(text).parts
    relative = os.path.normpath(os.path.join(*parts)) if parts else "."
    if relative == "." or "\0" in text:
        raise DataError(f"{where}: {brief(text)} names no image")
    if relative.split(os.sep)[0] == ".." or os.path.isabs(relative) or PureWindowsPath(text).drive:
        raise DataError(f"{where}: {brief(text)} leads out of {folder}; expected a path inside of it")
    return folder / relative


def images_below(folder: Path) -> list:
    """The images in a folder and the folders in it, sorted; links to folders are followed, but not in circles."""
    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        true = os.path.realpath(place)
        if true in seen:
            folders.clear()
            continue
        seen.add(true)
        named = [name for name in folders if Path(name).suffix.lower() in IMAGE_SUFFIXES]  # refused when they are read
        found += [Path(place) / name for name in files + named if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    return sorted(found)


def class_list(folder: Path, *names) -> list | None:
    """The lines of the first of these files that a folder has; None where it has none of them.

    Raises:
        DataError: no names in it, or one twice.
    """
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return None
    lines = [line.strip() for line in read_text(path).splitlines()]
    classes = [line for line in lines if line]
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice or not classes:
        raise DataError(f"{path}: " + (f"class {twice[0]!r} is there twice" if twice else "no class names; expected one a line"))
    return classes
