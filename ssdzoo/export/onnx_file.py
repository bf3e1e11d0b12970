"""From what a user names, a run, a preset or an exported pair, to an ONNX file."""

import tempfile
from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.export.pair import find_pair
from ssdzoo.preset import read_fields, read_preset
from ssdzoo.zoo import find_preset, list_models


def export_onnx(model, out, weights=None, ctx=None, **options) -> Path:
    """Writes a model as ONNX. A pair is translated without mxnet; a run and a preset are exported as a symbol first.

    Args:
        model: a run folder, the name or table of a preset, or an exported pair (see `find_pair`), with or without its sidecar.
        out: the file, or a folder, in which it gets the model's name.
        weights: parameter file for a preset.
        ctx: context of a network that is built first.
        options: of `to_onnx`.

    Raises:
        CallError: `model` is none of these.
        ExportError: a network that can't be translated.
        WeightsError: missing or wrong weights.
    """
    from ssdzoo.export import to_onnx

    pair = find_pair(model)
    if pair:
        if weights:
            raise CallError(f"{model} is an exported pair, which brings its weights: leave --weights out")
        symbol, params, sidecar = pair
        name = symbol.name.removesuffix("-symbol.json")
        return to_onnx(symbol, params, _file(out, name), **{**_known(name, sidecar), **options})
    from ssdzoo.export.symbol import export_model
    from ssdzoo.predict.load import load_network

    net, preset = load_network(model, ctx, weights)
    with tempfile.TemporaryDirectory() as folder:
        path = export_model(net, preset, folder)
        return to_onnx(f"{path}-symbol.json", f"{path}-0000.params", _file(out, preset.name), **{**_options(preset), **options})


def _file(out, name: str) -> Path:
    out = Path(out)
    return out if out.suffix == ".onnx" else out / f"{name}.onnx"


def _known(name: str, sidecar) -> dict:
    """What the sidecar of a pair says about it, or else its name, if it is a preset's."""
    if sidecar:
        fields = read_fields(sidecar)
        if "backbone" in fields:
            return _options(read_preset(sidecar))
        known = {key: fields[key] for key in ("classes", "mean", "std") if key in fields}
        return {"preset": name, "size": fields.get("base_size"), **known}
    if name in list_models():
        return {"preset": name, "size": find_preset(name).base_size}
    return {"preset": name}


def _options(preset) -> dict:
    return {
        "preset": preset.name,
        "size": preset.base_size,
        "classes": preset.classes,
        "mean": preset.mean,
        "std": preset.std,
    }
