"""Training with PyTorch: one step from batches to new weights, and what else an `Engine` of the trainer does."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from ssdzoo.data.loading.ahead import made_ahead
from ssdzoo.data.loading.batch import Batch
from ssdzoo.errors import CallError
from ssdzoo.export.rule import preset_rule
from ssdzoo.export.torch import to_arrays
from ssdzoo.predict.backends.torch import BF16_SINCE, TorchBackend, to_device
from ssdzoo.predict.detector import Detector
from ssdzoo.preset import Preset
from ssdzoo.train.engine import LossNotFinite, StepLosses
from ssdzoo.train.settings import Settings
from ssdzoo.train.torch.loss import ImageLosses, MultiBoxLoss
from ssdzoo.train.torch.optimizer import MovingAverage, Optimizer
from ssdzoo.train.torch.processes import Processes
from ssdzoo.train.torch.targets import make_targets


@dataclass(frozen=True)
class PlacedBatch(Batch):
    """A Batch that lies on a device too.

    Attributes:
        tensors: images, boxes and class_ids there.
    """

    tensors: tuple


class TorchEngine:
    """A network that learns, data parallel over processes; see `ssdzoo.train.engine.Engine`.

    Args:
        module: of `ssdzoo.export.to_torch`, with its weights.
        preset: its Preset, with classes.
        settings: see `ssdzoo.train.settings.Settings`, completed.
        processes: those that train together; the module is moved to this one's device.
        symbol: the JSON from which the module was translated.
    """

    def __init__(self, module: torch.nn.Module, preset: Preset, settings: Settings, processes: Processes, symbol: str = ""):
        self.preset, self.clip_norm, self.symbol = preset, settings.clip_norm, symbol
        self.processes, self.rank, self.device = processes.count, processes.rank, processes.device
        self._group = processes
        self.precision = amp_type(self.device) if settings.amp else torch.float32
        self.channels_last = faster_channels_last(module, self.device)
        self.module = module.to(self.device).train()
        for parameter in self.module.parameters():
            if self.channels_last and parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.loss = MultiBoxLoss(
            settings.class_loss or preset.class_loss, settings.box_loss, min_negatives=settings.min_negatives,
            box_weight=settings.box_weight,
        )  # fmt: skip
        self._mean, self._std = (torch.tensor(v, device=self.device).reshape(3, 1, 1) for v in (preset.mean, preset.std))
        self.optimizer = Optimizer(self.module, settings, scaled=self.precision == torch.float16)
        self.average = MovingAverage(self.module, settings.ema) if settings.ema is not None else None
        self.updates = 0
        self._seed = settings.seed
        self._drops = any(isinstance(part, torch.nn.Dropout) for part in module.modules())
        # Batch norms keep the statistics of each process, as in MXNet: the first one's are saved.
        self._parallel = DistributedDataParallel(self.module, broadcast_buffers=False) if self.processes > 1 else None
        network = self._parallel or self.module
        self.network = torch.compile(network) if settings.compile else network

    def step(self, batches: list, rate: float) -> StepLosses:
        found = []
        for number, batch in enumerate(batches, 1):
            with self._group.explained(), self._alone(number < len(batches)):
                if self._drops:
                    self._draw(number)
                # Forward.
                losses = self.losses(batch)
                # Backward: adds to the gradients, and with the last batch averages them over the processes.
                self.optimizer.backward((losses.class_loss + losses.box_loss).sum())
            found.append(torch.stack([values.detach().sum() for values in losses]))
        rows = torch.stack(found).cpu().double().numpy()  # all at once: here a GPU is waited for
        for batch, row in zip(batches, rows):
            if not np.isfinite(row).all():
                raise LossNotFinite(batch)
        # The gradients are those of sums: what they are divided by counts all batches and processes.
        class_loss, box_loss, positives, images = self._over_processes([*rows.sum(0), sum(len(b.indices) for b in batches)])
        divisor = max(1.0, positives)
        self.updates += 1
        self.optimizer.update(self.updates, rate, self.processes / divisor, self.clip_norm)
        if self.average:
            self.average.update(self.updates)
        return StepLosses(class_loss / divisor, box_loss / divisor, int(images))

    def ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        # For a GPU the next one is loaded and travels there while the GPU computes.
        return made_ahead(batches, self.place) if self.device.type == "cuda" else batches

    def place(self, batch: Batch) -> "PlacedBatch":
        """A batch on the device."""
        arrays = batch.images, batch.boxes, batch.class_ids
        return PlacedBatch(*arrays, batch.indices, tuple(to_device(array, self.device) for array in arrays))

    def losses(self, batch: Batch) -> ImageLosses:
        """Those of each image, from pixels through normalization, network and targets."""
        images, boxes, ids = (batch if isinstance(batch, PlacedBatch) else self.place(batch)).tensors
        pixels = (images.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std  # channels last in memory
        if not self.channels_last:
            pixels = pixels.contiguous()
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits, offsets, anchors = self.network(pixels)
        anchors = anchors.detach().float()
        return self.loss(logits.float(), offsets.float(), *make_targets(anchors, boxes, ids), anchors)

    def _draw(self, number: int) -> None:
        """What a Dropout leaves out follows from the seed, the update, the batch in it and the process, on every device: a
        training that is resumed leaves out the same."""
        torch.manual_seed(int(np.random.SeedSequence([self._seed, self.updates, number, self.rank]).generate_state(1)[0]))

    def _alone(self, condition: bool) -> AbstractContextManager:
        """While it lasts, gradients stay in this process."""
        return self._parallel.no_sync() if self._parallel and condition else nullcontext()

    def _over_processes(self, values: Any) -> np.ndarray:
        return self._group.total(torch.tensor(values, dtype=torch.float64)).cpu().numpy()

    def share(self, value: float) -> float:
        return self._group.share(value)

    def weights(self, averaged: bool = False) -> dict:
        arrays = to_arrays(self.module)
        return {**arrays, **self.average.arrays()} if averaged and self.average else arrays

    def state(self) -> dict:
        state = {"states": self.optimizer.state()}
        if self.average:
            state["ema"] = self.average.arrays()
        return state

    def load(self, state: dict, updates: int) -> None:
        self.updates = updates
        self.optimizer.restore(state["states"])
        if self.average:
            self.average.restore(state.get("ema", {}))  # an average that begins now begins with these weights

    @contextmanager
    def detector(self) -> Iterator[Detector]:
        with self.average.in_place() if self.average else nullcontext():
            self.module.eval()
            # An evaluation may be long: it ends when another process is gone.
            check = self.module.register_forward_pre_hook(lambda *_: self._group.check())
            try:
                yield Detector(TorchBackend(self.module, self.preset, preset_rule(self.preset), steady=True), self.preset)
            finally:
                check.remove()
                self.module.train()

    def finish(self) -> None:
        self._group.close()


def amp_type(device: torch.device) -> torch.dtype:
    """The half precision that a device computes fastest: bfloat16, or on GPUs that lack it (before Ampere) float16.

    Raises:
        CallError: no device for half precision.
    """
    if device.type not in ("cuda", "cpu"):
        raise CallError(f"amp=True: half precision is for GPUs and CPUs, not for {device.type}")
    lacking = device.type == "cuda" and torch.cuda.get_device_capability(device) < BF16_SINCE
    return torch.float16 if lacking else torch.bfloat16


def faster_channels_last(module: torch.nn.Module, device: torch.device) -> bool:
    """Whether a network trains faster with its channels last in memory: on GPUs, and on CPUs with depthwise convolutions. There
    MobileNet 0.25 is ten times as fast, MobileNet 1.0 one and a half times, and VGG-16 1.7 times slower."""
    depthwise = any(p.ndim == 4 and p.shape[1] == 1 and p.shape[0] > 1 for p in module.parameters())
    return device.type != "cpu" or depthwise
