"""The training loop: data parallel over a list of contexts, one cached graph per step, one evaluation per few epochs."""

import time
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice

import numpy as np

from ssdzoo.data.loading.loader import Loader
from ssdzoo.errors import SSDZooError
from ssdzoo.formats.params_file import read_params
from ssdzoo.measure.evaluate import evaluate
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.runtime import mxnet
from ssdzoo.train.curves import Curves
from ssdzoo.train.ema import MovingAverage
from ssdzoo.train.failure import save_failure
from ssdzoo.train.freeze import fixed_norms, freeze
from ssdzoo.train.graph import TrainingGraph
from ssdzoo.train.loss import MultiBoxLoss
from ssdzoo.train.run import Run
from ssdzoo.train.schedule import Schedule
from ssdzoo.train.settings import Settings
from ssdzoo.train.update import Updater

mx = mxnet()
autograd, gluon = mx.autograd, mx.gluon


@dataclass
class Epoch:
    """Running sums of an epoch: losses over positives by step, images, seconds, and those of them spent waiting for data."""

    class_loss: list = field(default_factory=list)
    box_loss: list = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, class_loss: float, box_loss: float, images: int, seconds: float, waited: float) -> None:
        self.class_loss.append(class_loss)
        self.box_loss.append(box_loss)
        self.images += images
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


def one_per_context(batch, contexts: int) -> list:
    """Images, boxes and class ids of a batch, with at least one image for each context, and which images count (B,) float32:
    a batch that is too small, the last one of an epoch, is filled with copies of its first image that don't."""
    count = len(batch.images)
    missing = max(0, contexts - count)
    arrays = [
        np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) for array in (batch.images, batch.boxes, batch.class_ids)
    ]
    return [*arrays, np.repeat(np.float32([1, 0]), [count, missing])]


def training_graph(net, preset, settings: Settings) -> TrainingGraph:
    """The graph of a step, with the parts frozen that the settings name."""
    still = freeze(net, settings.freeze, settings.freeze_norm)
    loss = MultiBoxLoss(
        settings.class_loss or preset.class_loss, settings.box_loss, min_negatives=settings.min_negatives,
        box_weight=settings.box_weight,
    )  # fmt: skip
    graph = TrainingGraph(fixed_norms(net, still) if still else net.head_outputs, preset.mean, preset.std, loss)
    # Not static_alloc: with it mxnet gives buffers that are still in use to others when the number of objects changes.
    graph.hybridize()
    return graph


