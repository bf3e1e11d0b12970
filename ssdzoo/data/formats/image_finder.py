"""Finding images by paths that were written elsewhere: from another folder, on another machine, or in a bucket."""

import os
import re
from pathlib import Path

from ssdzoo.data.formats.image_files import AmbiguousImageError, file_names, find_image, is_image
from ssdzoo.data.formats.text_files import nfc
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

_NAME_FOLDER = "name the folder of the images with image_folder="
DEEPEST = 30  # parts of a path; each end of it is looked for in every folder
_ROOT = re.compile(r"^([A-Za-z]:|[A-Za-z][\w+.-]+://|[/\\])")  # of a path on Windows, of an address, of other paths


def path_tails(text: str) -> list:
    """The ends of a path or an address, the longest first: "x/train/a.jpg", "train/a.jpg" and "a.jpg" of "/x/train/a.jpg". Both
    kinds of slashes separate. Of a path of more than DEEPEST parts, the whole and the shorter ends."""
    parts: list[str] = []
    for part in _ROOT.sub("", text.replace("\\", "/"), count=1).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    starts = range(len(parts)) if len(parts) <= DEEPEST else [0, *range(len(parts) - DEEPEST, len(parts))]
    return ["/".join(parts[i:]) for i in starts]


def stored_name(name: str) -> str:
    """The name under which Django, and with it Label Studio, stores an uploaded file: with _ for spaces, and without all signs
    but letters, digits, _, - and the dot."""
    return re.sub(r"[^-\w.]", "", nfc(name).strip().replace(" ", "_"))


class ImageFinder:
    """Finds the images that one file of a data set names.

    Each of its folders is searched for the path as it is, then for the path without its first part, and so on down to the bare
    name. So "/home/ann/cells/train/a.jpg" and "s3://cells/train/a.jpg" are train/a.jpg if it is there, or else a.jpg.

    Args:
        folders: that the paths may start from, the most likely first.
    """

    def __init__(self, folders: list):
        self._folders = folders
        self._texts: dict[str, tuple] = {}
        self._existing: dict[str, list] = {}
        self._stored: dict[str, set] | None = None

    def find(self, text: str, where: str) -> Path:
        """The image of a path.

        Args:
            where: the file and the place in it, with which errors begin.

        Raises:
            DataError: see `find_image`; or two paths that end in the same image because their folders are not there.
        """
        tails = path_tails(text)
        path, tail = self._found(text, tails, where)
        whole = tails[0] if tails else text
        other, other_tail = self._texts.setdefault(str(path), (whole, tail))
        # Images of two folders may have one name: then neither path may lose its folder.
        if other != whole and (tail != whole or other_tail != other):
            raise DataError(
                f"{where}: {brief(text)} and {brief(other)} both lead to {path}; put the images into folders as their paths say"
            )
        return path

    def find_uploaded(self, name: str) -> Path | None:
        """The only image in the folders that a web server stores under a name; see `stored_name`. None where there is none, or
        more than one."""
        if self._stored is None:
            self._stored = {}
            for folder in self._folders:
                for own in file_names(folder):
                    self._stored.setdefault(stored_name(own), set()).add(Path(folder) / own)
        found = [path for path in self._stored.get(nfc(name), ()) if is_image(path)]
        return found[0] if len(found) == 1 else None

    def _found(self, text: str, tails: list, where: str) -> tuple:
        """(path, the end of the text that led to it); exact paths come before those that differ in suffix or spelling."""
        if tails:
            name = os.path.basename(tails[0])
            for place, begin in self._places(os.path.dirname(tails[0])):
                if os.path.isfile(path := os.path.join(place, name)):
                    return Path(path), begin + name
        for tail in [text, *tails]:
            for folder in self._folders:
                try:
                    return find_image(folder, tail, where), tail
                except AmbiguousImageError:
                    raise
                except DataError:
                    continue
        if _ROOT.match(text):
            looked = ", ".join(map(str, self._folders))
            raise DataError(
                f"{where}: {brief(text)} leads out of {looked}, and no image of its name is there; "
                f"put it there, or {_NAME_FOLDER}"
            )
        return find_image(self._folders[0], text, where, f", {_NAME_FOLDER}"), text  # says what is wrong

    def _places(self, folder: str) -> list:
        """(path, end of the folder that led there) of all places where the images of a folder may be, the longest end first."""
        if folder not in self._existing:
            found = [(base / end, f"{end}/" if end else "") for end in [*path_tails(folder), ""] for base in self._folders]
            self._existing[folder] = [(str(place), end) for place, end in found if os.path.isdir(place)]
        return self._existing[folder]
