"""Shared memory in which loader workers leave their images, so that no pipe has to carry them."""

import os
from collections import deque
from dataclasses import replace
from multiprocessing.shared_memory import SharedMemory

import numpy as np


class SharedImages:
    """Slots for the images of batches, each (B, H, W, 3) uint8.

    Attributes:
        handle: what another process attaches with; None where there is no memory, and pipes carry the images.
        free: numbers of the slots that nobody uses.
    """

    def __init__(self, memory, shape: tuple, slots: int):
        self._memory, self._shape = memory, shape
        self.handle = (memory.name, shape) if memory else None
        self.free = deque(range(slots if memory else 0))

    @classmethod
    def allocate(cls, shape: tuple, slots: int) -> "SharedImages":
        memory = None
        try:
            memory = SharedMemory(create=True, size=slots * int(np.prod(shape)))
            # Containers often have little of it, and would kill a process that writes more than there is.
            os.posix_fallocate(memory._fd, 0, memory.size)
        except OSError:
            if memory:
                memory.close()
                memory.unlink()
            memory = None
        return cls(memory, shape, slots)

    @classmethod
    def attach(cls, handle) -> "SharedImages":
        return cls(SharedMemory(handle[0]), handle[1], 0) if handle else cls(None, (), 0)

    def _view(self, slot: int, count: int) -> np.ndarray:
        offset = slot * int(np.prod(self._shape))
        return np.ndarray((count, *self._shape[1:]), np.uint8, self._memory.buf, offset)

    def put(self, slot: int, images: np.ndarray) -> None:
        """Writes images into a slot."""
        self._view(slot, len(images))[:] = images

    def fetch(self, future, slot):
        """The Batch of a future, with its images, once it is there; frees the slot."""
        batch = future.result()
        if slot is None:
            return batch
        images = self._view(slot, len(batch.indices)).copy()
        self.free.append(slot)
        return replace(batch, images=images)

    def close(self) -> None:
        if self._memory:
            self._memory.close()
            self._memory.unlink()
            self._memory = None
