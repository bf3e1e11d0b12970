"""From the path of a data set to its records.

A data set is named by a path, by a list of paths, or by paths with commas in between; several are joined.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ssdzoo.data.formats.read_records import read_records
from ssdzoo.data.formats.recognize import open_readers
from ssdzoo.data.formats.splits import (
    FRACTIONS,
    EmptySplitError,
    NoObjectsError,
    NoSplitError,
    knows_split,
    own_splits,
    select_items,
)
from ssdzoo.data.record import ERROR, Dataset, Problem
from ssdzoo.errors import DataError
from ssdzoo.progress import Silent, counted
from ssdzoo.quote import brief

SHOWN = 5  # bad files that one error names


def class_names(path: str | Path | list, format: str | None = None) -> list:
    """Names of all classes in a data set, over all its splits; of joined ones, in the order in which they first come.

    Args: see `load_dataset`.
    """
    problems: list[Problem] = []
    names = united_names(open_readers(path, format), problems)
    raise_errors(problems)
    return names


def split_names(path: str | Path | list, format: str | None = None) -> list:
    """Names of the splits of a data set; those that are drawn where it has none of its own."""
    names = [name for reader in open_readers(path, format) for name in own_splits(reader) or sorted(FRACTIONS)]
    return list(dict.fromkeys(names))


def has_split(path: str | Path | list, split: str, format: str | None = None) -> bool:
    """Whether a data set has a split; "val" is there too where it is called val2017 or valid."""
    return any(knows_split(reader, split) for reader in open_readers(path, format))


def load_dataset(path: str | Path | list, split: str, names: list | None = None, format: str | None = None,
                 image_folder: str | Path | None = None, progress: Silent | None = None) -> Dataset:  # fmt: skip
    """One split of a data set.

    Args:
        path: a folder or a file of one of FORMATS; or several, in a list or as one text with commas.
        split: such as "train", "val", "test", or a part as in "train[:80%]"; see `ssdzoo.data.formats.splits`. Joined data sets
            without it add nothing, which is reported as a problem.
        names: the classes in order; None takes all that the data set has.
        format: a name of FORMATS; None recognizes it from the path.
        image_folder: where the images lie that the files of the data set name by paths or addresses; None looks around the files.
        progress: shows the images: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.

    The annotations of a split with MANY images or more are believed about the sizes of their images, which are compared when the
    images are decoded; those of a smaller one are compared here.

    Boxes without width or height are left out, corners in the wrong order are swapped, and both are reported as problems.

    Raises:
        CallError: an unknown format, a part of a split that cannot be read, an `image_folder` that is missing or of no use.
        DataError: class ids without names joined to names; an unknown or empty split; annotations or images that cannot be read,
            a box outside of its image, a class that is not in `names`: names the first few files and what to do. A split without
            a single object.
    """
    readers = open_readers(path, format, image_folder)
    problems: list[Problem] = []
    if names is None:
        names = united_names(readers, problems)
        raise_errors(problems)
    records = read_records(readers, read_items(readers, split, problems), list(names), problems, (progress or Silent()).images)
    raise_errors(problems)
    if records and not has_objects(records):
        raise NoObjectsError(f"{path}: {no_objects(split, len(records), problems)}")
    return Dataset(list(names), records, problems)


def has_objects(records: Sequence) -> bool:
    """Whether any Record has an object that can be learned or found; crowds are none."""
    return any(not record.crowd.all() for record in records)


def no_objects(split: str, count: int, problems: list) -> str:
    """What to say about a split of `count` images for which `has_objects` is False; `problems` are those of its boxes."""
    images = f"its {count} images have" if count > 1 else "its only image has"
    empty = sum(problem.kind == "degenerate box" for problem in problems)
    why = f" ({counted(empty, 'box')} without width or height left out)" if empty else ""
    return (
        f"split {split!r}: {images} not a single object{why}, and images without objects alone can be neither trained nor "
        "evaluated on: check the annotations"
    )


def united_names(readers: list, problems: list) -> list:
    """Class names of all readers, in the order in which they first come."""
    names: dict[str, None] = {}
    for reader in readers:
        for name in reader.class_names(problems):
            if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
                problems.append(Problem(reader.path, f"class {brief(name)} holds control characters", "class names", ERROR))
            names.setdefault(name)
    return list(names)


def read_items(readers: list, split: str, problems: list) -> list:
    """(reader, item) of each image of a split.

    Raises:
        DataError: none of the readers has it, or one cannot read it.
    """
    items, missing = [], []
    for reader in readers:
        try:
            items += [(reader, item) for item in select_items(reader, split, problems)]
        except NoSplitError as error:
            missing.append((reader, error))
    if len(missing) == len(readers):
        raise missing[0][1]
    for reader, reason in missing:
        what = "no images in" if isinstance(reason, EmptySplitError) else "no"
        problems.append(Problem(reader.path, f"has {what} split {split!r}: adds nothing to it", "split"))
    return items


def raise_errors(problems: list) -> None:
    """Raises a DataError that names the first few files with errors, if there are any."""
    first: dict[str, str] = {}
    for problem in problems:
        if problem.severity == ERROR:
            first.setdefault(str(problem.path), str(problem))
    if first:
        more = f"\n... and {len(first) - SHOWN} more files" if len(first) > SHOWN else ""
        raise DataError("\n".join(list(first.values())[:SHOWN]) + more)
