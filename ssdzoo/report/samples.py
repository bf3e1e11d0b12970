"""Augmented samples with their boxes, so that a person sees what a training sees."""

from math import ceil, sqrt

import numpy as np

from ssdzoo.data.images import read_image
from ssdzoo.data.transforms import AUGMENTATIONS, train_transform
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.report.pictures import draw_detections, picture_grid

SHOWN_AT = 480  # pixels of a sample's side at least, so that tags hide little


def sample_grid(records: list, names: list, count: int, size: tuple, augment: str = "ssd", seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a grid of augmented samples, each of another image as long as there are any.

    Args:
        records: Records; names: their classes.
        count: samples.
        size: (height, width) of the network's input.
        augment: a name of AUGMENTATIONS.

    Raises:
        CallError: nothing to show, or an unknown augmentation.
        DataError: an image that cannot be read.
    """
    if augment not in AUGMENTATIONS:
        raise CallError(f"no augmentation {augment!r}; there are {', '.join(AUGMENTATIONS)}")
    if count < 1 or not records:
        raise CallError(f"cannot show {count} samples of {len(records)} images; expected one or more of both")
    order = np.random.default_rng([seed, 0]).permutation(len(records))
    pictures = [_sample(records[order[i % len(order)]], names, size, augment, np.random.default_rng([seed, i + 1])) for i in range(count)]
    columns = ceil(sqrt(count * size[0] / size[1] * 1.4))
    cell = tuple(round(side * 400 / max(size)) for side in size)
    return picture_grid([picture for picture, _ in pictures], min(columns, count), cell, captions=[text for _, text in pictures])


def _sample(record, names: list, size: tuple, augment: str, rng) -> tuple:
    """A sample with its boxes, large enough to look at; and its name."""
    boxes, ids = record.boxes[~record.crowd], record.class_ids[~record.crowd]
    image = read_image(record.image)
    image, boxes, ids, _ = train_transform(image, boxes, ids, size, rng, augmentation=AUGMENTATIONS[augment])
    scale = max(1, ceil(SHOWN_AT / min(size)))
    image = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)
    found = Detections(boxes * scale, np.ones(len(ids)), ids, names)
    text = record.image.stem + ("" if len(ids) else " (no objects)")
    return draw_detections(image, found, scores=False), text
