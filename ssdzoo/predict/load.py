"""From what a user names, a run, an exported model or a preset, to a Detector."""

import re
import warnings
from pathlib import Path

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.predict.detector import Detector, MXNetBackend
from ssdzoo.registry import find_preset, get_model, read_fields, read_preset
from ssdzoo.weights.params_file import read_params
from ssdzoo.weights.transfer import find_params, known_classes


def load(model, backend: str = "mxnet", ctx=None, weights=None) -> Detector:
    """A Detector from a run folder, an exported model (its folder or a file of it; GluonCV's too), a converted parameter file,
    or the name or table of a preset.

    Args:
        model: see above.
        backend: "mxnet" (or "auto").
        ctx: context or list of contexts; the first one is used; default CPU.
        weights: parameter file for a preset; without it the published weights are looked for.

    Raises:
        CallError: `model` is none of these.
        WeightsError: missing or wrong weights.
    """
    if backend not in ("mxnet", "auto"):
        raise CallError(f"no backend {backend!r}; there is mxnet")
    pair = find_export(model)
    if pair:
        symbol, params, sidecar = pair
        known = read_fields(sidecar) if sidecar else {}
        if "backbone" not in known:
            return load_foreign_export(symbol, params, known, ctx)
        return Detector(MXNetBackend(load_symbol(symbol, params, ctx)), read_preset(sidecar))
    net, preset = load_network(model, ctx, weights)
    return Detector(MXNetBackend(net), preset)


def load_network(model, ctx=None, weights=None) -> tuple:
    """The SSD, hybridized, and the Preset of a run folder or of a preset's name; see `load`."""
    preset, params = find_network(model, weights)
    net = get_model(preset, ctx=ctx, pretrained=params)
    net.hybridize(static_alloc=True)
    return net, preset


def find_network(model, weights=None) -> tuple:
    """The Preset, with classes, and the weights (a path, or True for published ones) that a user named."""
    path = Path(model)
    if path.is_dir():
        if not (path / "model.toml").is_file():
            raise CallError(f"{path}: neither a run (no model.toml) nor an exported model (no *-symbol.json)")
        return read_preset(path / "model.toml"), Path(weights) if weights else find_params(path)
    if path.suffix == ".params" and path.is_file() and path.with_suffix(".toml").is_file():
        return read_preset(path.with_suffix(".toml")), path
    preset = find_preset(model)
    if weights is None:
        if preset.classes is None:
            raise WeightsError(f"{preset.name} has no published weights: name a run folder, or a file with --weights")
        return preset, True
    weights = find_params(weights)
    classes = known_classes(weights) if preset.classes is None else preset.classes
    if classes is None:
        raise CallError(f"{weights} does not name its classes (no model.toml beside it): name the run folder instead")
    return preset.with_classes(classes), weights


def find_export(model):
    """(symbol json, parameter file, sidecar) of an exported model named by its folder or one of its files, else None. The sidecar
    is None where there is none, as in GluonCV's exports.

    Raises:
        CallError: several models in a folder.
        WeightsError: a symbol without its parameters.
    """
    path = Path(model)
    if path.is_dir():
        symbols = sorted(path.glob("*-symbol.json"))
        if len(symbols) > 1:
            raise CallError(f"{path} holds {len(symbols)} exported models; name one of {', '.join(p.name for p in symbols)}")
    else:
        stem = path.name.removesuffix("-symbol.json")
        symbols = [p for p in [path.with_name(f"{stem}-symbol.json")] if p.is_file()]
    if not symbols:
        return None
    stem = symbols[0].name.removesuffix("-symbol.json")
    params = sorted(symbols[0].parent.glob(f"{stem}-[0-9][0-9][0-9][0-9].params"))
    if not params:
        raise WeightsError(f"{symbols[0]}: its parameters {stem}-0000.params are missing")
    sidecar = symbols[0].with_name(f"{stem}.toml")
    return symbols[0], params[-1], sidecar if sidecar.is_file() else None


def load_foreign_export(symbol, params, known: dict, ctx=None) -> Detector:
    """A Detector from a pair that GluonCV exported: what is not `known` from its sidecar, which may hold some fields of a
    preset, is read from its graph; see `infer_preset`.

    Raises:
        WeightsError: not an SSD's detections, or its input size can't be told.
    """
    from ssdzoo.predict.exported import ChannelsLast, infer_preset, read_graph

    preset, channels_last = infer_preset(symbol, read_graph(symbol), read_params(params), known)
    backend = MXNetBackend(load_symbol(symbol, params, ctx))
    return Detector(ChannelsLast(backend) if channels_last else backend, preset)


def load_symbol(symbol, params, ctx=None):
    """An exported pair as a gluon.SymbolBlock on `ctx`.

    Raises:
        WeightsError: one of the files is damaged, or they don't fit together.
    """
    from ssdzoo.predict.exported import parse_symbol, read_graph
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    arrays = {re.sub("^(arg|aux):", "", name): array for name, array in read_params(params).items()}
    read_graph(symbol)
    try:
        with warnings.catch_warnings():
            # It asks for the type of the data, and then takes that of the parameters.
            warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
            block = mx.gluon.SymbolBlock(parse_symbol(symbol), [mx.sym.var("data")])
        parameters = block.collect_params()
        odd = sorted(parameters.keys() ^ arrays.keys())
        if odd:
            where = "the parameter file lacks" if odd[0] in parameters else "the graph lacks"
            raise WeightsError(f"{symbol} and {params.name} don't belong together: {where} {odd[0]!r}")
        for name, parameter in parameters.items():
            array = mx.nd.array(arrays[name], dtype=arrays[name].dtype)
            parameter._load_init(array, ctx or mx.cpu(), cast_dtype=True, dtype_source="saved")
    except (mx.base.MXNetError, AssertionError) as error:
        raise WeightsError(f"{symbol} and {params.name} don't load: {str(error).strip().splitlines()[-1]}") from None
    block.hybridize(static_alloc=True)
    return block
