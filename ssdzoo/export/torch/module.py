"""`to_torch`: a model as a torch module of its head outputs, and its tensors as arrays."""

from pathlib import Path

import numpy as np
import torch
from torch.fx import GraphModule

from ssdzoo.errors import CallError
from ssdzoo.export.heads import head_symbol
from ssdzoo.export.torch.translate import head_module
from ssdzoo.formats.params_file import read_params, strip_prefix
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.model_source import ModelSource, SymbolSource, resolve

_SIZE = (512, 512)  # shapes are checked with it where a symbol does not say its input size


def to_torch(model: str | Path | ModelSource, params: str | Path | dict | None = None) -> GraphModule:
    """The network of a model as a trainable `torch.fx` module, translated from its symbol.

        module = ssdzoo.export.to_torch("exported/NAME")
        logits, offsets, anchors = module(images)

    It takes images (B, 3, H, W) float32 as the model does, normalized, or pixels 0 to 255 where its symbol normalizes them
    itself. It returns class logits (B, N, C + 1), background first; box offsets (B, N, 4); anchors (1, N, 4), center form and
    pixels. Parameters and buffers have the names of the parameter file. After `train()` batch norms use and update statistics as
    MXNet's do while training; the module comes as after `eval()`.

    Args:
        model: what `ssdzoo.model_source.resolve` takes or gives; with `params` a symbol's file or its JSON. A preset, a table and
            a run are built with mxnet; a symbol needs none.
        params: path of the parameter file of a symbol, or {name: array}.

    Raises:
        CallError: `model` is none of these, or an ONNX file.
        ExportError: an operator that is not known, a parameter that is missing, shapes that don't fit; names the node.
        WeightsError: missing or wrong weights.
    """
    if params is not None:
        arrays = params if isinstance(params, dict) else read_params(params)
        if isinstance(model, ModelSource):
            raise CallError(f"{model.model} contains its parameters: leave params= out")
        graph, size = read_symbol(model), None
    else:
        source = model if isinstance(model, ModelSource) else resolve(model)
        size = source.known.get("base_size") if isinstance(source, SymbolSource) else source.preset.base_size
        text, arrays = head_symbol(source)
        graph = source.graph if isinstance(source, SymbolSource) else read_symbol(text)
    arrays = {strip_prefix(name): array for name, array in arrays.items()}
    return head_module(graph, arrays, size or _SIZE).eval()


def to_arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """{name: array} of the parameters and buffers of a module, as a parameter file holds them: float32 where they are floats."""
    tensors = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    return {n: (t.float() if t.is_floating_point() else t).contiguous().numpy().copy() for n, t in tensors.items()}


def set_arrays(module: torch.nn.Module, arrays: dict) -> None:
    """Gives the parameters and buffers of a module the values of {name: array}; their precision and device stay.

    Raises:
        CallError: names or shapes that are not the module's; nothing changes then.
    """
    tensors = module.state_dict()
    wrong = sorted(tensors.keys() ^ arrays.keys())
    if wrong:
        where = "the arrays" if wrong[0] in tensors else "the module"
        raise CallError(f"{wrong[0]!r} is missing in {where}: the names of arrays must be those of the module's parameters")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != np.shape(arrays[name]):
            raise CallError(
                f"{name!r}: an array of shape {np.shape(arrays[name])} for a parameter of shape {tuple(tensor.shape)}"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))
