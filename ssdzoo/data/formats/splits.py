"""Which images a split contains, for all formats alike: splits of the data set's own, drawn ones, and parts of both.

    train            a split of the data set; also finds train2017, and val finds valid or validation
    trainval         train and val together
    train[:80%]      the first 80 % of its images, in a random order that never changes
    train[80%:]      the others

A data set without splits has train, val and test of 80, 10 and 10 %, trainval, and all. One whose only split is called default,
as in exports of CVAT, has none. Of fewer than 8 images, val or test may get none; train always has one.
"""

import contextlib
import re

import numpy as np

from ssdzoo.data.formats.reader import Reader
from ssdzoo.errors import CallError, DataError
from ssdzoo.quote import short

LISTED = 20  # splits that a message lists
FRACTIONS = {"train": (0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1)}  # of the images, where a data set has no splits
_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "trainval": "trainval"}
_GERUNDS = {"training": "train", "testing": "test"}  # only of folders, as in training_images
UNDIVIDED = "default"  # the only split of what CVAT exports from a task that is not divided
_PART = re.compile(r"([^\[\]]+)\[\s*(?:([\d.]+)\s*%)?\s*:\s*(?:([\d.]+)\s*%)?\s*\]")


class NoSplitError(DataError):
    """The data set is fine, but has no such split."""


class EmptySplitError(NoSplitError):
    """The split is there, but has no images, or no objects."""


class NoObjectsError(EmptySplitError):
    """The split has images, but not a single object."""


def own_splits(reader: Reader) -> list:
    """Names of the splits that a data set has itself; empty where they are drawn."""
    names = reader.splits()
    return [] if names == [UNDIVIDED] else names


def knows_split(reader: Reader, split: str) -> bool:
    """Whether a data set has a split of this name; it may be empty."""
    name, _, _ = parse_split(split)
    if not own_splits(reader):
        return name in (*FRACTIONS, "trainval", "all")
    try:
        return bool(match_split(reader, name))
    except NoSplitError:
        return False


def select_items(reader: Reader, split: str, problems: list) -> list:
    """The items of a split.

    Args:
        split: see above.

    Raises:
        CallError: a part that is not written as above.
        NoSplitError: a split that is not there, or has no images.
        DataError: what the reader raises; a part without an image.
    """
    name, low, high = parse_split(split)
    items = _joined(reader, match_split(reader, name), problems) if own_splits(reader) else _drawn(reader, name, problems)
    if (low, high) == (0, 1) or not items:
        return items
    chosen = _part(items, low, high)
    if not chosen:
        raise DataError(f"{reader.path}: {split!r} contains none of the {len(items)} images of {name!r}")
    return chosen


def parse_split(split: str) -> tuple:
    """Name, and the part of its images from one fraction to another: "train[20%:]" gives ("train", 0.2, 1)."""
    if "[" not in split:
        return split, 0, 1
    if match := _PART.fullmatch(split.strip()):
        with contextlib.suppress(ValueError):  # such as 1.2.3
            low, high = float(match[2] or 0) / 100, float(match[3] or 100) / 100
            if 0 <= low < high <= 1:
                return match[1].strip(), low, high
    raise CallError(f"split {split!r}: a part is written like train[:80%], train[80%:] or train[20%:40%]")


def match_split(reader: Reader, wanted: str) -> list:
    """The splits that a user means by a name: one, or train and val for a trainval that has no files of its own."""
    names = reader.splits()
    if wanted in names:
        return [wanted]
    found = [name for name in names if split_word(name) and split_word(name) == split_word(wanted)]
    if len(found) > 1:
        raise NoSplitError(f"{reader.path}: {wanted!r} may be {' or '.join(map(short, found[:LISTED]))}: name one of them")
    if not found and wanted == "trainval":
        return [name for part in ("train", "val") for name in match_split(reader, part)]
    if not found:
        known = ", ".join(map(short, names[:LISTED])) + ", ..." * (len(names) > LISTED)
        raise NoSplitError(f"{reader.path}: no split {wanted!r}; there are {known}")
    return found


def split_word(name: str) -> str | None:
    """ "train", "val", "test" or "trainval" for their usual spellings, also with a year behind them; None for other names."""
    return _WORDS.get(re.sub(r"[\s_-]*(19|20)\d\d$", "", name.lower()))


def word_in(name: str) -> str | None:
    """The split that a part of a folder's name says, as in train_images; the last one of several, None without any."""
    parts = reversed(re.split(r"[_\-. ]+", name))
    return next((word for part in parts if (word := split_word(part) or _GERUNDS.get(part.lower()))), None)


def name_files(files: list, prefix: str = "") -> dict:
    """{split: file}, sorted by split, for files that are named after their splits, such as bccd_train.csv; {} for a single
    file whose name says no split."""
    stems = [file.stem.removeprefix(prefix) for file in files]
    names = [next((p for p in reversed(re.split(r"[_\-. ]+", stem)) if split_word(p)), stem) for stem in stems]
    if len(files) == 1 and not split_word(names[0]):
        return {}
    if len(set(names)) < len(names):
        names = stems
    return dict(sorted(zip(names, files)))


def _joined(reader: Reader, names: list, problems: list) -> list:
    """The items of one split, or of several of which some may be empty."""
    items, empty = [], []
    for name in names:
        try:
            items += reader.items(name, problems)
        except EmptySplitError as error:
            empty.append(error)
    if len(empty) == len(names):
        raise empty[0]
    return items


def _part(items: list, low: float, high: float) -> list:
    """The items from one fraction to another of a random order that never changes."""
    order = np.random.default_rng(0).permutation(len(items))
    return [items[i] for i in sorted(order[round(low * len(items)) : round(high * len(items))])]


def _drawn(reader: Reader, name: str, problems: list) -> list:
    items = reader.items(UNDIVIDED if reader.splits() else None, problems)
    if name in ("all", UNDIVIDED):
        return items
    if not items:
        return []
    wanted = ("train", "val") if name == "trainval" else (name,)
    chosen = [item for part, ends in FRACTIONS.items() if part in wanted for item in _part(items, *ends)]
    if not chosen and name in FRACTIONS:
        images = f"{len(items)} images, which are" if len(items) > 1 else "1 image, which is"
        few = f"it is drawn from {images} too few; add images, or divide them yourself"
        raise EmptySplitError(f"{reader.path}: no images in split {name!r}: {few}")
    if not chosen:
        known = f"{reader.undivided} there are {', '.join(FRACTIONS)}, trainval and all, drawn from {len(items)} images"
        raise NoSplitError(f"{reader.path}: no images in split {name!r}; {known}")
    return chosen
