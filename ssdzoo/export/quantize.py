"""An int8 copy of an ONNX model of `to_onnx`, calibrated on images. Needs onnx and onnxruntime, no mxnet."""

import logging
import tempfile
from pathlib import Path

from ssdzoo.errors import CallError, ExportError
from ssdzoo.files import replacing

# What onnxruntime computes in int8; everything else between them stays in float.
_OPERATORS = ("Conv", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add")
_LARGEST = 2**31  # bytes of a file of protobuf


def quantize_onnx(path, out, batches, float_first: bool = False, float_heads: bool = False) -> dict:
    """Writes a model whose network, up to its raw heads, runs in int8: QuantizeLinear and DequantizeLinear around each operator,
    weights int8 with a scale for each channel, activations uint8 between the least and the largest value seen. Both use 7 bits,
    because processors without VNNI add two products of 8 bits in 16, and cut off what does not fit.

    Softmax, decoding and suppression stay in float32. The metadata are kept, and `quantized` = "int8" is added.

    Args:
        path: a file of `to_onnx` with detections.
        batches: iterable of what the model takes, (B, 3, H, W) float32 or (B, H, W, 3) uint8, for the calibration.
        float_first: leaves the first convolution in float.
        float_heads: leaves the convolutions of the heads in float.

    Returns:
        {"quantized", "convolutions"}: how many convolutions run in int8, and how many there are.

    Raises:
        CallError: a model that is quantized already; no images.
        ExportError: not such a model.
    """
    from ssdzoo.predict.onnx_model import _package, read_metadata

    onnx = _package("onnx", "onnx")
    _package("onnxruntime", "onnx")
    metadata = read_metadata(path)
    if not metadata["heads"]:
        raise ExportError(f"{path}: its metadata don't name the raw heads, at which int8 must end; export it again without --raw")
    if Path(path).stat().st_size > _LARGEST // 2:
        raise ExportError(f"{path}: models of more than 1 GB are not quantized")
    source = onnx.load(str(path))
    if any(node.op_type == "QuantizeLinear" for node in source.graph.node):
        raise CallError(f"{path}: is quantized already; name the float model")
    with tempfile.TemporaryDirectory() as folder:
        plain = _prepared(onnx, path, Path(folder) / "prepared.onnx", metadata["heads"])
        network = _before(plain, metadata["heads"])
        convolutions = [node.name for node in network if node.op_type == "Conv"]
        kept = {convolutions[0]} if float_first else set()
        kept |= _head_convolutions(plain, network, metadata["heads"]) if float_heads else set()
        chosen = [node.name for node in network if node.op_type in _OPERATORS and node.name not in kept]
        quantized = _quantized(Path(folder), chosen, batches)
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(source.metadata_props)
    quantized.metadata_props.add(key="quantized", value="int8")
    quantized.doc_string, quantized.ir_version = source.doc_string, source.ir_version
    onnx.checker.check_model(quantized, full_check=True)
    with replacing(out) as temporary:
        onnx.save_model(quantized, str(temporary))
    return {"quantized": len(set(convolutions) - kept), "convolutions": len(convolutions)}


def _prepared(onnx, path, prepared: Path, heads: list):
    """The model with its batch normalizations folded into the convolutions; it is written to `prepared` too."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    lost = set(heads) - {name for node in model.graph.node for name in node.output}
    if lost:
        raise ExportError(
            f"{path}: its raw head {min(lost)!r} is gone after onnxruntime's optimization; its version does not fit"
        )
    return model


def _before(model, names: list) -> list:
    """The nodes that compute tensors, in the order of the graph."""
    wanted, found = set(names), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _head_convolutions(model, network: list, heads: list) -> set:
    """Names of the convolutions from whose output no other convolution is reached."""
    feeding, last = set(), set()
    for node in reversed(network):
        reaches = any(name in feeding for name in node.output)
        if node.op_type == "Conv" and not reaches:
            last.add(node.name)
        if node.op_type == "Conv" or reaches:
            feeding |= set(node.input)
    return last


def _quantized(folder: Path, nodes: list, batches):
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches, self.count = iter(batches), 0

        def get_next(self):
            batch = next(self.batches, None)
            self.count += batch is not None
            return None if batch is None else {"images": batch}

    reader, logger = Reader(), logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of what is done here on purpose
    try:
        quantize_static(
            str(folder / "prepared.onnx"), str(folder / "int8.onnx"), reader, QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=nodes,
            op_types_to_quantize=list(_OPERATORS), reduce_range=True,
        )  # fmt: skip
    except ValueError:
        if reader.count:
            raise
        raise CallError("no images to calibrate on") from None
    finally:
        logger.setLevel(level)
    return onnx.load(str(folder / "int8.onnx"))
