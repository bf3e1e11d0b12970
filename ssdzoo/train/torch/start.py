"""How a training with torch begins: its processes, its device, its network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ssdzoo.data.loading.batch import Batch
from ssdzoo.errors import CallError
from ssdzoo.export.heads import check_mxnet, network_heads
from ssdzoo.export.torch.translate import head_module
from ssdzoo.formats.graph_parts import as_heads
from ssdzoo.formats.params_file import read_params
from ssdzoo.formats.symbol_file import read_symbol, symbol_text
from ssdzoo.machine import cores
from ssdzoo.model_source import SymbolSource, resolve
from ssdzoo.preset import Preset
from ssdzoo.progress import counted
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Arguments, Settings
from ssdzoo.train.torch.classes import with_classes
from ssdzoo.train.torch.engine import TorchEngine
from ssdzoo.train.torch.freeze import freeze
from ssdzoo.train.torch.processes import Processes, join

__all__ = ["image_losses", "join", "set_threads", "start_engine"]


def start_engine(arguments: Arguments, preset: Preset, processes: Processes,
                 saved: Path | None = None) -> tuple[TorchEngine, str]:  # fmt: skip
    """An engine at the beginning of a training, and a sentence about where its weights come from.

    Args:
        arguments: Arguments, whose settings are completed.
        preset: the Preset, with classes.
        processes: of `join`.
        saved: parameter file of a training that goes on.

    Raises:
        CallError: settings that the model or the device lack.
        SSDZooError: mxnet, which builds the network of a preset, is missing.
        WeightsError: weights that cannot be read or do not fit.
    """
    settings, device = arguments.settings, processes.device
    torch.manual_seed(settings.seed)
    if device.type == "cpu":
        torch.set_num_threads(cores())
    elif device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # images have one size
    if saved:
        symbol, arrays = Run(arguments.out).symbol(), read_params(saved)
        story = f"continued from {saved}"
    else:
        symbol, arrays, story = starting_symbol(arguments, preset)
    engine = _engine(symbol, arrays, preset, settings, processes)
    return engine, f"{story}; {_described(engine, processes)}"


def set_threads(count: int | None) -> None:
    """Lets torch use that many threads on the CPU; None leaves them as they are."""
    if count is not None:
        torch.set_num_threads(count)


def _engine(symbol: str, arrays: dict, preset: Preset, settings: Settings, processes: Processes) -> TorchEngine:
    module = head_module(read_symbol(symbol), arrays, preset.base_size)
    if settings.freeze or settings.freeze_norm:
        freeze(module, preset.base_size, settings.freeze, settings.freeze_norm)
    return TorchEngine(module, preset, settings, processes, symbol)


def image_losses(run: Run, preset: Preset, settings: Settings, batch: Batch, weights: Path) -> dict[str, np.ndarray]:
    """Losses of each image of a batch, on the CPU: {field of ImageLosses: (B,) float32}.

    Args:
        run: the run folder, with its symbol.
        weights: parameter file.
    """
    settings = replace(settings, amp=False, compile=False)
    engine = _engine(run.symbol(), read_params(weights), preset, settings, Processes(torch.device("cpu")))
    return {name: values.detach().numpy() for name, values in engine.losses(batch)._asdict().items()}


def _described(engine: TorchEngine, processes: Processes) -> str:
    """What trains: "torch 2.13.0 on CPU, float32"."""
    name = torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else engine.device.type.upper()
    parts = [f"torch {torch.__version__.partition('+')[0]} on {name}", str(engine.precision).removeprefix("torch.")]
    parts += [f"{processes.count} processes"] * (processes.count > 1)
    if processes.idle:
        parts.append(f"{counted(processes.idle, 'GPU')} of gpus= without work: torchrun starts a process for each")
    return ", ".join(parts)


def starting_symbol(arguments: Arguments, preset: Preset) -> tuple[str, dict, str]:
    """The head outputs with which a training begins: JSON of a symbol, {name: array}, and a sentence about the weights.

    Raises:
        SSDZooError: a network that cannot be built, because mxnet is missing.
        CallError, WeightsError: weights that cannot be read, do not fit, or are not for an exported model.
    """
    source = resolve(arguments.model)
    if isinstance(source, SymbolSource):
        if arguments.weights or arguments.base_weights:
            raise CallError(f"{source.model} contains its weights: leave weights= and base_weights= out")
        text, arrays, story = with_classes(source, preset.classes or ())
        graph = as_heads(read_symbol(text, source.graph.source), preset.base_size)
        needed = {node.name for node in graph.nodes}
        return symbol_text(graph.raw), {n: array for n, array in arrays.items() if n in needed}, story
    check_mxnet(preset.name)
    from ssdzoo.runtime import mx
    from ssdzoo.train.mxnet.starting_weights import starting_network

    net, story = starting_network(arguments, preset, [mx.cpu()])
    net.cover(*preset.base_size)
    return *network_heads(net), story
