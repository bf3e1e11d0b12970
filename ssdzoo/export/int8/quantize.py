"""An int8 copy of an ONNX model of `to_onnx`, calibrated on images. Needs onnx and onnxruntime, no mxnet."""

import logging
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.errors import CallError, ExportError
from ssdzoo.export.int8.equalize import equalize
from ssdzoo.files import replacing

# What runs in int8; everything else between them stays in float.
_OPERATORS = ("Conv", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add")
_LARGEST = 2**30  # bytes: protobuf's limit is twice that, and a copy with the quantized weights comes beside
_FLOAT_FIRST = (0, 1, 3, 5, 7, 9, 13)  # convolutions, as tried one after the other
ENOUGH = 35.0  # dB of the class logits: mAP of a mobilenet0.25 on bccd moved by 0.011 at 32 dB, by 0.003 at 35 and more
_MEASURED_ON = 8  # images


def quantize_onnx(path, out, batches, float_first: int | None = None) -> dict:
    """Writes a model whose network, up to its raw heads, runs in int8: QuantizeLinear and DequantizeLinear around each operator,
    weights int8 with a scale for each output channel, activations uint8 between the least and the largest value seen.

    Channels are equalized before (`ssdzoo.export.int8.equalize`). The first convolutions, which see few channels of large images,
    carry most of the error and can stay in float. Softmax, decoding and suppression do. The metadata are kept, and `quantized` =
    "int8" is added.

    Args:
        path: a file of `to_onnx` with detections.
        batches: iterable of what the model takes, (B, 3, H, W) float32 or (B, H, W, 3) uint8, for the calibration.
        float_first: how many convolutions at least stay in float, from the image on (see `beginning`); None: as few as keep the
            signal-to-noise ratio of the class logits, on some of `batches`, at 35 dB, of about 13 at most.

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
        seen = _observe(plain, network, heads, batches)
        equalize(plain, seen.ranges)
        places = _places(network, float_first)
        onnx.save_model(plain, f"{folder}/equalized.onnx")
        best = _best(Path(folder), network, places, heads, seen)
    quantized = best.model
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(source.metadata_props)
    quantized.metadata_props.add(key="quantized", value="int8")
    quantized.doc_string, quantized.ir_version = source.doc_string, source.ir_version
    onnx.checker.check_model(quantized, full_check=True)
    with replacing(out) as temporary:
        onnx.save_model(quantized, str(temporary))
    count, kept = _convolutions(network), _convolutions(network[: best.begin])
    return {"convolutions": count, "float": kept, "logits_db": round(best.logits_db, 1), "offsets_db": round(best.offsets_db, 1)}


class Seen(NamedTuple):
    """What a float model showed on the images of the calibration.

    Attributes:
        ranges: {tensor: (least, largest)}, arrays with a value for each channel, zero always between them.
        batches: the first batches, as the model takes them.
        heads: the raw heads of these, a list of arrays each.
    """

    ranges: dict
    batches: list
    heads: list


class Candidate(NamedTuple):
    """An int8 model: where in the network int8 begins, and the signal-to-noise ratio of its raw heads in dB."""

    begin: int
    model: object
    logits_db: float
    offsets_db: float


def _read(path) -> tuple:
    """The ONNX model of a file, and the names of its raw heads."""
    from ssdzoo.formats.onnx_metadata import import_package, read_metadata

    onnx = import_package("onnx", "onnx")
    import_package("onnxruntime", "onnx")
    heads = read_metadata(path)["heads"]
    if not heads:
        raise ExportError(f"{path}: its metadata don't name the raw heads, at which int8 must end; export it again without --raw")
    if Path(path).stat().st_size > _LARGEST:
        raise ExportError(f"{path}: models of more than 1 GB are not quantized")
    source = onnx.load(str(path))
    if any(node.op_type == "QuantizeLinear" for node in source.graph.node):
        raise CallError(f"{path}: is quantized already; name the float model")
    return source, heads


def _places(network: list, float_first: int | None) -> list:
    """Where int8 may begin, the largest part in int8 first."""
    wanted = _FLOAT_FIRST if float_first is None else (float_first,)
    places = sorted({beginning(network, count) for count in wanted} - {len(network)})
    if not places:
        count = _convolutions(network)
        raise CallError(f"nothing would be in int8 behind {min(wanted)} convolutions in float: the model has {count}")
    return places


def _best(folder: Path, network: list, places: list, heads: list, seen: Seen) -> Candidate:
    """The first candidate that is good enough, else the best of all; `folder` holds equalized.onnx."""
    candidates = []
    for begin in places:
        model = _quantized(folder, [node.name for node in network[begin:]], seen)
        candidates.append(Candidate(begin, model, *_signal_to_noise(model, heads, seen)))
        if candidates[-1].logits_db >= ENOUGH:
            break
    return max(candidates, key=lambda candidate: candidate.logits_db)


def _convolutions(nodes: list) -> int:
    return sum(node.op_type == "Conv" for node in nodes)


def beginning(network: list, count: int) -> int:
    """Where in the network int8 begins, when at least `count` convolutions before stay in float.

    That is a place where everything that goes on is read by int8 alone. Where a tensor is read in float too, as at the start of
    a residual block, onnxruntime's optimizer changes the answer: a resnet50 had 14 dB, 26 dB without its optimization.
    """
    places = [i for i, node in enumerate(network) if node.op_type == "Conv"][count:]
    for place in places:
        before, after = ({name for node in part for name in node.input} for part in (network[:place], network[place:]))
        written = {name for node in network[:place] for name in node.output}
        if not written & before & after:
            return place
    return len(network)


def nodes_before(model, names: list) -> list:
    """The nodes that compute tensors, in the order of the graph."""
    wanted, found = set(names), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _prepared(path, prepared: Path, heads: list):
    """The model with its batch normalizations folded into the convolutions, and the shapes of its tensors."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    lost = set(heads) - {name for node in model.graph.node for name in node.output}
    if lost:
        raise ExportError(
            f"{path}: its raw head {min(lost)!r} is gone after onnxruntime's optimization; its version does not fit"
        )
    return model


def _observe(model, network: list, heads: list, batches) -> Seen:
    """What the nodes of the network read and write on all batches."""
    fixed = {i.name for i in model.graph.initializer} | {i.name for i in model.graph.input}
    tensors = sorted({name for node in network for name in (*node.input, *node.output)} - fixed - {""})
    session, seen = _session(model, [*tensors, *heads]), Seen({}, [], [])
    for batch in batches:
        values = {"images": batch, **dict(zip(tensors, session.run(tensors, {"images": batch})))}
        for name, value in values.items():
            across = (0, *range(2, value.ndim))
            now = value.min(across, initial=0), value.max(across, initial=0)
            before = seen.ranges.get(name, now)
            seen.ranges[name] = np.minimum(before[0], now[0]), np.maximum(before[1], now[1])
        if len(seen.batches) < _MEASURED_ON:
            seen.batches.append(batch)
            seen.heads.append(session.run(heads, {"images": batch}))
    if not seen.batches:
        raise CallError("no images to calibrate on")
    return seen


def _session(model, names: list):
    """Runs a model that gives these tensors, too."""
    import onnx
    import onnxruntime

    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    there = {output.name for output in wider.graph.output}
    wider.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in there)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(wider.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _signal_to_noise(model, heads: list, seen: Seen) -> list:
    """dB of each of the raw heads of a quantized model, against those of the float one."""
    session = _session(model, heads)
    outputs = [session.run(heads, {"images": batch}) for batch in seen.batches]
    power = [sum(float(np.square(x[i]).sum()) for x in seen.heads) for i in range(len(heads))]
    noise = [sum(float(np.square(x[i] - y[i]).sum()) for x, y in zip(outputs, seen.heads)) for i in range(len(heads))]
    return [10 * float(np.log10(p / n)) if n else np.inf for p, n in zip(power, noise)]


def _quantized(folder: Path, nodes: list, seen: Seen):
    """equalized.onnx in `folder` with these nodes in int8."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """One batch: the ranges of all of them are given, but the tool insists on its own look."""

        batches = iter([{"images": seen.batches[0]}])

        def get_next(self):
            return next(self.batches, None)

    extremes = {name: (low.min(), high.max()) for name, (low, high) in seen.ranges.items()}
    overrides = {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in extremes.items()}
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of what is done here on purpose
    try:
        quantize_static(
            str(folder / "equalized.onnx"), str(folder / "int8.onnx"), Reader(), QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=nodes,
            op_types_to_quantize=list(_OPERATORS), extra_options={"TensorQuantOverrides": overrides},
        )  # fmt: skip
    finally:
        logger.setLevel(level)
    return onnx.load(str(folder / "int8.onnx"))
