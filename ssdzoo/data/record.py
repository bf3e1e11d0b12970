"""One image with its objects, and a list of them: what every reader of a data set returns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssdzoo.data.images import FilePart

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
        return f"{self.path}: {self.message}"

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


@dataclass(frozen=True)
class Dataset:
    """One split of a data set.

    Attributes:
        names: the classes, by class id.
        records: list of Record.
        problems: list of Problem: what was left out, and what is suspicious.
    """

    names: list
    records: list
    problems: list

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        return self.records[index]
