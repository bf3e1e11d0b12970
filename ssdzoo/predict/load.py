"""From what a user names, a run, an exported model or a preset, to a Detector."""

import importlib.util
import re
import warnings
from pathlib import Path

from ssdzoo.errors import CallError, ExportError, WeightsError
from ssdzoo.export.pair import find_pair
from ssdzoo.formats.params_file import read_params
from ssdzoo.predict.backends.onnx_model import (
    OnnxRuntimeBackend,
    OpenVINOBackend,
    check_choices,
    import_package,
    read_onnx_preset,
)
from ssdzoo.predict.detector import Detector, MXNetBackend
from ssdzoo.preset import read_fields, read_preset
from ssdzoo.zoo import find_preset, list_models

_NEEDS = {"openvino": ("onnx", "openvino"), "onnxruntime": ("onnx", "onnxruntime"), "mxnet": ("mxnet",)}  # best first
BACKENDS = ("auto", *sorted(_NEEDS))


def load(model, backend: str = "mxnet", ctx=None, weights=None, precision: str = "auto", mode: str = "latency") -> Detector:
    """A Detector from a run folder, an exported model (its folder, a file of it, or an .onnx; GluonCV's too), a converted
    parameter file, or the name or table of a preset.

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
        CallError: `model` is none of these; an unknown backend, precision or mode, or one of another backend.
        ExportError: a model that cannot be translated or is no ONNX file.
        SSDZooError: the backend's package is not installed; says which extra brings it.
        WeightsError: missing or wrong weights.
    """
    if backend not in BACKENDS:
        raise CallError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    check_choices(precision, mode)
    if backend != "openvino" and (precision == "bf16" or mode == "throughput"):
        raise CallError(f"{precision if precision == 'bf16' else mode} is openvino's alone: name it as the backend")
    check_installed(backend)
    if str(model).endswith(".onnx"):
        return _load_onnx(model, "auto" if backend == "mxnet" else backend, precision, mode)
    if backend == "auto" and (_on_gpu(ctx) or not _onnx_backends()):
        backend = "mxnet"
    if backend != "mxnet":
        from ssdzoo.predict.onnx_cache import cached_onnx

        try:
            return _load_onnx(cached_onnx(model, weights, ctx), backend, precision, mode)
        except ExportError:  # such as a pair of GluonCV's that does not say its input size, which mxnet finds out
            if backend != "auto":
                raise
    pair = find_pair(model)
    if pair:
        symbol, params, sidecar = pair
        known = read_fields(sidecar) if sidecar else {}
        if "backbone" not in known:
            return load_foreign_export(symbol, params, known, ctx)
        return Detector(MXNetBackend(load_symbol(symbol, params, ctx)), read_preset(sidecar))
    net, preset = load_network(model, ctx, weights)
    return Detector(MXNetBackend(net), preset)


def available() -> list:
    """The backends whose packages are installed, best first."""
    return [name for name, packages in _NEEDS.items() if all(importlib.util.find_spec(package) for package in packages)]


def check_installed(backend: str) -> None:
    """Imports what a backend needs, so that a missing package is told with the extra that brings all of it."""
    if backend not in ("auto", "mxnet"):  # mxnet's own loading knows more
        for package in reversed(_NEEDS[backend]):
            import_package(package, {"onnxruntime": "onnx"}.get(backend, backend))


def _onnx_backends() -> list:
    return [name for name in available() if name != "mxnet"]


def _on_gpu(ctx) -> bool:
    first = ctx[0] if isinstance(ctx, (list, tuple)) else ctx
    return first is not None and first.device_type == "gpu"


def _load_onnx(path, backend: str, precision: str, mode: str) -> Detector:
    if backend == "auto":
        backend, precision = (*_onnx_backends(), "onnxruntime")[0], "f32"
    preset, takes_pixels = read_onnx_preset(path)
    made = OpenVINOBackend(path, precision, mode) if backend == "openvino" else OnnxRuntimeBackend(path)
    return Detector(made, preset, takes_pixels=takes_pixels)


def load_network(model, ctx=None, weights=None) -> tuple:
    """The SSD, hybridized, and the Preset of a run folder or of a preset's name; see `load`."""
    from ssdzoo.build import get_model

    preset, params = find_network(model, weights)
    net = get_model(preset, ctx=ctx, pretrained=params)
    net.hybridize()
    return net, preset


def load_anchors(model, weights=None) -> tuple:
    """An SSD whose anchors are right, and its Preset: a run's, with the anchors of its parameters, or a preset's without any
    weights and with a class of no consequence."""
    if is_run(model) or weights:
        return load_network(model, weights=weights)
    from ssdzoo.build import get_model

    preset = find_preset(model)
    return get_model(preset.with_classes(["object"])), preset


def is_run(model) -> bool:
    """Whether a folder is meant: not one that only happens to have a preset's name."""
    path = Path(model)
    return path.is_dir() and ((path / "model.toml").is_file() or str(model) not in list_models())


def find_network(model, weights=None) -> tuple:
    """The Preset, with classes, and the weights (a path, or True for published ones) that a user named."""
    from ssdzoo.weights.transfer import find_params, known_classes

    path = Path(model)
    if is_run(model):
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


def load_foreign_export(symbol, params, known: dict, ctx=None) -> Detector:
    """A Detector from a pair that GluonCV exported: what is not `known` from its sidecar, which may hold some fields of a
    preset, is read from its graph; see `infer_preset`.

    Raises:
        ExportError: the symbol is damaged.
        WeightsError: not an SSD's detections, or its input size can't be told.
    """
    from ssdzoo.formats.symbol_file import read_symbol
    from ssdzoo.predict.symbol_preset import ChannelsLast, infer_preset

    preset, channels_last = infer_preset(read_symbol(symbol), read_params(params), known)
    backend = MXNetBackend(load_symbol(symbol, params, ctx))
    return Detector(ChannelsLast(backend) if channels_last else backend, preset)


def load_symbol(symbol, params, ctx=None):
    """An exported pair as a gluon.SymbolBlock on `ctx`.

    Raises:
        ExportError: the symbol is damaged, or has an operator that mxnet lacks.
        WeightsError: the parameter file is damaged, or they don't fit together.
    """
    from ssdzoo.formats.graph_input import input_of
    from ssdzoo.formats.symbol_file import read_symbol
    from ssdzoo.predict.symbol_preset import parse_symbol
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    arrays = {re.sub("^(arg|aux):", "", name): array for name, array in read_params(params).items()}
    graph = read_symbol(symbol)
    try:
        with warnings.catch_warnings():
            # It asks for the type of the data, and then takes that of the parameters.
            warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
            block = mx.gluon.SymbolBlock(parse_symbol(graph), [mx.sym.var(input_of(graph, arrays).name)])
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
    block.hybridize()
    return block
