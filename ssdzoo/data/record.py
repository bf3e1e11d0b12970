"""One image with its objects, and a list of them: what every reader of a data set returns."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from ssdzoo.data.images import FilePart
from ssdzoo.quote import message

ERROR, WARNING = "error", "warning"
SHOWN = 5  # problems of one kind that are shown before a training or an evaluation


@dataclass(frozen=True)
class Record:
    """An image and its objects.

    Attributes:
        image: path of the image, or the part of a file that holds it.
        boxes: (M, 4) float32 xyxy, pixels of the image, 0-based.
        class_ids: (M,) int32, from 0, without the background class.
        difficult: (M,) bool; such an object is trained on, and ignored in the evaluation.
        crowd: (M,) bool; a box around many objects: ignored in training and in the evaluation.
        height, width: of the image in pixels.
    """

    image: Path | FilePart
    boxes: np.ndarray
    class_ids: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    height: int
    width: int

    def __post_init__(self):
        count = len(self.boxes)
        shapes = [self.boxes.shape, self.class_ids.shape, self.difficult.shape, self.crowd.shape]
        if shapes != [(count, 4), (count,), (count,), (count,)] or self.boxes.dtype != np.float32:
            raise ValueError(f"{self.image}: boxes, class_ids, difficult and crowd have shapes {shapes}, {self.boxes.dtype}")


@dataclass(frozen=True)
class Problem:
    """Something wrong in a file of a data set.

    Attributes:
        path: the file, or a part of it.
        message: what is wrong, where in the file, and what was done about it.
        kind: a few words that problems of one sort share, such as "degenerate box".
        severity: ERROR where training would fail or learn something wrong; WARNING where it was handled, or is suspicious.
    """

    path: Path | FilePart
    message: str
    kind: str = ""
    severity: str = WARNING

    def __str__(self):
        return message(f"{self.path}: {self.message}")

    @classmethod
    def of(cls, error: Exception, path: Path | FilePart, kind: str) -> "Problem":
        """A DataError about `path` as a problem."""
        return cls(path, str(error).removeprefix(f"{path}: "), kind, ERROR)


def brief_problems(problems: list) -> list[str]:
    """A line for each problem; of a kind that is there more often, the first SHOWN and how many more there are."""
    kinds: dict[tuple, list] = {}
    for problem in problems:
        kinds.setdefault((problem.severity, problem.kind), []).append(problem)
    lines: list[str] = []
    for (_, kind), found in kinds.items():
        lines += map(str, found[:SHOWN])
        lines += [f"... and {len(found) - SHOWN:,} more: {kind}"] if len(found) > SHOWN else []
    return lines


class Records(Sequence[Record]):
    """Records as a list of them, which takes the memory of a few arrays: a Record is made when it is asked for.

    Its arrays are views of those here. A slice is a list of Record.

    Attributes:
        images: list of N paths as texts, or FileParts.
        sizes: (N, 2) int64, height and width in pixels.
        offsets: (N + 1,) int64; the objects of image i are those from offsets[i] to offsets[i + 1].
        boxes: (M, 4) float32; class_ids: (M,) int32; difficult, crowd: (M,) bool, of all objects; see Record.
    """

    def __init__(self, images: list, sizes: np.ndarray, offsets: np.ndarray, boxes: np.ndarray, class_ids: np.ndarray,
                 difficult: np.ndarray, crowd: np.ndarray):  # fmt: skip
        self.images, self.sizes, self.offsets = images, sizes, offsets
        self.boxes, self.class_ids, self.difficult, self.crowd = boxes, class_ids, difficult, crowd

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[operator.index(index)]
        height, width = self.sizes[i].tolist()
        boxes, class_ids, difficult, crowd = self._objects(i, i + 1)
        return Record(self.image(i), boxes, class_ids, difficult, crowd, height, width)

    def image(self, index: int) -> Path | FilePart:
        """The image of a record."""
        image = self.images[index]
        return Path(image) if isinstance(image, str) else image

    def __add__(self, others: Iterable[Record]) -> list[Record]:
        return [*self, *others]

    def __eq__(self, other: Any) -> bool:
        """As for lists: equal where all records are the same objects, so only where both are empty or one is the other."""
        return self is other or (isinstance(other, (list, Records)) and not len(self) and not len(other))

    __hash__ = None  # type: ignore[assignment]

    def part(self, begin: int, end: int) -> "Records":
        """The records from `begin` to `end`, as arrays."""
        offsets = self.offsets[begin : end + 1]
        return Records(self.images[begin:end], self.sizes[begin:end], offsets - offsets[0], *self._objects(begin, end))

    def taken(self, places: np.ndarray) -> "Records":
        """The records at `places` (K,) in that order, each as often as it is named."""
        counts = np.diff(self.offsets)[places]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[places] - offsets[:-1], counts)
        columns = self.boxes[rows], self.class_ids[rows], self.difficult[rows], self.crowd[rows]
        return Records([self.images[i] for i in places.tolist()], self.sizes[places], offsets, *columns)

    def _objects(self, begin: int, end: int) -> tuple:
        rows = slice(self.offsets[begin], self.offsets[end])
        return self.boxes[rows], self.class_ids[rows], self.difficult[rows], self.crowd[rows]

    @classmethod
    def of(cls, record: Record) -> "Records":
        """A single record."""
        image = record.image if isinstance(record.image, FilePart) else str(record.image)
        sizes, offsets = np.array([[record.height, record.width]]), np.array([0, len(record.boxes)])
        return cls([image], sizes, offsets, record.boxes, record.class_ids, record.difficult, record.crowd)

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """The records of all parts, one after the other."""
        empty = cls([], np.zeros((0, 2), np.int64), np.zeros(1, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int32),
                    np.zeros(0, bool), np.zeros(0, bool))  # fmt: skip
        parts = [empty, *parts]
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        columns = [[getattr(part, name) for part in parts] for name in ("boxes", "class_ids", "difficult", "crowd")]
        return cls(
            [image for part in parts for image in part.images],
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([[0], np.cumsum(counts)]),
            *map(np.concatenate, columns),
        )


@dataclass(frozen=True)
class Dataset:
    """One split of a data set.

    Attributes:
        names: the classes, by class id.
        records: a Record for each image; a list, or Records.
        problems: list of Problem: what was left out, and what is suspicious.
    """

    names: list
    records: Sequence[Record]
    problems: list

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        return self.records[index]