class Trainer:
    """Trains a network on a data set and keeps a run folder.

    Args:
        net: an initialized SSD, on the contexts to train on.
        preset: its Preset, with classes.
        train, val: data sets (`ssdzoo.data.record.Dataset`); `val` may be None, then nothing is evaluated and the last epoch is
            the best one.
        run: the run folder.
        settings: see Settings; its lr is a number.
        progress: told of every step and epoch; see `ssdzoo.cli.progress`.
        store: MXNet's distributed key-value store, or None. With one, every process has a copy of the network, trains on its
            part of each batch, and the first one keeps the run folder.
    """

    def __init__(self, net, preset, train, val, run: Run, settings: Settings, progress, store=None):
        self.net, self.preset, self.val, self.run = net, preset, val, run
        self.train_data, self.settings, self.progress = train, settings, progress
        self.contexts = next(iter(net.collect_params().values())).list_ctx()
        self.graph = training_graph(net, preset, settings)
        net.cover(*preset.base_size)
        self.rank, processes = (store.rank, store.num_workers) if store else (0, 1)
        self.loader = Loader(
            train, settings.batch_size, preset.base_size, settings.augment, settings.seed, settings.workers,
            cache=settings.cache, part=(self.rank, processes),
        )  # fmt: skip
        self.updates_per_epoch = -(-len(self.loader) // settings.accumulate)
        self.schedule = Schedule(
            settings.schedule, settings.lr, settings.epochs * self.updates_per_epoch,
            int(settings.warmup_epochs * self.updates_per_epoch),
        )  # fmt: skip
        self.updater = Updater(net, settings, store)
        self.average = MovingAverage(net, settings.ema) if settings.ema is not None else None
        self.epoch, self.step, self.rows, self.best_map = 0, 0, [], None
        self.sums = Epoch()
        self.curves = Curves(run.folder) if settings.tensorboard and self.rank == 0 else None

    def resume(self) -> None:
        """Continues where the run was saved last; the network holds those weights already."""
        state = self.run.state()
        files = self.run.last_files(state)
        self.epoch, self.step, self.rows, self.best_map = (state[k] for k in ("epoch", "step", "rows", "best_map"))
        self.sums = Epoch(**state["sums"])
        self.updater.restore(read_params(files["states"]), self.epoch * self.updates_per_epoch + self.step)
        if self.average:
            # An average that begins with this resumption begins with these weights.
            self.average.restore(read_params(files["ema"]) if files["ema"].exists() else {})

    def fit(self) -> dict:
        """Trains to the last epoch, or until patience ends; returns the last row of metrics.csv with `best_mAP`."""
        with self.loader, closing(self.curves) if self.curves else nullcontext():
            while self.epoch < self.settings.epochs and not self._patience_ended():
                row = self._train_epoch()
                self.epoch, self.step, self.sums = self.epoch + 1, 0, Epoch()
                row["mAP"] = self._evaluate()
                self.rows.append(row)
                self._save_epoch(row["mAP"])
                self.progress.epoch(row, self.settings.epochs)
                if self.curves:
                    self.curves.add(row)
        mx.nd.waitall()  # a process that ends before its last gradients are sent leaves the others waiting for them
        return {**self.rows[-1], "best_mAP": self.best_map} if self.rows else {}

    def _patience_ended(self) -> bool:
        scores = [row["mAP"] for row in self.rows if row["mAP"] is not None]
        if not self.settings.patience or not scores:
            return False
        since = len(scores) - 1 - int(np.nanargmax(scores)) if not np.isnan(scores).all() else len(scores)
        if since >= self.settings.patience:
            self.progress.say(f"no better mAP in {since} evaluations: the training ends here (--patience)")
            return True
        return False

    def _train_epoch(self) -> dict:
        batches = self.loader.epoch(self.epoch, self.step * self.settings.accumulate)
        started = time.perf_counter()
        while group := list(islice(batches, self.settings.accumulate)):
            waited = time.perf_counter() - started
            update = self.epoch * self.updates_per_epoch + self.step
            rate = self.schedule(update)
            losses, images = self._update(group, rate)
            if self.average:
                self.average.update(update + 1)
            self.step += 1
            now = time.perf_counter()
            self.sums.add(*losses, images, now - started, waited)
            self.progress.step(self.epoch, self.step - 1, self.updates_per_epoch, self.sums.row())
            started = now
            every = self.settings.checkpoint_every
            if every and self.step % every == 0 and self.step < self.updates_per_epoch:
                self._save_last()
        return {"epoch": self.epoch + 1, "lr": rate, **self.sums.row()}

    def _update(self, group: list, rate: float) -> tuple:
        """One update of the weights from a few batches; returns (class loss, box loss), over the positives, and the number of
        images."""
        sums = np.zeros(4)
        for batch in group:
            sums += [*self._backward(batch, rate), len(batch.indices)]
        class_loss, box_loss, positives, images = self.updater.sum_over_processes(sums)
        divisor = max(1.0, positives)  # of all batches, contexts and processes
        self.updater.step(rate, divisor)
        return (class_loss / divisor, box_loss / divisor), int(images)

    def _backward(self, batch, rate: float) -> np.ndarray:
        """Adds a batch's gradients; returns its class loss, box loss and divisor, each summed over the images."""
        shards = [
            gluon.utils.split_and_load(mx.nd.array(array, dtype=array.dtype), self.contexts, even_split=False)
            for array in one_per_context(batch, len(self.contexts))
        ]
        with autograd.record():
            outputs = [[part * counts for part in self.graph(*shard)] for *shard, counts in zip(*shards)]
            totals = [(class_loss + box_loss).sum() for class_loss, box_loss, _ in outputs]
        with self.updater.scaled(totals) as scaled:
            autograd.backward(scaled)
        sums = np.array([sum(float(output[k].sum().asscalar()) for output in outputs) for k in range(3)])
        if not np.isfinite(sums).all():
            self._stop(batch, rate)
        return sums

    def _stop(self, batch, rate: float) -> None:
        paths = [self.train_data[i].image for i in batch.indices]
        folder = save_failure(self.run.folder, self._weights(), batch, paths, self.epoch + 1, self.step + 1, rate)
        raise SSDZooError(
            f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1}, at a learning rate of {rate:g}: lower "
            f"--lr or set --clip-norm; {self.run.folder} keeps what was saved before, and {folder} the step (see "
            f"ssdzoo.train.failure.repeat_failure); the images were {', '.join(map(str, paths))}"
        )

    def _evaluate(self):
        """mAP on the validation data where it is due, else None."""
        due = self.epoch % self.settings.eval_every == 0 or self.epoch == self.settings.epochs
        if self.val is None or not due:
            return None
        score = 0.0
        if self.rank == 0:
            detector = Detector(MXNetBackend(self.net), self.preset)
            with self.average.in_place() if self.average else nullcontext():
                score = evaluate(detector, self.val, progress=self.progress.images)["mAP"]
        return round(float(self.updater.sum_over_processes(np.array([score]))[0]), 6)  # so that all of them know it

    def _save_epoch(self, score) -> None:
        better = score is not None and not np.isnan(score) and (self.best_map is None or score > self.best_map)
        if better:
            self.best_map = score
        if self.rank == 0 and (better or self.best_map is None):
            with self.average.in_place() if self.average else nullcontext():
                self.run.save_best(self._weights())
        self._save_last()

    def _save_last(self) -> None:
        if self.rank:
            return
        arrays = {"params": self._weights(), "states": self.updater.state()}
        if self.average:
            arrays["ema"] = {name: average.asnumpy() for name, average in self.average.averages.items()}
        state = {"epoch": self.epoch, "step": self.step, "best_map": self.best_map, "rows": self.rows, "sums": asdict(self.sums)}
        self.run.save_last(arrays, state)

    def _weights(self) -> dict:
        return {name: p.list_data()[0].asnumpy() for name, p in self.net._collect_params_with_prefix().items()}
