"""From the index of a record to a sample of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ssdzoo.augmentation.table import Augmentation
from ssdzoo.data.images import read_image
from ssdzoo.data.loading.augment.draw import Drawn, draw_view, happens
from ssdzoo.data.loading.augment.mosaic import draw_tiles, join, tile_size, view_of_tile
from ssdzoo.data.loading.augment.transform import Transform
from ssdzoo.data.loading.batch import Batch, collate
from ssdzoo.data.loading.resize_cache import ResizeCache
from ssdzoo.data.loading.size_check import check_size
from ssdzoo.data.loading.transforms import eval_transform, reduction, render_view, turned_size
from ssdzoo.data.record import Dataset, Record


@dataclass(frozen=True)
class Preparation:
    """Turns the index of a record into a sample: everything random derives from (seed, epoch, index).

    Attributes:
        dataset: the records.
        size: (height, width) of the samples.
        augmentation: None only resizes.
        seed: of everything random.
        cache: of smaller copies of large photos.
        weights: (N,) how likely each image is to be the second, third or fourth of a mosaic; None makes all equally likely.
    """

    dataset: Dataset
    size: tuple
    augmentation: Augmentation | Transform | None
    seed: int
    cache: ResizeCache | None = None
    weights: np.ndarray | None = None

    def sample(self, epoch: int, showing: int) -> tuple:
        """(image (H, W, 3) uint8, boxes (M, 4), class ids (M,)); crowds are left out.

        Args:
            epoch: its number.
            showing: the index of a record, plus the number of records times how often it was shown before in this epoch.
        """
        index = showing % len(self.dataset)
        if self.augmentation is None:
            return self._whole(index)
        rng = np.random.default_rng([self.seed, epoch, showing + 1])
        if isinstance(self.augmentation, Transform):
            return self._transformed(index, rng, self.augmentation)
        if happens(rng, self.augmentation.mosaic.probability):
            return self._mosaic(index, rng, self.augmentation)
        return self._render(index, self._draw(index, rng, self.augmentation), self.size)

    def batch(self, epoch: int, showings: Sequence[int] | np.ndarray) -> Batch:
        """The samples of some showings."""
        return collate([self.sample(epoch, int(i)) for i in showings], np.asarray(showings) % len(self.dataset))

    def _whole(self, index: int) -> tuple:
        record = self.dataset[index]
        boxes, ids = _objects(record)
        # Every object stays: the evaluation counts those that are too small to learn, too.
        scale = _scale((record.height, record.width), self.size)
        return eval_transform(check_size(record, read_image(record.image)), self.size), boxes * scale, ids

    def _draw(self, index: int, rng: Generator, augmentation: Augmentation) -> Drawn:
        record = self.dataset[index]
        return draw_view(record.height, record.width, _objects(record)[0], rng, augmentation)

    def _render(self, index: int, drawn: Drawn, size: tuple) -> tuple:
        """The drawn view of a record's image at `size` (height, width)."""
        record = self.dataset[index]
        image = self._read(record, reduction(drawn.window, turned_size(size, drawn.turns)))
        boxes, ids = _objects(record)
        return render_view(image, (record.height, record.width), boxes, ids, drawn, size)

    def _read(self, record: Record, smaller: int = 1) -> np.ndarray:
        """A record's image, which may be decoded that many times smaller, or its smaller copy."""
        return self.cache.read(record) if self.cache else check_size(record, read_image(record.image, smaller), smaller)

    def draw_images(self, rng: Generator, count: int) -> list[int]:
        """Indices of `count` records, by their weights."""
        ends = np.arange(1, len(self.dataset) + 1) if self.weights is None else np.cumsum(self.weights)
        found = np.searchsorted(ends, rng.uniform(0, ends[-1], count), side="right")
        return np.minimum(found, len(ends) - 1).tolist()  # a float may round up to the end

    def _mosaic(self, index: int, rng: Generator, augmentation: Augmentation) -> tuple:
        others = self.draw_images(rng, 3)
        tiles = draw_tiles(self.size, rng, augmentation.mosaic)
        samples = []
        for i, tile in zip((index, *others), tiles):
            drawn = view_of_tile(self._draw(i, rng, augmentation), tile, self.size, rng, augmentation.mosaic)
            samples.append(self._render(i, drawn, tile_size(tile)))
        return join(samples, tiles, self.size)

    def _transformed(self, index: int, rng: Generator, transform: Transform) -> tuple:
        record = self.dataset[index]
        boxes, ids = _objects(record)
        image = self._read(record)
        boxes = boxes * _scale((record.height, record.width), image.shape)
        image, boxes, ids = transform(image, boxes, ids, rng, record.image, len(self.dataset.names))
        boxes = boxes * _scale(image.shape, self.size)
        keep = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
        return eval_transform(image, self.size), boxes[keep], ids[keep]


def _objects(record: Record) -> tuple:
    """Boxes (M, 4) and class ids (M,) to train on."""
    return record.boxes[~record.crowd], record.class_ids[~record.crowd]


def _scale(shape: tuple, size: tuple) -> np.ndarray:
    """(4,) factors of boxes of an image of `shape` (height, width, ...) that is resized to `size` (height, width, ...)."""
    return np.array(size[1::-1] * 2, np.float32) / np.array(shape[1::-1] * 2, np.float32)
