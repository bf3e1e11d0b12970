"""The epochs of a training: evaluation, saving, resuming, patience. The framework behind it is an `Engine`'s alone."""

import time
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.data.loading.class_balance import ClassBalance
from ssdzoo.data.loading.loader import Batch, Loader
from ssdzoo.data.record import Dataset
from ssdzoo.errors import SSDZooError
from ssdzoo.measure.evaluate import evaluate
from ssdzoo.progress import Silent, counted
from ssdzoo.train.callbacks import FAILED, FINISHED, INTERRUPTED, STOPPED, Callbacks, Step, TrainingEnd, TrainingStart
from ssdzoo.train.engine import Engine, LossNotFinite, StepLosses
from ssdzoo.train.failed_step import FailedStep
from ssdzoo.train.run import Run
from ssdzoo.train.schedule import Schedule
from ssdzoo.train.settings import Settings


class TrainingData(NamedTuple):
    """The images to learn from, and those to evaluate on: without them the last epoch is the best one."""

    train: Dataset
    val: Dataset | None = None


def training_loader(train: Dataset, size: tuple, settings: Settings, part: tuple = (0, 1)) -> Loader:
    """Loads the images to learn from as the settings say.

    Args:
        train: the images.
        size: (height, width) of the network's input in pixels.
        settings: see Settings, completed by `Settings.completed`.
        part: (rank, count) of the processes; see Loader.
    """
    assert settings.augment is not None, "see Settings.completed"
    repeats = ClassBalance.of(settings.class_balance).repeats(train) if settings.class_balance else None
    return Loader(
        train, settings.batch_size, size, settings.augment, settings.seed, settings.workers, cache=settings.cache, part=part,
        repeats=repeats, flip=settings.flip,
    )  # fmt: skip


