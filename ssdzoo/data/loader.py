"""Batches from a data set, prepared ahead in worker processes; the same ones for any number of workers."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import cv2
import numpy as np

from ssdzoo.data.images import read_image
from ssdzoo.data.record import Dataset
from ssdzoo.data.transforms import AUGMENTATIONS, Augmentation, eval_transform, train_transform
from ssdzoo.errors import CallError, SSDZooError

AHEAD = 3  # batches in the making per worker


@dataclass(frozen=True)
class Batch:
    """B images and their objects.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        boxes: (B, M, 4) float32, xyxy pixels of the batch's images; -1 where an image has fewer than M objects; M is 1 at least.
        class_ids: (B, M) float32, -1 likewise.
        indices: (B,) int64, numbers of the records.
    """

    images: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    indices: np.ndarray


def collate(samples: list, indices) -> Batch:
    """A Batch of samples (image, boxes (M, 4), class ids (M,))."""
    most = max(1, *(len(boxes) for _, boxes, _ in samples))
    boxes = np.full((len(samples), most, 4), -1, np.float32)
    ids = np.full((len(samples), most), -1, np.float32)
    for row, (_, sample_boxes, sample_ids) in enumerate(samples):
        boxes[row, : len(sample_boxes)] = sample_boxes
        ids[row, : len(sample_ids)] = sample_ids
    return Batch(np.stack([image for image, _, _ in samples]), boxes, ids, np.asarray(indices, np.int64))


@dataclass(frozen=True)
class Preparation:
    """What turns a record's number into a sample: everything random derives from (seed, epoch, number)."""

    dataset: Dataset
    size: tuple
    augmentation: Augmentation | None
    seed: int

    def sample(self, epoch: int, index: int) -> tuple:
        """(image (H, W, 3) uint8, boxes (M, 4), class ids (M,)); boxes around crowds are left out."""
        record = self.dataset[index]
        image = read_image(record.image)
        boxes, ids = record.boxes[~record.crowd], record.class_ids[~record.crowd]
        if self.augmentation:
            rng = np.random.default_rng([self.seed, epoch, index + 1])
            return train_transform(image, boxes, ids, self.size, rng, augmentation=self.augmentation)[:3]
        # Every object stays: what is too small to learn still counts.
        scale = np.array(self.size[::-1] * 2, np.float32) / np.array(image.shape[1::-1] * 2, np.float32)
        return eval_transform(image, self.size), boxes * scale, ids

    def batch(self, epoch: int, indices) -> Batch:
        return collate([self.sample(epoch, int(i)) for i in indices], indices)


class Loader:
    """Iterates over batches of a data set.

    Args:
        dataset: what to load.
        batch_size: images per batch; the last one may be smaller.
        size: (height, width) of the images.
        augmentation: a name of `AUGMENTATIONS`, with which images come shuffled; None leaves their order, and only resizes.
        seed: of everything random.
        workers: processes that prepare batches; 0 prepares them in this process.

    Closing it, also as a context manager, ends the workers.
    """

    def __init__(self, dataset, batch_size: int, size: tuple, augmentation: str | None, seed: int = 0, workers: int = 0):
        if augmentation is not None and augmentation not in AUGMENTATIONS:
            raise CallError(f"no augmentation {augmentation!r}; there are {', '.join(AUGMENTATIONS)}")
        if len(dataset) == 0 or batch_size < 1 or workers < 0:
            raise CallError(
                f"cannot load {len(dataset)} images in batches of {batch_size} with {workers} workers; expected an image or "
                "more, a batch size of 1 or more, and 0 workers or more"
            )
        chosen = AUGMENTATIONS[augmentation] if augmentation else None
        self._preparation = Preparation(dataset, tuple(size), chosen, seed)
        self._batch_size = batch_size
        self._workers = workers
        self._pool = None

    def __len__(self) -> int:
        return -(-len(self._preparation.dataset) // self._batch_size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends the workers; a later epoch starts new ones."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def epoch(self, number: int):
        """Yields the batches of an epoch.

        Raises:
            DataError: an image that cannot be read.
            SSDZooError: a worker was killed.
        """
        order = np.arange(len(self._preparation.dataset))
        if self._preparation.augmentation:
            np.random.default_rng([self._preparation.seed, number, 0]).shuffle(order)
        parts = iter(np.split(order, range(self._batch_size, len(order), self._batch_size)))
        if self._workers == 0:
            yield from (self._preparation.batch(number, part) for part in parts)
            return
        pool = self._running_pool()
        waiting = deque()
        try:
            for part in parts:
                waiting.append(pool.submit(_make_batch, number, part))
                if len(waiting) > AHEAD * self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            self.close()
            raise SSDZooError(
                "a loader process was killed, perhaps because memory ran out: use fewer --workers or a smaller --batch-size"
            ) from None
        finally:
            for future in waiting:
                future.cancel()

    def _running_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Fork would copy the locks of mxnet's and OpenMP's threads in whatever state they are.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _start_worker, (self._preparation,))
        return self._pool


def _start_worker(preparation: Preparation) -> None:
    global _preparation
    _preparation = preparation
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _make_batch(epoch: int, indices) -> Batch:
    return _preparation.batch(epoch, indices)
