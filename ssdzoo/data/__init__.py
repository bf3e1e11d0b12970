"""Data sets: many formats, all read into the same records, the batches of a training, and the check before it; without mxnet."""

from ssdzoo.data.formats.recognize import FORMATS
from ssdzoo.data.reading import class_names, has_split, load_dataset, split_names
from ssdzoo.data.record import Dataset, Problem, Record

__all__ = ["FORMATS", "Dataset", "Problem", "Record", "class_names", "has_split", "load_dataset", "split_names"]
