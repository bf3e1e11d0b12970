"""What a training tells others while it runs, and how it bears their errors."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ssdzoo.errors import CallError
from ssdzoo.preset import Preset
from ssdzoo.quote import short

_log = logging.getLogger(__name__)
FINISHED, STOPPED, INTERRUPTED, FAILED = "finished", "stopped", "interrupted", "failed"


@dataclass(frozen=True)
class TrainingStart:
    """What is about to be trained.

    Attributes:
        folder: the run folder.
        preset: the Preset, with classes.
        arguments: those of the training, plain values by name, as in args.toml but for what the model decides, such as `lr`.
        train_images, val_images: how many there are.
        steps: updates of the weights in an epoch.
        rows: of metrics.csv so far: those of a run that is resumed.
    """

    folder: Path
    preset: Preset
    arguments: dict
    train_images: int
    val_images: int
    steps: int
    rows: list[dict]


class Step(NamedTuple):
    """An update of the weights.

    Attributes:
        epoch, step: counted from 1; `step` within the epoch.
        update: how many there have been since the first epoch, this one included.
        lr: the learning rate.
        cls_loss, box_loss: of the images of this update.
        images: how many these are, in all processes.
        seconds: that it took, and `data_wait_s` those of them spent waiting for images.
    """

    epoch: int
    step: int
    update: int
    lr: float
    cls_loss: float
    box_loss: float
    images: int
    seconds: float
    data_wait_s: float


@dataclass(frozen=True)
class TrainingEnd:
    """How a training ended.

    Attributes:
        status: "finished"; "stopped" before the last epoch, by patience or by a callback; "interrupted", by Ctrl-C; or "failed".
        rows: of metrics.csv.
        best_mAP: of the weights in best.params; None where nothing was evaluated.
        error: of a training that failed, else None.
    """

    status: str
    rows: list[dict]
    best_mAP: float | None
    error: str | None = None


class StopTraining(Exception):
    """A callback raises it to end the training after the epoch at hand, as patience does: with everything saved."""


class Callback:
    """What `fine_tune(..., callbacks=[...])` takes. Override what you need; the methods here do nothing.

    Of several processes only the first one calls callbacks. An error in `on_start` ends the training before its first step.
    A later one is logged, the callback is not called again, and the training goes on: hours of training are worth more than a
    curve. Weights and metrics.csv are saved before `on_epoch` is called.

    Example:
        >>> import ssdzoo
        >>> from ssdzoo.train.callbacks import Callback, StopTraining
        >>> class GoodEnough(Callback):
        ...     def on_epoch(self, row):
        ...         if row["mAP"] is not None and row["mAP"] > 0.9:
        ...             raise StopTraining
        >>> ssdzoo.fine_tune("ssd_300_mobilenet0.25_custom", "data/cells", "runs/cells", callbacks=[GoodEnough()])
    """

    def on_start(self, start: TrainingStart) -> None:
        """Before the first step, also of a run that is resumed."""

    def on_step(self, step: Step) -> None:
        """After an update of the weights."""

    def on_epoch(self, row: dict) -> None:
        """After an epoch: its row of metrics.csv, `{column: number}`; mAP is None where the epoch was not evaluated."""

    def on_end(self, end: TrainingEnd) -> None:
        """After the training, however it ended; not if the process was killed."""


_METHODS = ("on_start", "on_step", "on_epoch", "on_end")


def check_callbacks(callbacks: Iterable[Any]) -> list:
    """The callbacks as a list.

    Raises:
        CallError: one that is a class, or that has none of the methods of `Callback`.
    """
    if not isinstance(callbacks, Iterable):
        raise CallError(f"callbacks={short(callbacks)}: expected a list of objects")
    callbacks = list(callbacks)
    for callback in callbacks:
        if isinstance(callback, type):
            raise CallError(f"callbacks={callback.__name__}: expected an object of this class, such as {callback.__name__}()")
        if not any(callable(getattr(callback, name, None)) for name in _METHODS):
            raise CallError(f"callbacks={short(callback)}: expected an object with one of {', '.join(_METHODS)}")
    return callbacks


class Callbacks:
    """Calls callbacks, in their order.

    Args:
        callbacks: objects with methods of `Callback`.

    Attributes:
        stopped: whether one of them has asked for the end of the training.
    """

    def __init__(self, callbacks: Iterable[Any] = ()):
        self._all, self.stopped = list(callbacks), False

    def start(self, start: TrainingStart) -> None:
        """Calls `on_start`; its errors are raised."""
        for callback in self._all:
            if hasattr(callback, "on_start"):
                callback.on_start(start)

    def step(self, step: Step) -> None:
        self._call("on_step", step)

    def epoch(self, row: dict) -> None:
        self._call("on_epoch", row)

    def end(self, end: TrainingEnd) -> None:
        self._call("on_end", end)

    def _call(self, name: str, value: Any) -> None:
        for callback in list(self._all):
            try:
                if hasattr(callback, name):
                    getattr(callback, name)(dict(value) if isinstance(value, dict) else value)
            except StopTraining:
                self.stopped = True
            except Exception as error:
                self._all.remove(callback)
                about, why = f"{type(callback).__name__}.{name}", f"{type(error).__name__}: {short(error, 300)}"
                _log.warning("%s failed (%s): the training goes on without it", about, why)
                _log.debug("the error of %s", about, exc_info=True)
