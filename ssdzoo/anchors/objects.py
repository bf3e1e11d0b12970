"""The objects of a data set as arrays, in the pixels of a network's input."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Objects(NamedTuple):
    """M objects of a data set.

    Attributes:
        boxes: (M, 4) float32 xyxy, pixels of the network's input, or of the images.
        class_ids: (M,) int.
        images: (M,) int: index of the record that each is in.
    """

    boxes: np.ndarray
    class_ids: np.ndarray
    images: np.ndarray

    def of_classes(self, count: int) -> list:
        """The indices of the objects of each of `count` classes, in rising order; one sort for all."""
        ends = np.cumsum(np.bincount(self.class_ids, minlength=count))[: max(0, count - 1)]
        return np.split(np.argsort(self.class_ids, kind="stable"), ends)[:count]


def collect_objects(records: Sequence, size: tuple | None = None) -> Objects:
    """The objects of Records but for crowds, which no anchor learns.

    Args:
        size: (height, width) in pixels of the input that the images are stretched to; None leaves the boxes as they are.
    """
    boxes, ids = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int32)]
    for record in records:
        kept = ~record.crowd
        height, width = size or (record.height, record.width)
        boxes.append(record.boxes[kept] * np.array([width / record.width, height / record.height] * 2, np.float32))
        ids.append(record.class_ids[kept])
    images = np.repeat(np.arange(len(records)), [len(part) for part in ids[1:]])
    return Objects(np.concatenate(boxes), np.concatenate(ids), images)
