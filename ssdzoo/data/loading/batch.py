"""A batch of images with their objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    """B images and their objects.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        boxes: (B, M, 4) float32, xyxy, pixels of the batch's images; -1 where an image has fewer than M objects; M is at least 1.
        class_ids: (B, M) float32, -1 likewise.
        indices: (B,) int64, of the records in the data set.
    """

    images: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    indices: np.ndarray


def collate(samples: list, indices: Sequence[int] | np.ndarray) -> Batch:
    """A Batch of samples (image, boxes (M, 4), class ids (M,))."""
    most = max(1, *(len(boxes) for _, boxes, _ in samples))
    boxes = np.full((len(samples), most, 4), -1, np.float32)
    ids = np.full((len(samples), most), -1, np.float32)
    for row, (_, sample_boxes, sample_ids) in enumerate(samples):
        boxes[row, : len(sample_boxes)] = sample_boxes
        ids[row, : len(sample_ids)] = sample_ids
    return Batch(np.stack([image for image, _, _ in samples]), boxes, ids, np.asarray(indices, np.int64))
