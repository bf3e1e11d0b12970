"""Batches of a data set, prepared in advance by worker processes; the number of workers does not change them."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ssdzoo.augmentation.table import FLIPS, Augmentation
from ssdzoo.data.loading.augment.transform import Transform, as_augmentation
from ssdzoo.data.loading.batch import Batch
from ssdzoo.data.loading.class_balance import Repeats
from ssdzoo.data.loading.preparation import Preparation
from ssdzoo.data.loading.resize_cache import ResizeCache
from ssdzoo.data.loading.shared_memory import SharedImages
from ssdzoo.data.record import Dataset
from ssdzoo.data.worker_pool import worker_pool
from ssdzoo.errors import CallError, SSDZooError

AHEAD = 3  # batches in preparation per worker


class Loader:
    """Iterates over batches of a data set.

    Args:
        dataset: a Dataset.
        batch_size: images per batch; the last one may be smaller.
        size: (height, width) of the images.
        augmentation: a name, a table or its file, or code of the user's; see `as_augmentation`. The images are shuffled then.
            None keeps their order, and only resizes.
        seed: of everything random.
        workers: processes that prepare batches; 0 prepares them in this process.
        cache: folder for smaller copies of large photos; None for none.
        flip: "horizontal" mirrors images as the augmentation says, "none" never.
        part: (rank, count) of the processes that share each batch of `count * batch_size` images: this one gets the part of
            its rank. A last batch with fewer images than processes is left out.
        repeats: how often each image is shown in an epoch; None shows each once.

    It is a context manager; closing it ends the workers.
    """

    def __init__(self, dataset: Dataset, batch_size: int, size: tuple, augmentation: Any, seed: int = 0, workers: int = 0,
                 cache: str | Path | None = None, part: tuple = (0, 1), repeats: Repeats | None = None,
                 flip: str = "horizontal"):  # fmt: skip
        chosen = None if augmentation is None else as_augmentation(augmentation)
        if len(dataset) < part[1] or batch_size < 1 or workers < 0:
            raise CallError(
                f"cannot load {len(dataset)} images in batches of {batch_size} with {workers} workers; expected an image or "
                "more (for each process), a batch size of 1 or more, and 0 workers or more"
            )
        if isinstance(chosen, Transform) and workers:
            chosen.check_for_workers()
        if flip not in FLIPS:
            raise CallError(f"no flip {flip!r}; there are {', '.join(FLIPS)}")
        if isinstance(chosen, Augmentation) and flip == "none":
            chosen = chosen.without_mirror()
        copies = ResizeCache(Path(cache), tuple(size)) if cache else None
        self._preparation = Preparation(dataset, tuple(size), chosen, seed, copies, repeats.images if repeats else None)
        self._batch_size, self._part, self.repeats = batch_size, part, repeats
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._memory: SharedImages | None = None

    @property
    def images(self) -> int:
        """In an epoch of all processes."""
        return len(self.repeats or self._preparation.dataset)

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(self.images, self._batch_size * self._part[1])
        return whole + (rest >= self._part[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends the workers; a later epoch starts new ones."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        if self._memory:
            self._memory.close()
            self._memory = None

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch, from its batch `start` on.

        Raises:
            DataError: an image that cannot be read, or has another size than its record.
            SSDZooError: a worker was killed.
        """
        parts = self._parts(number)[start:]
        pool, memory = self._running_pool()
        if pool is None or memory is None:
            yield from (self._preparation.batch(number, part) for part in parts)
            return
        waiting: deque = deque()
        try:
            for part in parts:
                waiting.append(self._submit(pool, memory, number, part))
                if len(waiting) > AHEAD * self._workers:
                    yield memory.fetch(*waiting.popleft())
            while waiting:
                yield memory.fetch(*waiting.popleft())
        except BrokenProcessPool:
            self.close()
            raise SSDZooError(
                "a loader process was killed, perhaps because memory ran out: use a smaller workers= or batch_size=; "
                "or it could not start, because your script trains outside of `if __name__ == '__main__':`"
            ) from None
        finally:
            for future, slot in waiting:
                # A worker that is still running might write into a slot that is in use again: such a slot is given up.
                if future.cancel() or future.done():
                    memory.free.append(slot)

    def _parts(self, number: int) -> list:
        """What each batch shows; see `Preparation.sample`."""
        seed = self._preparation.seed
        order = self.repeats.order(seed, number) if self.repeats else np.arange(len(self._preparation.dataset))
        if self._preparation.augmentation:
            np.random.default_rng([seed, number, 0]).shuffle(order)
        rank, count = self._part
        batches = np.split(order, range(self._batch_size * count, len(order), self._batch_size * count))
        return [np.array_split(batch, count)[rank] for batch in batches if len(batch) >= count]

    @staticmethod
    def _submit(pool: ProcessPoolExecutor, memory: SharedImages, epoch: int, showings: Sequence[int] | np.ndarray) -> tuple:
        slot = memory.free.popleft() if memory.free else None
        return pool.submit(_make_batch, epoch, showings, slot), slot

    def _running_pool(self) -> tuple:
        if self._pool is None and self._workers:
            shape = (self._batch_size, *self._preparation.size, 3)
            self._memory = memory = SharedImages.allocate(shape, AHEAD * self._workers + 1)
            arguments = self._preparation, memory.handle
            self._pool = worker_pool(self._workers, _start_worker, arguments)
            if self._pool is None:
                self.close()
                self._workers = 0
        return self._pool, self._memory


_preparation: Preparation  # of a worker process
_memory: SharedImages


def _start_worker(preparation: Preparation, handle: tuple | None) -> None:
    global _preparation, _memory
    _preparation, _memory = preparation, SharedImages.attach(handle)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)


def _make_batch(epoch: int, showings: Sequence[int] | np.ndarray, slot: int | None) -> Batch:
    """A batch; without its images, where a slot of the shared memory holds them."""
    return _memory.put(slot, _preparation.batch(epoch, showings))
