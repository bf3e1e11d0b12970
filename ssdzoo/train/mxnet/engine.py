"""Training with MXNet: one step from batches to new weights, and what else an `Engine` of the trainer does."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from ssdzoo.data.loading.loader import Batch
from ssdzoo.network import SSD
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.preset import Preset
from ssdzoo.runtime import mx
from ssdzoo.train.distributed import worker_rank
from ssdzoo.train.engine import LossNotFinite, StepLosses
from ssdzoo.train.mxnet.graph import ImageLosses, training_graph
from ssdzoo.train.mxnet.optimizer import MovingAverage, Optimizer
from ssdzoo.train.settings import Settings

autograd, split_and_load = mx.autograd, mx.gluon.utils.split_and_load

_SUMS = 1 << 20  # a key of the store beyond those of the parameters, which are counted from 0


class MXNetEngine:
    """A network that learns, data parallel over a list of contexts and over processes; see `ssdzoo.train.engine.Engine`.

    Args:
        net: an initialized SSD, on the contexts to train on.
        preset: its Preset, with classes.
        settings: see `ssdzoo.train.settings.Settings`.
        store: MXNet's distributed key-value store, or None. With one, every process has a copy of the network and trains on its
            part of each batch.
    """

    symbol = None  # the network is built again

    def __init__(self, net: SSD, preset: Preset, settings: Settings, store: Any = None):
        self.net, self.preset, self.clip_norm, self.store = net, preset, settings.clip_norm, store
        self.rank = worker_rank(store) if store else 0
        self.processes = int(store.num_workers) if store else 1
        self.contexts = next(iter(net.collect_params().values())).list_ctx()
        self.graph = training_graph(net, preset, settings)
        net.cover(*preset.base_size)
        self.optimizer = Optimizer(net, settings, store)
        self.average = MovingAverage(net, settings.ema) if settings.ema is not None else None
        self.updates = 0
        if store:
            store.init(_SUMS, mx.nd.zeros((4,)))

    def ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return batches

    def step(self, batches: list, rate: float) -> StepLosses:
        sums = np.zeros(4)  # class loss, box loss, positives, images
        for batch in batches:
            # Forward: a part of the batch on each context.
            with autograd.record():
                losses = [self._losses(*shard) for shard in self._shards(batch)]
                totals = [(shard.class_loss + shard.box_loss).sum() for shard in losses]
            # Backward: adds to the gradients.
            with self.optimizer.scaled(totals) as scaled:
                autograd.backward(scaled)
            found = [sum(float(values.sum().asscalar()) for values in parts) for parts in zip(*losses)]
            if not np.isfinite(found).all():
                raise LossNotFinite(batch)
            sums += [*found, len(batch.indices)]
        # The gradients are those of sums: what they are divided by counts all batches, contexts and processes.
        class_loss, box_loss, positives, images = self._over_processes(sums)
        divisor = max(1.0, positives)
        self.optimizer.set_learning_rate(rate)
        self.optimizer.allreduce_grads()
        if self.clip_norm:
            self.optimizer.clip(self.clip_norm * divisor)
        self.optimizer.update(divisor)
        self.optimizer.zero_grads()
        self.updates += 1
        if self.average:
            self.average.update(self.updates)
        return StepLosses(class_loss / divisor, box_loss / divisor, int(images))

    def _losses(self, images: Any, boxes: Any, ids: Any, counted: Any) -> ImageLosses:
        return ImageLosses(*(values * counted for values in self.graph(images, boxes, ids)))

    def _shards(self, batch: Batch) -> zip:
        """(images, boxes, class ids, 1 or 0 for each image) on each context."""
        arrays = one_per_context(batch, len(self.contexts))
        return zip(*(split_and_load(mx.nd.array(a, dtype=a.dtype), self.contexts, even_split=False) for a in arrays))

    def _over_processes(self, values: Any) -> np.ndarray:
        """The sums of up to four numbers over all processes that train together."""
        if not self.store:
            return np.asarray(values)
        total = mx.nd.zeros((4,))
        total[: len(values)] = values
        self.store.push(_SUMS, total)
        self.store.pull(_SUMS, out=total)
        return total.asnumpy()[: len(values)].astype(np.float64)

    def share(self, value: float) -> float:
        return float(self._over_processes([value if self.rank == 0 else 0.0])[0])

    def weights(self, averaged: bool = False) -> dict:
        arrays = {name: p.list_data()[0] for name, p in self.net._collect_params_with_prefix().items()}
        if averaged and self.average:
            arrays.update(self.average.averages)
        return {name: array.asnumpy() for name, array in arrays.items()}

    def state(self) -> dict:
        state = {"states": self.optimizer.state()}
        if self.average:
            state["ema"] = {name: array.asnumpy() for name, array in self.average.averages.items()}
        return state

    def load(self, state: dict, updates: int) -> None:
        self.updates = updates
        self.optimizer.restore(state["states"], updates)
        if self.average:
            self.average.restore(state.get("ema", {}))  # an average that begins now begins with these weights

    @contextmanager
    def detector(self) -> Iterator[Detector]:
        with self.average.in_place() if self.average else nullcontext():
            yield Detector(MXNetBackend(self.net, steady=True), self.preset)

    def finish(self) -> None:
        mx.nd.waitall()  # the last gradients are sent: the others would wait for them


def one_per_context(batch: Batch, contexts: int) -> list:
    """Images, boxes and class ids of a batch, with at least one image for each context, and which images count (B,) float32:
    a batch that is too small, the last one of an epoch, is filled with copies of its first image that don't."""
    count = len(batch.images)
    missing = max(0, contexts - count)
    arrays = [
        np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) for array in (batch.images, batch.boxes, batch.class_ids)
    ]
    return [*arrays, np.repeat(np.array([1, 0], np.float32), [count, missing])]
