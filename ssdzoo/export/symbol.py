"""An SSD as a symbol: `NAME-symbol.json`, `NAME-0000.params`, and the sidecar `NAME.toml` that says what goes in and
comes out."""

from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.files import replacing, write_text
from ssdzoo.runtime import mxnet

mx = mxnet()


def export_symbol(net, path, epoch: int = 0, remove_amp_cast: bool = True, heads: bool = False) -> tuple:
    """Writes `path-symbol.json` and `path-EPOCH.params` (4 digits), and returns their paths.

    Args:
        net: an SSD with weights.
        heads: exports the raw heads (class logits, box offsets, anchors) instead of the detections.

    Raises:
        CallError: the network has no weights yet.
    """
    data = mx.sym.var("data")
    symbol = mx.sym.Group(list(net.heads(data) if heads else net(data)))
    wanted = {**dict.fromkeys(symbol.list_arguments(), "arg"), **dict.fromkeys(symbol.list_auxiliary_states(), "aux")}
    parameters = {n: p for n, p in net.collect_params().items() if n in wanted}
    empty = [name for name, parameter in parameters.items() if parameter._data is None]
    if empty:
        raise CallError(f"nothing to export: parameter {empty[0]!r} has no value; initialize the network or load its weights")
    arrays = {f"{wanted[name]}:{name}": p.data(p.list_ctx()[0]) for name, p in parameters.items()}
    symbol_file, params_file = Path(f"{path}-symbol.json"), Path(f"{path}-{epoch:04d}.params")
    with replacing(params_file) as temporary:
        mx.nd.save(str(temporary), {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()})
    with replacing(symbol_file) as temporary:
        symbol.save(str(temporary), remove_amp_cast=remove_amp_cast)
    return symbol_file, params_file


def export_model(net, preset, folder) -> Path:
    """Exports into `folder` under the preset's name, with the sidecar; returns the path without suffix."""
    path = Path(folder) / preset.name
    export_symbol(net, path)
    write_text(f"{path}.toml", preset.to_toml())
    return path
