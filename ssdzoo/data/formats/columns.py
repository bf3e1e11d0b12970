"""The annotations of several images as arrays, so that their boxes are checked at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.box_checks import check_boxes
from ssdzoo.data.images import FilePart, ImageInfo
from ssdzoo.data.record import Problem, Records


class Columns(NamedTuple):
    """N images with M objects, one image after the other.

    Attributes:
        images: N paths as texts, or FileParts; None where something about an image or its objects needs a message.
        sizes: (N, 2) int64 height and width in pixels; 0 where they are not known.
        counts: (N,) int64 objects of each image.
        boxes: (M, 4) float64 xyxy, pixels of the image, 0-based.
        class_ids: (M,) int64; -1 for a class that is not known.
        difficult, crowd: (M,) bool.
        source: the file that has all of them; None where each image has its own.
    """

    images: list
    sizes: np.ndarray
    counts: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    source: Path | None = None

    def faultless(self) -> tuple[Records, np.ndarray]:
        """The images about which there is nothing to say, and (N,) bool which of them they are."""
        owner = np.repeat(np.arange(len(self.images)), self.counts)
        boxes, faults = check_boxes(self.boxes, *self.sizes[owner].T)
        wrong = (faults != 0) | (self.class_ids < 0)
        fine = np.array([image is not None for image in self.images], bool) & (self.sizes > 0).all(axis=1)
        fine &= np.bincount(owner[wrong], minlength=len(fine)) == 0
        kept = fine[owner]
        columns = boxes, self.class_ids.astype(np.int32), self.difficult, self.crowd
        offsets = np.concatenate([[0], np.cumsum(self.counts[fine])])
        images = [image for image, is_fine in zip(self.images, fine.tolist()) if is_fine]
        return Records(images, self.sizes[fine], offsets, *(column[kept] for column in columns)), fine


def collect_columns(annotations: Sequence[ImageAnnotation | Problem], infos: list, ids: dict) -> Columns:
    """The columns of annotations.

    Args:
        infos: what is known of each image, an ImageInfo or the error that is there instead; None for a Problem.
        ids: class id of each name.
    """
    images: list = [None] * len(annotations)
    objects: list[AnnotatedObject] = []
    known, counts = np.zeros((len(annotations), 2), np.int64), np.zeros(len(annotations), np.int64)
    scales = np.ones((len(annotations), 2))
    for i, (annotation, info) in enumerate(zip(annotations, infos)):
        if isinstance(annotation, Problem) or not isinstance(info, ImageInfo):
            continue
        size = info[:2]
        is_sure = tuple(annotation.size) == size if annotation.size else info.orientation == 1
        if not is_sure or any(isinstance(each, Problem) for each in annotation.objects):
            continue
        images[i] = annotation.image if isinstance(annotation.image, FilePart) else str(annotation.image)
        known[i], counts[i] = size, len(annotation.objects)
        objects += annotation.objects
        if annotation.normalized:
            scales[i] = size[::-1]
    with np.errstate(over="ignore"):  # boxes of 1e308 are found to be no boxes
        boxes = np.array([each.box for each in objects], np.float64).reshape(-1, 4) * np.tile(
            np.repeat(scales, counts, axis=0), 2
        )
    return Columns(
        images,
        known,
        counts,
        boxes,
        np.array([ids.get(each.name, -1) for each in objects], np.int64),
        np.array([each.difficult for each in objects], bool),
        np.array([each.crowd for each in objects], bool),
    )
