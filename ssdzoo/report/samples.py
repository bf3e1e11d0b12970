"""Augmented samples with their boxes, as a training gets them."""

from math import ceil, sqrt

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ssdzoo.data.images import read_image
from ssdzoo.data.loading.transforms import AUGMENTATIONS, train_transform
from ssdzoo.data.record import Record
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.report.pictures import PALETTE, draw_detections, legend, picture_grid

CELL = 400  # pixels of a sample's longer side
WIDEST = 6  # samples side by side


def sample_grid(records: list, names: list, count: int, size: tuple, augment: str = "ssd", seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a grid of augmented samples, of as many different images as there are.

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
    views = [_view(records[order[i % len(order)]], size, augment, np.random.default_rng([seed, i + 1])) for i in range(count)]
    shown = sorted({int(i) for _, _, ids, _ in views for i in ids})
    # Tags would hide small objects; but where a color stands for several classes, only a tag says which it is.
    tags = len({i % len(PALETTE) for i in shown}) < len(shown)
    pictures = [_drawn(image, boxes, ids, names, tags) for image, boxes, ids, _ in views]
    cell = tuple(round(side * CELL / max(size)) for side in size)
    grid = picture_grid(pictures, _columns(count), cell, captions=[text for *_, text in views])
    if tags or not shown:
        return grid
    return np.concatenate([legend([(PALETTE[i % len(PALETTE)], names[i]) for i in shown], grid.shape[1]), grid])


def _columns(count: int) -> int:
    """The number that leaves the fewest cells of the last row empty, of those that make a picture about as wide as a screen."""
    widest = min(count, WIDEST)
    square = min(widest, ceil(sqrt(count)))
    return min(range(square, widest + 1), key=lambda columns: (-count % columns, columns))


def _view(record: Record, size: tuple, augment: str, rng: np.random.Generator) -> tuple:
    """A sample, enlarged so that the lines do not hide it: image, boxes, class ids; and its caption."""
    boxes, ids = record.boxes[~record.crowd], record.class_ids[~record.crowd]
    augmentation = AUGMENTATIONS[augment]
    image, boxes, ids, _ = train_transform(read_image(record.image), boxes, ids, size, rng, augmentation=augmentation)
    scale = CELL / max(size)
    height, width = (round(side * scale) for side in size)
    text = record.image.stem + ("" if len(ids) else " (no objects)")
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), boxes * np.float32(scale), ids, text


def _drawn(image: np.ndarray, boxes: np.ndarray, ids: np.ndarray, names: list, tags: bool) -> np.ndarray:
    if tags:
        return draw_detections(image, Detections(boxes, np.ones(len(ids)), ids, tuple(names)), scores=False)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for box, i in zip(np.round(boxes).tolist(), ids):
        x1, y1, x2, y2 = (min(max(0, v), side - 1) for v, side in zip(box, picture.size * 2))
        draw.rectangle([x1, y1, x2, y2], outline=PALETTE[i % len(PALETTE)], width=2)
    return np.array(picture)
