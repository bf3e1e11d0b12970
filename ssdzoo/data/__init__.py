"""Data sets: one file per format, all read into the same records; nothing here needs mxnet."""

from pathlib import Path

from ssdzoo.data.record import Dataset, Problem, Record
from ssdzoo.data.voc import is_voc, load_voc, voc_class_names, voc_split_names
from ssdzoo.errors import DataError

__all__ = ["Dataset", "Problem", "Record", "class_names", "load_dataset", "split_names"]


def class_names(path) -> list:
    """Names of all classes in a data set, over all its splits."""
    return voc_class_names(_recognized(path))


def split_names(path) -> list:
    """Names of the splits of a data set."""
    return voc_split_names(_recognized(path))


def load_dataset(path, split: str, names: list | None = None) -> Dataset:
    """One split of a data set, whose format is recognized from its path.

    Args:
        path: a Pascal VOC folder.
        split: such as "train", "val", "test".
        names: the classes in order; None takes all that the data set has.

    Raises:
        DataError: an unknown format, or what the format's reader raises.
    """
    return load_voc(_recognized(path), split, names)


def _recognized(path) -> Path:
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such data set")
    if not is_voc(path):
        raise DataError(
            f"{path}: not a data set; expected a Pascal VOC folder with Annotations/, JPEGImages/ and ImageSets/Main/"
        )
    return path
