"""Augmented samples with their boxes, as a training gets them."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ssdzoo.data.loading.augment.transform import as_augmentation
from ssdzoo.data.loading.preparation import Preparation
from ssdzoo.data.record import Dataset
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.report.pictures import PALETTE, column_count, draw_detections, legend, outline, picture_grid

CELL = 400  # pixels of a sample's longer side
WIDEST = 6  # samples side by side


def sample_grid(records: Sequence, names: list, count: int, size: tuple, augment: Any = "ssd", seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a grid of augmented samples, of as many different images as there are.

    Args:
        records: Records; names: their classes.
        count: samples.
        size: (height, width) of the network's input.
        augment: what `ssdzoo.fine_tune` takes as one.

    Raises:
        CallError: nothing to show, or an unknown augmentation.
        DataError: an image that cannot be read.
    """
    augmentation = as_augmentation(augment)
    if count < 1 or not records:
        raise CallError(f"cannot show {count} samples of {len(records)} images; expected one or more of both")
    order = np.random.default_rng([seed, 0]).permutation(len(records))
    preparation = Preparation(Dataset(names, records, []), tuple(size), augmentation, seed)
    views = [_view(preparation, int(order[i % len(order)]), i // len(order)) for i in range(count)]
    shown = sorted({int(i) for _, _, ids, _ in views for i in ids})
    # Tags would hide small objects; but where a color stands for several classes, only a tag says which it is.
    tags = len({i % len(PALETTE) for i in shown}) < len(shown)
    pictures = [_drawn(image, boxes, ids, names, tags) for image, boxes, ids, _ in views]
    cell = tuple(round(side * CELL / max(size)) for side in size)
    grid = picture_grid(pictures, column_count(count, min(count, WIDEST)), cell, captions=[text for *_, text in views])
    if tags or not shown:
        return grid
    return np.concatenate([legend([(PALETTE[i % len(PALETTE)], names[i]) for i in shown], grid.shape[1]), grid])


def _view(preparation: Preparation, index: int, repeat: int) -> tuple:
    """A sample of the first epoch, enlarged so that the lines do not hide it: image, boxes, class ids; and its caption."""
    records, size = preparation.dataset.records, preparation.size
    image, boxes, ids = preparation.sample(0, index + repeat * len(records))
    scale = CELL / max(size)
    height, width = (round(side * scale) for side in size)
    text = records[index].image.stem + ("" if len(ids) else " (no objects)")
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), boxes * np.float32(scale), ids, text


def _drawn(image: np.ndarray, boxes: np.ndarray, ids: np.ndarray, names: list, tags: bool) -> np.ndarray:
    if tags:
        return draw_detections(image, Detections(boxes, np.ones(len(ids)), ids, tuple(names)), scores=False)
    for box, i in zip(boxes, ids):
        image = outline(image, box[None], PALETTE[i % len(PALETTE)], width=2)
    return image
