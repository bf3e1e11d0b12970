"""From what a user names to an ONNX file."""

import tempfile
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.formats.graph_parts import with_detection
from ssdzoo.formats.params_file import read_params
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.model_source import ModelSource, NetworkSource, OnnxSource, SymbolSource, resolve
from ssdzoo.preset import Preset
from ssdzoo.zoo import find_preset, list_models


def export_onnx(model: str | Path | ModelSource, out: str | Path, weights: str | Path | None = None, ctx: Any = None,
                **options: Any) -> Path:  # fmt: skip
    """Writes a model as ONNX. An exported model and a run of the torch engine are translated without mxnet; other runs and
    presets are exported as a symbol first.

    Args:
        model: what `ssdzoo.model_source.resolve` takes, or what it gives.
        out: the file, or a folder, in which it gets the name of the run or of the model.
        weights: parameter file for a preset.
        ctx: context of a network that is built first.
        options: of `to_onnx`.

    Raises:
        CallError: `model` is none of these, or an ONNX file already.
        ExportError: a network that can't be translated.
        WeightsError: missing or wrong weights.
    """
    from ssdzoo.export import to_onnx  # onnx, which is an extra

    source = model if isinstance(model, (NetworkSource, SymbolSource, OnnxSource)) else resolve(model, weights)
    if isinstance(source, OnnxSource):
        raise CallError(f"{source.model} is an ONNX file already")
    if isinstance(source, SymbolSource):
        graph = source.graph
        if "backbone" in source.known:  # a whole table says how objects are found where the graph ends in head outputs
            graph = with_detection(graph, source.preset)
        return to_onnx(graph, source.arrays, onnx_file(out, source.name), **{**_known(source, options), **options})
    source = source.located()
    if source.heads:
        graph = with_detection(read_symbol(source.heads), source.preset)
        return to_onnx(graph, read_params(source.params), onnx_file(out, source.name), **{**_options(source.preset), **options})
    with tempfile.TemporaryDirectory() as folder:
        symbol, params = source.network(ctx).export(Path(folder) / source.preset.name)
        return to_onnx(symbol, params, onnx_file(out, source.name), **{**_options(source.preset), **options})


def onnx_file(out: str | Path, name: str) -> Path:
    """The file that `export_onnx` writes: `out`, or `out/NAME.onnx`."""
    out = Path(out)
    return out if out.suffix == ".onnx" else out / f"{name}.onnx"


def _known(source: SymbolSource, options: dict) -> dict:
    """What the user and the sidecar say about an exported model, or else its name, if that is a preset's."""
    if "backbone" in source.known:
        return _options(source.preset)
    named = (
        {"base_size": find_preset(source.name).base_size}
        if source.name in list_models() and not source.exported.sidecar_fields()
        else {}
    )
    known = {**named, **source.known}
    return {
        "preset": source.name,
        "size": known.get("base_size"),
        "classes": known.get("classes"),
        **({} if {"mean", "std"} <= options.keys() else dict(zip(("mean", "std"), source.normalization))),
    }


def _options(preset: Preset) -> dict:
    return {
        "preset": preset.name,
        "size": preset.base_size,
        "classes": preset.classes,
        "mean": preset.mean,
        "std": preset.std,
    }
