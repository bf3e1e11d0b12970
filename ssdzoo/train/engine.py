"""What the trainer asks of a framework."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np

from ssdzoo.data.loading.batch import Batch
from ssdzoo.predict.detector import Detector
from ssdzoo.preset import Preset


class StepLosses(NamedTuple):
    """Losses of an update, over the positives of all its images, and the number of these images."""

    class_loss: float
    box_loss: float
    images: int


class LossNotFinite(Exception):
    """A loss that is infinite or not a number; `batch` is the Batch that gave it."""

    def __init__(self, batch: Batch):
        super().__init__("the loss is not finite")
        self.batch = batch


class Engine(Protocol):
    """A network that learns, in some framework.

    Attributes:
        preset: its Preset, with classes.
        rank, processes: the number of this process, from 0, among those that train together, and how many these are.
        symbol: the JSON of the network's head outputs, where the run folder is to keep it.
    """

    preset: Preset
    rank: int
    processes: int
    symbol: str | None

    def ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, in a form that `step` takes. An engine may take the next one while it computes."""

    def step(self, batches: list[Batch], rate: float) -> StepLosses:
        """One update of the weights from one or more batches, at a learning rate.

        Raises:
            LossNotFinite: the weights are not updated.
        """

    def weights(self, averaged: bool = False) -> dict[str, np.ndarray]:
        """{attribute path: array}; of the moving average, where there is one, if `averaged`."""

    def state(self) -> dict[str, dict[str, np.ndarray]]:
        """What besides the weights a later process needs to continue: {kind: {name: array}}."""

    def load(self, state: dict[str, dict[str, np.ndarray]], updates: int) -> None:
        """Continues after that many updates with what `state` gave; the network holds those weights already.

        Raises:
            CallError: the state is of another optimizer, or of other weights.
        """

    def detector(self) -> AbstractContextManager[Detector]:
        """A Detector of the network as it is now, with the moving average, where there is one, as long as the block runs."""

    def share(self, value: float) -> float:
        """The first process's value."""

    def finish(self) -> None:
        """Waits until the other processes have what they need of this one, which may end then."""
