"""The paths that a data set's files name, and the refusal to leave its folder."""

import ntpath
import os
from pathlib import Path

from ssdzoo.errors import DataError
from ssdzoo.quote import brief


def path_inside(folder: Path, text: str, where: str) -> Path:
    """The file that a data set names by a path relative to a folder of its own. Links inside of it are followed: the user
    made them.

    Raises:
        DataError: an absolute path, or one that leaves the folder by `..`; begins with `where`.
    """
    plain = text.replace("\\", "/") if "\\" in text and not os.path.isfile(folder / text) else text
    relative = os.path.normpath(plain)
    if relative == "." or not _can_be_path(text):
        raise DataError(f"{where}: {brief(text)} names no image")
    if relative.split(os.sep)[0] == ".." or os.path.isabs(relative) or ntpath.splitdrive(text)[0]:
        raise DataError(f"{where}: {brief(text)} leads out of {folder}; expected a path inside of it")
    return folder / relative


def _can_be_path(text: str) -> bool:
    """False for texts with zero bytes, or with half a character, as JSON may have them."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
