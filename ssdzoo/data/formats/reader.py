"""What a format's reader gives, and how it becomes records: the checks that hold for every format are here."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.boxes import clip
from ssdzoo.data.images import FilePart, image_size
from ssdzoo.data.record import ERROR, Problem, Record
from ssdzoo.errors import DataError

SLACK = 1.0  # pixels that a box may stick out of its image, from counting and rounding; it is cut


class Marked(NamedTuple):
    """An object as its file has it: class name, box (xmin, ymin, xmax, ymax) counted from 0, and for messages where it is in
    the file and the numbers that are there."""

    name: str
    box: tuple
    where: str
    shown: str
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Entry:
    """An image as its annotation has it.

    Attributes:
        image: see Record.
        source: the file that messages about its objects name.
        objects: list of Marked.
        size: (height, width) that the annotation claims, or None.
        normalized: boxes are parts of the image's width and height instead of pixels.
    """

    image: Path | FilePart
    source: Path
    objects: list
    size: tuple | None = None
    normalized: bool = False


class Reader:
    """A data set of one format. What is wrong with the whole raises a DataError; what is wrong with one image or object is
    appended to `problems`, and the rest goes on.

    Attributes:
        path: as the user gave it.
        format: name of the format.
        undivided: begins the message about a split that a data set without splits of its own does not have.
        nameless: the files hold class ids alone, so that any list of names fits them.
    """

    format = ""
    undivided = "without files for its splits"
    nameless = False

    def __init__(self, path):
        self.path = Path(path)

    def splits(self) -> list:
        """Names of the splits; empty where the data set has none, and they are drawn."""
        raise NotImplementedError

    def class_names(self, problems: list) -> list:
        """Names of all classes, over all splits, in the order of their ids."""
        raise NotImplementedError

    def items(self, split: str | None, problems: list) -> list:
        """What `entry` takes, one for each image of a split, or of the whole data set; in a fixed order."""
        raise NotImplementedError

    def entry(self, item, problems: list) -> Entry | None:
        """One image's annotation, or None where it cannot be read."""
        raise NotImplementedError


def make_record(entry: Entry, ids: dict, problems: list) -> Record | None:
    """The record of an entry; None where the image is missing, broken, or not the annotation's.

    Args:
        ids: class id of each name.
        problems: takes what is wrong. Objects with an error and boxes without width or height are left out.
    """
    try:
        height, width = image_size(entry.image)
    except DataError as error:
        problems.append(Problem.of(error, entry.image, "image"))
        return None
    if entry.size and tuple(entry.size) != (height, width):
        claimed = f"{entry.size[1]:g}x{entry.size[0]:g}"
        about = "" if entry.source.stem == entry.image.stem else f" of {entry.image}"
        message = (
            f"says {claimed}, the image{about} is {width}x{height}: an annotation of another image, or one from before a "
            "resize or a turn"
        )
        problems.append(Problem(entry.source, message, "image size", ERROR))
        return None
    scale = (width, height) * 2 if entry.normalized else 1
    raw = np.array([o.box for o in entry.objects], np.float64).reshape(-1, 4) * scale
    with np.errstate(over="ignore"):
        boxes = clip(raw, height, width).astype(np.float32)
    keep = [_is_good(o, *rows, ids, entry.source, (height, width), problems) for o, *rows in zip(entry.objects, raw, boxes)]
    kept = [o for o, good in zip(entry.objects, keep) if good]
    return Record(
        entry.image,
        boxes[np.array(keep, bool)],
        np.array([ids[o.name] for o in kept], np.int32),
        np.array([o.difficult for o in kept], bool),
        np.array([o.crowd for o in kept], bool),
        height,
        width,
    )


def _is_good(marked: Marked, raw, box, ids: dict, source: Path, size: tuple, problems: list) -> bool:
    """Whether an object can be used: `raw` is its box in pixels, `box` the same cut at the borders of the image."""
    height, width = size
    what = f"{marked.where} ({marked.name}): box ({marked.shown})"
    x1, y1, x2, y2 = raw.tolist()
    inside = x1 >= -SLACK and y1 >= -SLACK and x2 <= width + SLACK and y2 <= height + SLACK
    left, top, right, bottom = box.tolist() if inside else (x1, y1, x2, y2)
    if marked.name not in ids:
        problem = Problem(source, f"{marked.where} {_unknown(marked.name, list(ids))}", "unknown class", ERROR)
    elif not np.isfinite(raw).all():
        problem = Problem(source, f"{what} is not finite", "no box", ERROR)
    elif right <= left or bottom <= top:
        problem = Problem(source, f"{what} has no width or no height: left out", "degenerate box")
    elif not inside:
        problem = Problem(source, f"{what} is outside of the {width}x{height} image", "box outside", ERROR)
    else:
        return True
    problems.append(problem)
    return False


def _unknown(name: str, names: list) -> str:
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; do you mean {near[0]!r}?" if near else ""
    known = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"is of class {brief(name)}, which is not among {known or 'no classes'}{hint}"


def brief(value, limit: int = 60) -> str:
    """A value of a file as a message shows it: short, and on one line, whatever the file holds."""
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def number(value) -> float:
    """A float of a number or a text of a file; NaN where it is neither."""
    if isinstance(value, bool):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def read_text(path: Path) -> str:
    """The text of a small file in UTF-8.

    Raises:
        DataError: missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, from byte {error.start} on; save it as UTF-8") from None
