"""How a training with MXNet begins: its processes, its contexts, its network."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssdzoo.build import get_model
from ssdzoo.data.loading.loader import Batch
from ssdzoo.errors import CallError
from ssdzoo.preset import Preset
from ssdzoo.runtime import contexts, mx, set_threads
from ssdzoo.train.distributed import connect
from ssdzoo.train.mxnet.engine import MXNetEngine
from ssdzoo.train.mxnet.graph import training_graph
from ssdzoo.train.mxnet.starting_weights import starting_network
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Arguments, Settings

__all__ = ["image_losses", "join", "set_threads", "start_engine"]


class Place(NamedTuple):
    """Where a process trains: its contexts, and MXNet's key-value store, which connects it with others; None for none."""

    contexts: list
    store: Any = None

    @property
    def rank(self) -> int:
        return int(self.store.rank) if self.store else 0


def join(settings: Settings, ctx: Any = None) -> Place:
    """Meets the other processes of a training, where there are some.

    Args:
        ctx: an mxnet context, a list of them, GPUs such as "0,1", or None for the CPU.

    Raises:
        CallError: this process was not started for what the settings say.
        SSDZooError: no such GPU.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise CallError("torchrun starts processes for engine=torch; those of engine=mxnet are started by ssdzoo launch")
    places = contexts(ctx) if ctx is None or isinstance(ctx, str) else ctx if isinstance(ctx, list) else [ctx]
    return Place(places, connect(settings.kvstore) if settings.kvstore else None)


def start_engine(arguments: Arguments, preset: Preset, place: Place,
                 saved: Path | None = None) -> tuple[MXNetEngine, str]:  # fmt: skip
    """An engine at the beginning of a training, and a sentence about where its weights come from.

    Args:
        arguments: Arguments, whose settings are completed.
        preset: the Preset, with classes.
        place: of `join`.
        saved: parameter file of a training that goes on.

    Raises:
        CallError: half precision without GPUs.
        WeightsError: weights that cannot be read or do not fit.
    """
    if arguments.settings.amp:
        if any(context.device_type != "gpu" for context in place.contexts):
            raise CallError("amp=True needs GPUs: on CPUs MXNet's half precision is slower than none")
        mx.contrib.amp.init()  # before the network is built
    net, story = starting_network(arguments, preset, place.contexts, saved)
    return MXNetEngine(net, preset, arguments.settings, place.store), story


def image_losses(run: Run, preset: Preset, settings: Settings, batch: Batch, weights: Path) -> dict[str, np.ndarray]:
    """Losses of each image of a batch, {field of ImageLosses: (B,) float32}.

    Args:
        run: the run folder.
        weights: parameter file.
    """
    net = get_model(preset, pretrained=weights)
    arrays = [mx.nd.array(array, dtype=array.dtype) for array in (batch.images, batch.boxes, batch.class_ids)]
    with mx.autograd.record():
        losses = training_graph(net, preset, settings)(*arrays)
    return {name: values.asnumpy() for name, values in losses._asdict().items()}
