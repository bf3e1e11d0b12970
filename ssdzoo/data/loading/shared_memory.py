"""Shared memory through which loader workers hand over their images, which is faster than a pipe."""

import mmap
import os
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np


class SharedImages:
    """Slots for the images of batches, each (B, H, W, 3) uint8, in an unnamed file that ends with its last user.

    Attributes:
        handle: argument of `attach` in another process; None where there is no memory, and pipes carry the images.
        free: indices of the slots that nobody uses.
    """

    def __init__(self, memory: mmap.mmap | None, shape: tuple, slots: int, handle: tuple | None = None):
        self._memory, self._shape = memory, shape
        self.handle, self.free = handle, deque(range(slots))

    @classmethod
    def allocate(cls, shape: tuple, slots: int) -> "SharedImages":
        size = slots * int(np.prod(shape))
        try:
            file = os.memfd_create("ssdzoo-loader")
        except (OSError, AttributeError):  # not Linux
            return cls(None, shape, 0)
        try:
            os.posix_fallocate(file, 0, size)  # all pages now: one that is missing later would kill its process
        except OSError:
            os.close(file)
            return cls(None, shape, 0)
        return cls(mmap.mmap(file, size), shape, slots, (f"/proc/{os.getpid()}/fd/{file}", shape, file))

    @classmethod
    def attach(cls, handle: tuple | None) -> "SharedImages":
        if handle is None:
            return cls(None, (), 0)
        try:
            with open(handle[0], "r+b") as file:
                return cls(mmap.mmap(file.fileno(), 0), handle[1], 0)
        except OSError:  # such as a /proc that shows no other process
            return cls(None, (), 0)

    def _view(self, slot: int, count: int) -> np.ndarray:
        offset = slot * int(np.prod(self._shape))
        return np.ndarray((count, *self._shape[1:]), np.uint8, self._memory, offset)

    def put(self, slot: int | None, batch: Any) -> Any:
        """Copies a batch's images into a slot, where there is one; returns what the pipe has to carry."""
        if slot is None or self._memory is None:
            return batch
        self._view(slot, len(batch.images))[:] = batch.images
        return replace(batch, images=None)

    def fetch(self, future: Future, slot: int | None) -> Any:
        """Waits for the batch of a future and returns it with its images; frees the slot."""
        batch = future.result()
        if slot is not None:
            if batch.images is None:
                batch = replace(batch, images=self._view(slot, len(batch.indices)).copy())
            self.free.append(slot)
        return batch

    def close(self) -> None:
        if self._memory and self.handle:
            self._memory.close()
            os.close(self.handle[2])
            self._memory = None
