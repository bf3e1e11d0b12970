"""The training loop: data parallel over a list of contexts, one cached graph per step, one evaluation per few epochs."""

import time
from dataclasses import dataclass, field

import numpy as np

from ssdzoo.data.loader import Loader
from ssdzoo.errors import SSDZooError
from ssdzoo.predict.detector import Detector, MXNetBackend
from ssdzoo.predict.evaluate import evaluate
from ssdzoo.runtime import mxnet
from ssdzoo.train.graph import TrainingGraph
from ssdzoo.train.run import Run
from ssdzoo.train.schedule import StepSchedule

mx = mxnet()
autograd, gluon = mx.autograd, mx.gluon


@dataclass
class Settings:
    """What a training may vary; `base_lr` is the rate after the warm-up of `warmup_epochs`."""

    epochs: int = 40
    batch_size: int = 8
    lr: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 1
    workers: int = 1
    seed: int = 0
    eval_every: int = 5
    augment: str = "ssd"


@dataclass
class Epoch:
    """Running sums of an epoch: losses per positive anchor, images, and seconds spent waiting for data."""

    class_loss: list = field(default_factory=list)
    box_loss: list = field(default_factory=list)
    images: int = 0
    waited: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def add(self, class_loss: float, box_loss: float, images: int) -> None:
        self.class_loss.append(class_loss)
        self.box_loss.append(box_loss)
        self.images += images

    def row(self) -> dict:
        """Columns of metrics.csv."""
        cls_loss, box_loss = float(np.mean(self.class_loss)), float(np.mean(self.box_loss))
        seconds = time.perf_counter() - self.started
        return {
            "loss": round(cls_loss + box_loss, 6),
            "cls_loss": round(cls_loss, 6),
            "box_loss": round(box_loss, 6),
            "images_per_s": round(self.images / seconds, 2),
            "data_wait_s": round(self.waited, 2),
        }


def one_per_context(batch, contexts: int) -> list:
    """Images, boxes and class ids of a batch, with at least one image for each context: a batch that is too small, the
    last one of an epoch, is filled with copies of its first image without objects, whose gradient is zero."""
    missing = max(0, contexts - len(batch.images))
    return [
        np.concatenate([batch.images, np.repeat(batch.images[:1], missing, axis=0)]),
        np.concatenate([batch.boxes, np.full((missing, *batch.boxes.shape[1:]), -1, np.float32)]),
        np.concatenate([batch.class_ids, np.full((missing, *batch.class_ids.shape[1:]), -1, np.float32)]),
    ]


class Trainer:
    """Trains a network on a data set and keeps a run folder.

    Args:
        net: an initialized SSD, on the contexts to train on.
        preset: its Preset, with classes.
        train, val: data sets (`ssdzoo.data.record.Dataset`); `val` may be None, then nothing is evaluated and the last epoch is
            the best one.
        run: the run folder.
        settings: see Settings.
        progress: told of every step and epoch; see `ssdzoo.cli.progress`.
    """

    def __init__(self, net, preset, train, val, run: Run, settings: Settings, progress):
        self.net, self.preset, self.val, self.run = net, preset, val, run
        self.train_data, self.settings, self.progress = train, settings, progress
        self.contexts = next(iter(net.collect_params().values())).list_ctx()
        self.graph = TrainingGraph(net, preset.mean, preset.std)
        self.graph.hybridize(static_alloc=True)
        net.cover(*preset.base_size)
        self.loader = Loader(train, settings.batch_size, preset.base_size, settings.augment, settings.seed, settings.workers)
        steps = len(self.loader)
        self.schedule = StepSchedule(settings.lr, settings.epochs * steps, int(settings.warmup_epochs * steps))
        self.optimizer = gluon.Trainer(
            net.collect_params(),
            "sgd",
            {"learning_rate": settings.lr, "momentum": settings.momentum, "wd": settings.weight_decay},
            update_on_kvstore=False if len(self.contexts) > 1 else None,
        )
        self.epoch, self.rows, self.best_map = 0, [], None

    def resume(self) -> None:
        """Continues at the end of the run's last complete epoch, whose weights the network holds already."""
        state = self.run.state()
        self.optimizer.load_states(str(self.run.last_files(state["epoch"])[1]))
        self.epoch, self.rows, self.best_map = state["epoch"], state["rows"], state["best_map"]

    def fit(self) -> dict:
        """Trains to the last epoch; returns the last row of metrics.csv with `best_mAP`."""
        with self.loader:
            while self.epoch < self.settings.epochs:
                row = self._train_epoch()
                self.epoch += 1
                row["mAP"] = self._evaluate()
                self.rows.append(row)
                self._save(row["mAP"])
                self.progress.epoch(row, self.settings.epochs)
        return {**self.rows[-1], "best_mAP": self.best_map} if self.rows else {}

    def _train_epoch(self) -> dict:
        sums = Epoch()
        first_step = self.epoch * len(self.loader)
        asked = time.perf_counter()
        for i, batch in enumerate(self.loader.epoch(self.epoch)):
            waited = time.perf_counter() - asked
            rate = self.schedule(first_step + i)
            self.optimizer.set_learning_rate(rate)
            class_loss, box_loss = self._step(batch, rate)
            sums.add(class_loss, box_loss, len(batch.images))
            sums.waited += waited
            self.progress.step(self.epoch, i, len(self.loader), sums.row())
            asked = time.perf_counter()
        return {"epoch": self.epoch + 1, "lr": rate, **sums.row()}

    def _step(self, batch, rate: float) -> tuple:
        """One update; returns the class and the box loss per positive anchor."""
        shards = [
            gluon.utils.split_and_load(mx.nd.array(array, dtype=array.dtype), self.contexts, even_split=False)
            for array in one_per_context(batch, len(self.contexts))
        ]
        with autograd.record():
            outputs = [self.graph(*shard) for shard in zip(*shards)]
            totals = [(class_loss + box_loss).sum() for class_loss, box_loss, _ in outputs]
        autograd.backward(totals)
        class_loss, box_loss, positives = (sum(float(output[k].sum().asscalar()) for output in outputs) for k in range(3))
        if not np.isfinite(class_loss + box_loss):
            self._stop(batch, rate)
        # The loss is divided by the positives of the whole batch, over all contexts, through the step's scale.
        divisor = max(1.0, positives)
        self.optimizer.step(divisor)
        return class_loss / divisor, box_loss / divisor

    def _stop(self, batch, rate: float) -> None:
        images = ", ".join(str(self.train_data[i].image) for i in batch.indices)
        raise SSDZooError(
            f"the loss is not finite in epoch {self.epoch + 1} at a learning rate of {rate:g}: lower --lr; {self.run.folder} "
            f"keeps the last complete epoch; the images were {images}"
        )

    def _evaluate(self):
        """mAP on the validation data where it is due, else None."""
        due = self.epoch % self.settings.eval_every == 0 or self.epoch == self.settings.epochs
        if self.val is None or not due:
            return None
        detector = Detector(MXNetBackend(self.net), self.preset)
        return round(evaluate(detector, self.val, progress=self.progress.images)["mAP"], 6)

    def _save(self, score) -> None:
        better = score is not None and not np.isnan(score) and (self.best_map is None or score > self.best_map)
        if better:
            self.best_map = score
        if better or self.best_map is None:
            self.run.save_best(self.net)
        state = {"epoch": self.epoch, "best_map": self.best_map, "rows": self.rows}
        self.run.save_last(self.net, self.optimizer, state)
