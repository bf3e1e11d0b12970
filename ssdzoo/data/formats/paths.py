"""Finding the files that a data set's files name, and refusing to leave its folder."""

import os
from pathlib import Path, PureWindowsPath

from ssdzoo.data.formats.text_files import brief
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.errors import DataError


def path_inside(folder: Path, text: str, where: str) -> Path:
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
