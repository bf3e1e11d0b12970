"""An int8 copy of an ONNX model of `to_onnx`, calibrated on images. Needs onnx and onnxruntime, no mxnet."""

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssdzoo.errors import CallError, ExportError
from ssdzoo.export.int8.equalize import equalize
from ssdzoo.files import replacing

# What runs in int8; other operators of the network stay in float.
_OPERATORS = ("Conv", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add")
_MAXIMUM_BYTES = 2**30  # bytes: protobuf's limit is twice that, and the file also holds a copy with the quantized weights
_FLOAT_FIRST = (0, 1, 3, 5, 7, 9, 13)  # numbers of convolutions, tried in this order
_MINIMUM_DB = 35.0  # dB of the class logits: mAP of a mobilenet0.25 on bccd moved by 0.011 at 32 dB, by 0.003 at 35 and more
_MEASURED_BATCHES = 8  # whose signal-to-noise ratio is measured


def quantize_onnx(path: str | Path, out: str | Path, batches: Iterable, float_first: int | None = None) -> dict:
    """Writes a model whose network runs in int8 up to its head outputs, with QuantizeLinear and DequantizeLinear around each
    operator: weights int8 with a scale for each output channel, activations uint8 between their minimum and maximum in the
    calibration.

    Channels are equalized first (`ssdzoo.export.int8.equalize`). The first convolutions, which see few channels of large images,
    cause most of the error and can stay in float. Softmax, decoding and NMS always do. The metadata are kept, and `quantized` =
    "int8" is added.

    Args:
        path: a file of `to_onnx` with detections.
        batches: iterable of what the model takes, (B, 3, H, W) float32 or (B, H, W, 3) uint8, for the calibration.
        float_first: how many convolutions at least stay in float, from the image on (see `int8_start`). None takes as few as keep
            the signal-to-noise ratio of the class logits, on some of `batches`, at 35 dB, but about 13 at most.

    Returns:
        {"convolutions", "float": how many of them stay in float, "logits_db", "offsets_db": 10 log10(signal / noise) of the raw
        heads in onnxruntime on this machine}.

    Raises:
        CallError: a model that is quantized already; no images; so many convolutions in float that none is left.
        ExportError: not such a model.
    """
    import onnx

    source, heads = _read(path)
    with tempfile.TemporaryDirectory() as folder:
        plain = _prepared(path, Path(folder) / "prepared.onnx", heads)
        network = [node for node in nodes_before(plain, heads) if node.op_type in _OPERATORS]
        calibration = _calibrate(plain, network, heads, batches)
        equalize(plain, calibration.ranges)
        starts = _starts(network, float_first)
        onnx.save_model(plain, f"{folder}/equalized.onnx")
        best = _best(Path(folder), network, starts, heads, calibration)
    quantized = best.model
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(source.metadata_props)
    quantized.metadata_props.add(key="quantized", value="int8")
    quantized.doc_string, quantized.ir_version = source.doc_string, source.ir_version
    onnx.checker.check_model(quantized, full_check=True)
    with replacing(out) as temporary:
        onnx.save_model(quantized, str(temporary))
    count, kept = _convolutions(network), _convolutions(network[: best.start])
    return {"convolutions": count, "float": kept, "logits_db": round(best.logits_db, 1), "offsets_db": round(best.offsets_db, 1)}


class Calibration(NamedTuple):
    """What a float model computes on the calibration images.

    Attributes:
        ranges: {tensor: (minimum, maximum)}, arrays (C,) with a value for each channel; zero is always in the range.
        batches: the first batches, as the model takes them.
        heads: the head outputs of each of these batches, a list of arrays.
    """

    ranges: dict
    batches: list
    heads: list


class Candidate(NamedTuple):
    """An int8 model: where in the network int8 begins, and the signal-to-noise ratio of its head outputs in dB."""

    start: int
    model: Any
    logits_db: float
    offsets_db: float


def _read(path: str | Path) -> tuple:
    """The ONNX model of a file, and the names of its head outputs."""
    from ssdzoo.formats.onnx_metadata import import_package, read_metadata

    onnx = import_package("onnx", "onnx")
    import_package("onnxruntime", "onnx")
    heads = read_metadata(path)["heads"]
    if not heads:
        raise ExportError(
            f"{path}: its metadata don't name the head outputs, at which int8 must end; export it again without raw="
        )
    if Path(path).stat().st_size > _MAXIMUM_BYTES:
        raise ExportError(f"{path}: models of more than 1 GB are not quantized")
    source = onnx.load(str(path))
    if any(node.op_type == "QuantizeLinear" for node in source.graph.node):
        raise CallError(f"{path}: is quantized already; name the float model")
    return source, heads


def _starts(network: list, float_first: int | None) -> list:
    """Positions in the network where int8 may start, the largest part in int8 first."""
    wanted = _FLOAT_FIRST if float_first is None else (float_first,)
    starts = sorted({int8_start(network, count) for count in wanted} - {len(network)})
    if not starts:
        count = _convolutions(network)
        raise CallError(f"nothing would be in int8 behind {min(wanted)} convolutions in float: the model has {count}")
    return starts


def _best(folder: Path, network: list, starts: list, heads: list, calibration: Calibration) -> Candidate:
    """The first candidate that is good enough, else the best of all; `folder` holds equalized.onnx."""
    candidates = []
    for start in starts:
        model = _quantize_nodes(folder, [node.name for node in network[start:]], calibration)
        candidates.append(Candidate(start, model, *_signal_to_noise(model, heads, calibration)))
        if candidates[-1].logits_db >= _MINIMUM_DB:
            break
    return max(candidates, key=lambda candidate: candidate.logits_db)


def _convolutions(nodes: list) -> int:
    return sum(node.op_type == "Conv" for node in nodes)


def int8_start(network: list, count: int) -> int:
    """Where in the network int8 begins, when at least `count` convolutions before stay in float.

    No tensor from before that position is read both before and after it, so none is read in float and in int8. Where one is, as
    at the start of a residual block, onnxruntime's optimizer changes the outputs: a resnet50 had 14 dB with it and 26 dB without.
    """
    starts = [i for i, node in enumerate(network) if node.op_type == "Conv"][count:]
    for start in starts:
        before, after = ({name for node in part for name in node.input} for part in (network[:start], network[start:]))
        written = {name for node in network[:start] for name in node.output}
        if not written & before & after:
            return start
    return len(network)


def nodes_before(model: Any, names: list) -> list:
    """The nodes that compute tensors, in the order of the graph."""
    wanted, found = set(names), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _prepared(path: str | Path, prepared: Path, heads: list) -> Any:
    """The model with its batch normalizations folded into the convolutions, and the shapes of its tensors."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    lost = set(heads) - {name for node in model.graph.node for name in node.output}
    if lost:
        raise ExportError(
            f"{path}: its head output {min(lost)!r} is gone after onnxruntime's optimization; its version does not fit"
        )
    return model


def _calibrate(model: Any, network: list, heads: list, batches: Iterable) -> Calibration:
    """The ranges of the tensors that the nodes of the network read and write, over all batches."""
    fixed = {i.name for i in model.graph.initializer} | {i.name for i in model.graph.input}
    tensors = sorted({name for node in network for name in (*node.input, *node.output)} - fixed - {""})
    session, calibration = _session(model, [*tensors, *heads]), Calibration({}, [], [])
    for batch in batches:
        values = {"images": batch, **dict(zip(tensors, session.run(tensors, {"images": batch})))}
        for name, value in values.items():
            across = (0, *range(2, value.ndim))
            now = value.min(across, initial=0), value.max(across, initial=0)
            before = calibration.ranges.get(name, now)
            calibration.ranges[name] = np.minimum(before[0], now[0]), np.maximum(before[1], now[1])
        if len(calibration.batches) < _MEASURED_BATCHES:
            calibration.batches.append(batch)
            calibration.heads.append(session.run(heads, {"images": batch}))
    if not calibration.batches:
        raise CallError("no images to calibrate on")
    return calibration


def _session(model: Any, names: list) -> Any:
    """An onnxruntime session of a model that returns these tensors, too."""
    import onnx
    import onnxruntime

    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    there = {output.name for output in wider.graph.output}
    wider.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in there)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(wider.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _signal_to_noise(model: Any, heads: list, calibration: Calibration) -> list:
    """dB of each of the head outputs of a quantized model, against those of the float one."""
    session = _session(model, heads)
    outputs = [session.run(heads, {"images": batch}) for batch in calibration.batches]
    power = [sum(float(np.square(x[i]).sum()) for x in calibration.heads) for i in range(len(heads))]
    noise = [sum(float(np.square(x[i] - y[i]).sum()) for x, y in zip(outputs, calibration.heads)) for i in range(len(heads))]
    return [10 * float(np.log10(p / n)) if n else np.inf for p, n in zip(power, noise)]


def _quantize_nodes(folder: Path, nodes: list, calibration: Calibration) -> Any:
    """equalized.onnx in `folder` with these nodes in int8."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """One batch: the ranges of all of them are given, but the tool asks for a reader."""

        batches = iter([{"images": calibration.batches[0]}])

        def get_next(self):
            return next(self.batches, None)

    extremes = {name: (low.min(), high.max()) for name, (low, high) in calibration.ranges.items()}
    overrides = {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in extremes.items()}
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns about what is intended here
    try:
        quantize_static(
            str(folder / "equalized.onnx"), str(folder / "int8.onnx"), Reader(), QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=nodes,
            op_types_to_quantize=list(_OPERATORS), extra_options={"TensorQuantOverrides": overrides},
        )  # fmt: skip
    finally:
        logger.setLevel(level)
    return onnx.load(str(folder / "int8.onnx"))
