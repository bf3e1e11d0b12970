"""Data sets: many formats, all read into the same records, the batches of a training, and the check before it; without mxnet."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssdzoo.data.formats.recognize import FORMATS
    from ssdzoo.data.reading import class_names, has_split, load_dataset, split_names
    from ssdzoo.data.record import Dataset, Problem, Record

__all__ = ["FORMATS", "Dataset", "Problem", "Record", "class_names", "has_split", "load_dataset", "split_names"]

# Where each name lives. All readers and OpenCV take a third of the time of `ssdzoo --help`, which needs neither.
_HOME = {
    "FORMATS": "formats.recognize",
    **dict.fromkeys(("class_names", "has_split", "load_dataset", "split_names"), "reading"),
    **dict.fromkeys(("Dataset", "Problem", "Record"), "record"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
