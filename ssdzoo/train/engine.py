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
    """A network that learns, in some framework, in one of `processes` processes of which this is the one of number `rank`.
    `ssdzoo.train.mxnet.engine.MXNetEngine` says what each method does. `symbol` is the JSON of the network's head outputs, where
    the run folder is to keep it."""

    preset: Preset
    rank: int
    processes: int
    symbol: str | None

    def ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]: ...
    def step(self, batches: list[Batch], rate: float) -> StepLosses: ...
    def weights(self, averaged: bool = False) -> dict[str, np.ndarray]: ...
    def state(self) -> dict[str, dict[str, np.ndarray]]: ...
    def load(self, state: dict[str, dict[str, np.ndarray]], updates: int) -> None: ...
    def detector(self) -> AbstractContextManager[Detector]: ...
    def share(self, value: float) -> float: ...
    def finish(self) -> None: ...
