"""The processes that torchrun starts for a training, and what they tell each other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.predict.backends.torch import torch_device
from ssdzoo.runtime import gpu_numbers
from ssdzoo.train.settings import Settings

# The others wait while the first one evaluates. torchrun ends them when one dies, without this.
_PATIENCE = timedelta(hours=6)


class Processes:
    """The processes of a training, of which this is the one of number `rank`; alone, the only one.

    Args:
        device: where this one trains.
        idle: GPUs that were given and that none of the processes uses.
    """

    def __init__(self, device: torch.device, idle: int = 0):
        self.device, self.idle = device, idle
        self.rank, self.count = int(os.environ.get("RANK", 0)), _started()
        if self.count > 1:
            card = device if device.type == "cuda" else None  # else NCCL guesses it from the rank
            with explained():
                distributed.init_process_group("nccl" if card else "gloo", timeout=_PATIENCE, device_id=card)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of tensors of all processes."""
        if self.count > 1:
            values = values.to(self.device)
            with explained():
                distributed.all_reduce(values)
        return values

    def close(self) -> None:
        """Parts from the others."""
        if self.count > 1:
            distributed.destroy_process_group()


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


@contextmanager
def explained() -> Iterator[None]:
    """Turns the errors of torch.distributed into ours.

    Raises:
        SSDZooError: another process ended, or doesn't answer.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, distributed.DistError) and not any(name in text for name in ("gloo", "NCCL", "process group")):
            raise
        raise SSDZooError(
            "another process of this training ended or does not answer, so it cannot go on; the same command with resume=True "
            f"continues it ({text.strip().splitlines()[0][:200]})"
        ) from None
