"""The head outputs of an SSD as a symbol whose variables are named as in its parameter file."""

import json
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.exported_files import write_exported
from ssdzoo.files import read_whole
from ssdzoo.formats.params_file import read_params
from ssdzoo.formats.symbol_file import read_symbol, symbol_text
from ssdzoo.model_source import ModelSource, NetworkSource, OnnxSource
from ssdzoo.preset import Preset

# Marks a variable that does not learn, beside Gluon's own constants; mxnet keeps such attributes without reading them.
FIXED = ("__grad_req__", "null")


def head_symbol(source: ModelSource) -> tuple[str, dict]:
    """The head outputs of a model as a symbol's JSON, and {name: array} of its parameters.

    Those of a preset, a table or a run are the class logits (B, N, C + 1), box offsets (B, N, 4) and anchors (1, N, 4), center
    form and pixels, and the variables are named by attribute paths. A run of the torch engine keeps them and needs no mxnet. An
    exported model is given as it is, detection included: what translates it finds the head outputs
    (`ssdzoo.formats.graph_heads.find_heads`).

    Raises:
        CallError: an ONNX file.
        SSDZooError: a network that cannot be built, because mxnet is missing.
        WeightsError: missing or wrong weights.
    """
    if isinstance(source, OnnxSource):
        raise CallError(f"{source.model}: an ONNX file holds no symbol: name the run or the exported model that it was made from")
    if isinstance(source, NetworkSource):
        source = source.located()
        if source.heads:
            # What is no UTF-8 is no JSON either, which the reader of symbols says.
            return read_whole(source.heads).decode("utf-8", "replace"), read_params(source.params)
        check_mxnet(source.model)
        return network_heads(source.network())
    return json.dumps(source.graph.raw), source.arrays


def check_mxnet(model: str) -> None:
    """
    Raises:
        SSDZooError: mxnet, which builds the network of a model, is missing; says what needs none.
    """
    from ssdzoo.runtime import mxnet

    try:
        mxnet()
    except SSDZooError as error:
        hint = "export it with heads= where mxnet runs, and name the folder here: that needs no mxnet"
        raise SSDZooError(f"{model} is built with mxnet: {error}; or {hint}") from None


def network_heads(net: Any) -> tuple[str, dict]:
    """The same of an SSD with its weights."""
    from ssdzoo.runtime import mx

    symbol = json.loads(mx.sym.Group(list(net.head_outputs(mx.sym.var("data")))).tojson())
    parameters = net._collect_params_with_prefix()
    paths = {parameter.name: path for path, parameter in reversed(parameters.items())}
    for node in symbol["nodes"]:
        if node["op"] == "null" and node["name"] in paths:
            node["name"] = paths[node["name"]]
            node["attrs"] = _attributes(node["attrs"], parameters[node["name"]])
        else:
            node["name"] = node["name"].removeprefix(net.prefix)  # which counts the networks of this process
    return symbol_text(symbol), {path: p.data(p.list_ctx()[0]).asnumpy() for path, p in parameters.items()}


def export_heads(net: Any, preset: Preset, folder: str | Path, name: str | None = None) -> Path:
    """Writes the head outputs of an SSD as NAME-symbol.json, NAME-0000.params and NAME.toml: what a training without mxnet needs.

    Args:
        net: an SSD with weights.
        preset: its Preset, with its classes.
        folder: for the files.
        name: of the files; by default that of the preset.

    Returns:
        The common path of the files, without suffix.
    """
    path = Path(folder) / (name or preset.name)
    text, arrays = network_heads(net)
    write_exported(path, read_symbol(text), arrays, preset.to_toml())
    return path


def _attributes(given: dict, parameter: Any) -> dict:
    """What the symbol says of a variable, less the initial values that Gluon writes: they hold addresses in memory."""
    kept = {key: value for key, value in given.items() if key != "__init__"}
    fixed = dict([FIXED]) if parameter.grad_req == "null" else {}
    return {**kept, "__shape__": str(tuple(parameter.shape)), **fixed}
