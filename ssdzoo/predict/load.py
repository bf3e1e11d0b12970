"""From what a user names, a run, an exported model or a preset, to a Detector."""

import importlib.util
import warnings
from pathlib import Path

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.predict.detector import Detector, MXNetBackend
from ssdzoo.registry import find_preset, get_model, read_preset

BACKENDS = ("auto", "mxnet", "onnxruntime", "openvino")


def load(model, backend: str = "mxnet", ctx=None, weights=None, precision: str = "auto", mode: str = "latency") -> Detector:
    """A Detector from a run folder, an exported model (its folder, a file of it, or an .onnx), or the name or table of a preset.

    Args:
        model: see above.
        backend: "mxnet", "onnxruntime", "openvino", or "auto": the first of openvino, onnxruntime and mxnet that is installed,
            all in float32; mxnet on a GPU's context. The first two make an ONNX file, and keep it beside the weights. An .onnx is
            never run by mxnet, but by "auto" instead.
        ctx: mxnet's context or list of contexts; the first one is used; default CPU.
        weights: parameter file for a preset; without it the published weights are looked for.
        precision: of openvino: "f32", "bf16", or "auto": bf16 where the processor has it.
        mode: of openvino: "latency", or "throughput": several batches at once.

    Raises:
        CallError: `model` is none of these.
        ExportError: a model that cannot be translated or is no ONNX file.
        SSDZooError: the backend's package is not installed; says which extra brings it.
        WeightsError: missing or wrong weights.
    """
    if backend not in BACKENDS:
        raise CallError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    if str(model).endswith(".onnx"):
        return _load_onnx(model, "auto" if backend == "mxnet" else backend, precision, mode)
    if backend == "auto" and (_on_gpu(ctx) or not _installed()):
        backend = "mxnet"
    if backend != "mxnet":
        from ssdzoo.predict.cached import cached_onnx

        return _load_onnx(cached_onnx(model, weights, ctx), backend, precision, mode)
    pair = find_export(model)
    if pair:
        symbol, params, sidecar = pair
        return Detector(MXNetBackend(load_symbol(symbol, params, ctx)), read_preset(sidecar))
    net, preset = load_network(model, ctx, weights)
    return Detector(MXNetBackend(net), preset)


def _installed() -> list:
    """The backends for ONNX that are installed, best first."""
    there = {name for name in ("onnx", "openvino", "onnxruntime") if importlib.util.find_spec(name)}
    return [name for name in ("openvino", "onnxruntime") if {"onnx", name} <= there]


def _on_gpu(ctx) -> bool:
    first = ctx[0] if isinstance(ctx, (list, tuple)) else ctx
    return first is not None and first.device_type == "gpu"


def _load_onnx(path, backend: str, precision: str, mode: str) -> Detector:
    from ssdzoo.predict.onnx_model import OnnxRuntimeBackend, OpenVINOBackend, read_onnx_preset

    if backend == "auto":
        backend, precision = (*_installed(), "onnxruntime")[0], "f32"
    preset, takes_pixels = read_onnx_preset(path)
    made = OpenVINOBackend(path, precision, mode) if backend == "openvino" else OnnxRuntimeBackend(path)
    return Detector(made, preset, takes_pixels=takes_pixels)


def load_network(model, ctx=None, weights=None) -> tuple:
    """The SSD, hybridized, and the Preset of a run folder or of a preset's name; see `load`."""
    preset, params = find_network(model, weights)
    net = get_model(preset, ctx=ctx, pretrained=params)
    net.hybridize(static_alloc=True)
    return net, preset


def find_network(model, weights=None) -> tuple:
    """The Preset, with classes, and the weights (a path, or True for published ones) that a user named."""
    from ssdzoo.weights.transfer import find_params, known_classes

    path = Path(model)
    if path.is_dir():
        if not (path / "model.toml").is_file():
            raise CallError(f"{path}: neither a run (no model.toml) nor an exported model (no *-symbol.json)")
        return read_preset(path / "model.toml"), Path(weights) if weights else find_params(path)
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
    """(symbol json, parameter file, sidecar) of an exported model named by its folder or one of its files, else None.

    Raises:
        CallError: several models in a folder, or a pair without its sidecar.
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
    if not sidecar.is_file():
        raise CallError(f"{symbols[0]}: its sidecar {sidecar.name} (classes, mean, std, size) is missing")
    return symbols[0], params[-1], sidecar


def load_symbol(symbol, params, ctx=None):
    """An exported pair as a gluon.SymbolBlock on `ctx`."""
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    try:
        with warnings.catch_warnings():
            # It asks for the type of the data, and then takes that of the parameters.
            warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
            block = mx.gluon.SymbolBlock.imports(str(symbol), ["data"], str(params), ctx=ctx or mx.cpu())
    except (mx.base.MXNetError, AssertionError, ValueError) as error:
        raise WeightsError(f"{symbol} and {params.name} don't load: {str(error).strip().splitlines()[-1]}") from None
    block.hybridize(static_alloc=True)
    return block
