"""How a training with MXNet begins: its processes, its contexts, its network."""

from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.preset import Preset
from ssdzoo.runtime import contexts, mx
from ssdzoo.train.distributed import connect
from ssdzoo.train.mxnet.engine import MXNetEngine
from ssdzoo.train.mxnet.starting_weights import starting_network
from ssdzoo.train.settings import Arguments, Settings


def join(settings: Settings) -> Any:
    """MXNet's key-value store, which connects the processes of a training; None for one process.

    Raises:
        CallError: this process was not started for it.
    """
    return connect(settings.kvstore) if settings.kvstore else None


def start_engine(arguments: Arguments, preset: Preset, ctx: Any = None, store: Any = None,
                 saved: Path | None = None) -> tuple[MXNetEngine, str]:  # fmt: skip
    """An engine at the beginning of a training, and a sentence about where its weights come from.

    Args:
        arguments: Arguments, whose settings are completed.
        preset: the Preset, with classes.
        ctx: where to train: an mxnet context, a list of them, GPUs such as "0,1", or None for the CPU.
        store: see MXNetEngine.
        saved: parameter file of a training that goes on.

    Raises:
        CallError: half precision without GPUs.
        SSDZooError: no such GPU.
        WeightsError: weights that cannot be read or do not fit.
    """
    places = contexts(ctx) if ctx is None or isinstance(ctx, str) else ctx if isinstance(ctx, list) else [ctx]
    if arguments.settings.amp:
        if any(context.device_type != "gpu" for context in places):
            raise CallError("amp=True needs GPUs: on CPUs MXNet's half precision is slower than none")
        mx.contrib.amp.init()  # before the network is built
    net, story = starting_network(arguments, preset, places, saved)
    return MXNetEngine(net, preset, arguments.settings, store), story
