"""Formats that are known by their files but not read: Datumaro turns them into COCO's, which is."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ssdzoo.data.formats.image_files import is_hidden
from ssdzoo.data.formats.text_files import number, read_head

MOST = 20  # files of a suffix that are looked into
DEPTH = 2  # levels of folders below a data set's that are looked into


def unread_format(path: Path) -> str | None:
    """Names the format of a file, or of the files in a folder, if it is one of those here, and the command that converts it; None
    for others."""
    files = [path] if os.path.isfile(path) else _few_files(path)
    for file in files:
        for name, (suffix, words, is_it) in _FORMATS.items():
            if re.search(suffix, file.name.lower()) and is_it(file):
                folder = path if os.path.isdir(path) else path.parent
                command = f"datum convert -i {shlex.quote(str(folder))} -if {name} -f coco -o NEW -- --save-media"
                extras = "cli,tf" if name == "tf_detection_api" else "cli"
                how = f"convert it to COCO's format (pip install 'datumaro[{extras}]') and name NEW: `{command}`"
                return f"{file} is {words}, which is not read; {how}"
    return None


def _few_files(folder: Path) -> Iterator[Path]:
    """A few files of each suffix in a folder and in two levels of folders below it."""
    counts: Counter = Counter()
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not is_hidden(name)) if depth < DEPTH else []
        for name in sorted(files):
            suffix = Path(name).suffix.partition("-")[0]
            counts[suffix] += 1
            if counts[suffix] <= MOST and not name.startswith("."):
                yield Path(place, name)


def _is_kitti(file: Path) -> bool:
    """A type, and 14 numbers: truncated, occluded, alpha, box, size, place, rotation; a score may follow."""
    fields = read_head(file).partition("\n")[0].split()
    values = [number(field) for field in fields]
    return len(fields) in (15, 16) and values[0] != values[0] and all(v == v for v in values[1:])


def _is_open_images(file: Path) -> bool:
    columns = {name.strip() for name in read_head(file).partition("\n")[0].split(",")}
    return {"ImageID", "LabelName", "XMin", "XMax"} <= columns


# Datumaro's name of a format: (pattern of its files' names, its name in messages, whether a file is one of its files).
_FORMATS: dict[str, tuple[str, str, Callable[[Path], bool]]] = {
    "kitti": (r"\.txt$", "a label file of KITTI", _is_kitti),
    "tf_detection_api": (r"\.(tf)?record(-\d+-of-\d+)?$", "a TFRecord", os.path.isfile),
    "open_images": (r"\.csv$", "a table of Open Images", _is_open_images),
}
