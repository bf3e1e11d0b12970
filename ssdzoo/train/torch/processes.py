"""The processes that torchrun starts for a training, and what they tell each other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from ssdzoo.errors import CallError
from ssdzoo.predict.backends.torch import torch_device
from ssdzoo.runtime import gpu_numbers
from ssdzoo.train.distributed import end_with_parent
from ssdzoo.train.settings import Settings
from ssdzoo.train.torch.heartbeat import SILENCE, Heartbeat, lost

# In which all processes come to the same step. A process that is gone ends the others sooner: see `heartbeat`.
_STEP = timedelta(minutes=30)
_ENDLESS = timedelta(days=365)


class Processes:
    """The processes of a training, of which this is the one of number `rank`; alone, the only one.

    Args:
        device: where this one trains.
        idle: GPUs that were given and that none of the processes uses.
    """

    def __init__(self, device: torch.device, idle: int = 0):
        self.device, self.idle = device, idle
        self.rank, self.count = int(os.environ.get("RANK", 0)), _started()
        self._heartbeat: Heartbeat | None = None
        if self.count > 1:
            end_with_parent()  # torchrun itself may be killed
            card = device if device.type == "cuda" else None  # else NCCL guesses it from the rank
            with self.explained():
                distributed.init_process_group("nccl" if card else "gloo", timeout=_STEP, device_id=card)
                self._waiting = distributed.new_group(backend="gloo", timeout=_ENDLESS)
                self._heartbeat = Heartbeat()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of tensors of all processes, which are at the same step."""
        if self.count > 1:
            values = values.to(self.device)
            with self.explained():
                distributed.all_reduce(values)
        return values

    def share(self, value: float) -> float:
        """The first process's value, for which the others wait as long as it lives."""
        values = torch.tensor([value], dtype=torch.float64)
        if self.count > 1:
            with self.explained():
                distributed.broadcast(values, 0, self._waiting)
        return float(values)

    def check(self) -> None:
        """Raises:
        SSDZooError: another process is gone.
        """
        if self._heartbeat:
            self._heartbeat.check()

    def close(self) -> None:
        """Parts from the others, when all are done.

        Raises:
            SSDZooError: another process is gone.
        """
        if self._heartbeat:
            with self.explained():
                distributed.barrier(self._waiting)
                self._heartbeat.leave()
                # None of them ends before the heartbeats of all have.
                distributed.monitored_barrier(self._waiting, timedelta(seconds=SILENCE))
                distributed.destroy_process_group()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns the errors of torch.distributed into ours.

        Raises:
            SSDZooError: another process ended, or doesn't answer.
        """
        try:
            yield
        except RuntimeError as error:
            text = str(error)
            names = ("gloo", "NCCL", "process group")
            if not isinstance(error, distributed.DistError) and not any(name in text for name in names):
                raise
            raise (self._heartbeat.loss(text) if self._heartbeat else lost("another process", text)) from None


def _started() -> int:
    """How many processes torchrun has started."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join(settings: Settings, ctx: Any = None) -> Processes:
    """Meets the other processes, where torchrun has started several.

    Args:
        ctx: a device of torch or its name, a list of them, or GPUs such as "0,1": each process of this machine takes one in
            turn. By default the CPU, or of several processes the GPU of its number, where there are GPUs.

    Raises:
        CallError: fewer GPUs than processes on this machine.
        SSDZooError: no such GPU; the others don't answer.
    """
    number, here = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    asked = ctx is not None
    if not asked and _started() > 1 and torch.cuda.is_available():
        ctx = list(range(torch.cuda.device_count()))
    if isinstance(ctx, str) and not ctx.startswith(("cpu", "cuda")):
        ctx = gpu_numbers(ctx)
    places = ctx if isinstance(ctx, (list, tuple)) else [ctx]
    places = [f"cuda:{place}" if isinstance(place, int) else place for place in places]
    devices = [torch_device(place) for place in places]
    if here > len(devices) and devices[0].type == "cuda":
        raise CallError(f"{here} processes on this machine, and {len(devices)} of its GPUs (gpus=): expected one GPU for each")
    device = devices[number % len(devices)]
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    return Processes(device, max(0, len(devices) - here) if asked else 0)