@dataclass(frozen=True)
class TrainingResult:
    """What a training has reached.

    Attributes:
        folder: the run folder, which `ssdzoo.load` takes.
        rows: those of metrics.csv, one dict per epoch; mAP is None where an epoch was not evaluated.
        best_mAP: of the weights in `folder/best.params`; None where nothing was evaluated.
    """

    folder: Path
    rows: list[dict]
    best_mAP: float | None

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are in `folder/best.params`, counted from 1: the last of the best ones, the last of all where
        nothing was evaluated."""
        best = (row["epoch"] for row in reversed(self.rows) if self.best_mAP is not None and row["mAP"] == self.best_mAP)
        return next(best, len(self.rows))


@dataclass
class Epoch:
    """Sums of an epoch so far: losses by step, images, seconds, and those of them spent waiting for data."""

    class_loss: list = field(default_factory=list)
    box_loss: list = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, losses: StepLosses, seconds: float, waited: float) -> None:
        self.class_loss.append(losses.class_loss)
        self.box_loss.append(losses.box_loss)
        self.images += losses.images
        self.seconds += seconds
        self.waited += waited

    def row(self) -> dict:
        """Columns of metrics.csv."""
        cls_loss, box_loss = float(np.mean(self.class_loss)), float(np.mean(self.box_loss))
        return {
            "loss": round(cls_loss + box_loss, 6),
            "cls_loss": round(cls_loss, 6),
            "box_loss": round(box_loss, 6),
            "images_per_s": round(self.images / self.seconds, 2),
            "data_wait_s": round(self.waited, 2),
        }


class Trainer:
    """Trains on a data set and keeps a run folder.

    Args:
        engine: the network; of several processes the first one evaluates and keeps the run folder.
        data: what to train and to evaluate on.
        run: the run folder.
        settings: see Settings, completed by `Settings.completed`.
        progress: shows steps and epochs; see `ssdzoo.progress`.
        callbacks: are called in the first process alone.
        arguments: of the training, for the callbacks; by default the settings.
    """

    def __init__(self, engine: Engine, data: TrainingData, run: Run, settings: Settings, progress: Silent,
                 callbacks: Callbacks | None = None, arguments: dict | None = None):  # fmt: skip
        self.engine, self.data, self.run, self.settings, self.progress = engine, data, run, settings, progress
        self.callbacks = callbacks if callbacks and engine.rank == 0 else Callbacks()
        self.arguments = asdict(settings) if arguments is None else arguments
        assert settings.lr is not None and settings.schedule, "see Settings.completed"
        self.loader = training_loader(data.train, engine.preset.base_size, settings, (engine.rank, engine.processes))
        if self.loader.repeats:
            progress.say(self.loader.repeats.story(data.train.names))
        self.updates_per_epoch = -(-len(self.loader) // settings.accumulate)
        self.schedule = Schedule(
            settings.schedule, settings.lr, settings.epochs * self.updates_per_epoch,
            int(settings.warmup_epochs * self.updates_per_epoch),
        )  # fmt: skip
        self.epoch, self.step = 0, 0
        self.rows: list[dict] = []
        self.best_map: float | None = None
        self.sums = Epoch()

    @property
    def updates(self) -> int:
        """Of the weights so far."""
        return self.epoch * self.updates_per_epoch + self.step

    def resume(self) -> None:
        """Continues where the run was saved last; the network holds those weights already."""
        state = self.run.state()
        self.epoch, self.step, self.rows, self.best_map = (state[k] for k in ("epoch", "step", "rows", "best_map"))
        try:
            self.sums = Epoch(**state["sums"])
        except TypeError as error:
            raise self.run.damaged(f"'sums': {error}") from None
        self.engine.load(self.run.last_arrays(state), self.updates)

    def fit(self) -> TrainingResult:
        """Trains to the last epoch, or until patience or a callback ends it.

        Raises:
            KeyboardInterrupt: Ctrl-C; says how to go on.
        """
        try:
            self._start()
            self._fit()
        except KeyboardInterrupt:
            self._end(INTERRUPTED)
            raise KeyboardInterrupt(self._how_to_go_on()) from None
        except Exception as error:
            self._end(FAILED, str(error))
            raise
        self._end(FINISHED if self.epoch >= self.settings.epochs else STOPPED)
        return TrainingResult(self.run.folder, self.rows, self.best_map)

    def _how_to_go_on(self) -> str:
        done = self.run.state()["epoch"] if self.run.has_state else 0
        return f"{self.run.folder} keeps {counted(done, 'epoch')} of {self.settings.epochs}: continue with resume=True"

    def _check_alike(self) -> None:
        first = self.engine.share(self.updates)
        if first != self.updates:
            raise SSDZooError(
                f"{self.run.folder} holds {self.updates} updates here and {first:.0f} where the first process is: all processes "
                "need the same run folder, on a file system that all machines see"
            )

    def _start(self) -> None:
        val_images = len(self.data.val) if self.data.val is not None else 0
        self.callbacks.start(TrainingStart(
            self.run.folder, self.engine.preset, self.arguments, len(self.data.train), val_images, self.updates_per_epoch,
            list(self.rows),
        ))  # fmt: skip

    def _end(self, status: str, error: str | None = None) -> None:
        self.callbacks.end(TrainingEnd(status, list(self.rows), self.best_map, error))

    def _fit(self) -> None:
        if self.engine.processes > 1:
            self._check_alike()
        with self.loader:
            while self.epoch < self.settings.epochs and not self._patience_ended() and not self._stopped():
                row = self._train_epoch()
                self.epoch, self.step, self.sums = self.epoch + 1, 0, Epoch()
                row["mAP"] = self._evaluate()
                self.rows.append(row)
                self._save_epoch(row["mAP"])
                self.progress.epoch(row, self.settings.epochs)
                self.callbacks.epoch(row)
        self.engine.finish()

    def _patience_ended(self) -> bool:
        scores = [row["mAP"] for row in self.rows if row["mAP"] is not None]
        if not self.settings.patience or not scores:
            return False
        since = len(scores) - 1 - int(np.nanargmax(scores)) if not np.isnan(scores).all() else len(scores)
        if since >= self.settings.patience:
            self.progress.say(f"no better mAP in {counted(since, 'evaluation')}: the training ends here (patience=)")
            return True
        return False

    def _stopped(self) -> bool:
        """Whether a callback of the first process ended the training."""
        stopped = self.callbacks.stopped
        if self.engine.processes > 1 and self.rows:
            stopped = self.engine.share(stopped) > 0
        if stopped:
            self.progress.say(f"a callback ended the training after {counted(self.epoch, 'epoch')}")
        return stopped

    def _train_epoch(self) -> dict:
        batches = self.engine.ahead(self.loader.epoch(self.epoch, self.step * self.settings.accumulate))
        started = time.perf_counter()
        while group := list(islice(batches, self.settings.accumulate)):
            waited = time.perf_counter() - started
            rate = self.schedule(self.updates)
            try:
                losses = self.engine.step(group, rate)
            except LossNotFinite as error:
                raise self._failed(error.batch, rate) from None
            self.step += 1
            now = time.perf_counter()
            self.sums.add(losses, now - started, waited)
            self.callbacks.step(Step(self.epoch + 1, self.step, self.updates, rate, *losses, now - started, waited))
            self.progress.step(self.epoch, self.step - 1, self.updates_per_epoch, self.sums.row())
            started = now
            every = self.settings.checkpoint_every
            if every and self.step % every == 0 and self.step < self.updates_per_epoch:
                self._save_last()
        return {"epoch": self.epoch + 1, "lr": rate, **self.sums.row()}

    def _failed(self, batch: Batch, rate: float) -> SSDZooError:
        paths = [self.data.train[i].image for i in batch.indices]
        failed = FailedStep(batch, paths, self.epoch + 1, self.step + 1, rate, self.engine.weights())
        return SSDZooError(
            f"the loss is not finite in epoch {failed.epoch}, step {failed.step}, at a learning rate of {rate:g}: lower lr= or "
            f"set clip_norm=; {self.run.folder} keeps what was saved before, and {failed.save(self.run.folder)} the step (see "
            f"ssdzoo.train.failed_step.repeat_failed_step); the images were {', '.join(map(str, paths))}"
        )

    def _evaluate(self) -> float | None:
        """mAP on the validation data where it is due."""
        due = self.epoch % self.settings.eval_every == 0 or self.epoch == self.settings.epochs
        if self.data.val is None or not due:
            return None
        score = 0.0
        if self.engine.rank == 0:
            with self.engine.detector() as detector:
                score = evaluate(detector, self.data.val, progress=self.progress)["mAP"]
        return round(self.engine.share(score), 6)  # so that all processes know it

    def _save_epoch(self, score: float | None) -> None:
        # Of equal ones the later: its learning rate was lower.
        better = score is not None and not np.isnan(score) and (self.best_map is None or score >= self.best_map)
        if better:
            self.best_map = score
        if self.engine.rank == 0 and (better or self.best_map is None):
            self.run.save_best(self.engine.weights(averaged=True))
        self._save_last()

    def _save_last(self) -> None:
        if self.engine.rank:
            return
        arrays = {"params": self.engine.weights(), **self.engine.state()}
        state = {"epoch": self.epoch, "step": self.step, "best_map": self.best_map, "rows": self.rows, "sums": asdict(self.sums)}
        self.run.save_last(arrays, state)
