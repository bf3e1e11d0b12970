"""Exported ONNX models as backends of the Detector: onnxruntime and OpenVINO. Needs no mxnet."""

import importlib.util
import json
from pathlib import Path

import numpy as np

from ssdzoo.errors import CallError, ExportError, SSDZooError
from ssdzoo.machine import cores
from ssdzoo.preset import Preset

PRECISIONS = ("auto", "f32", "bf16")
MODES = ("latency", "throughput")
OUTPUTS = {"boxes", "scores", "class_ids", "logits", "offsets", "anchors"}


class OnnxRuntimeBackend:
    """Runs an ONNX model with onnxruntime: on a GPU through TensorRT or CUDA where that package is installed, else on the CPU.

    Args:
        path: a file of `to_onnx`.

    Raises:
        SSDZooError: onnxruntime is not installed.
        ExportError: not a model that it can run.
    """

    in_flight = 1

    def __init__(self, path):
        runtime = import_package("onnxruntime", "onnx")
        # The order of preference; the CPU comes last and is always there.
        wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [p for p in wanted if p in runtime.get_available_providers()]
        options = runtime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:
            raise ExportError(f"{path}: onnxruntime can't run it: {str(error).strip().splitlines()[0]}") from None
        self.path, self.providers = path, self._session.get_providers()
        quantized = self._session.get_modelmeta().custom_metadata_map.get("quantized", "")
        name = f"onnxruntime {runtime.__version__} {self.providers[0].removesuffix('ExecutionProvider')}"
        self.version = f"{name} {quantized}".strip()

    def run(self, images: np.ndarray) -> dict:
        """{output: array} of a batch."""
        names = [o.name for o in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {"images": images})))

    def __call__(self, images: np.ndarray) -> tuple:
        return _in_order(self.run(images))


class OpenVINOBackend:
    """Runs an ONNX model with OpenVINO on the CPU.

    With bf16 the network runs in bf16 and the detection (softmax, decoding, suppression) in float32, because bf16 would round
    boxes to whole pixels.

    Args:
        path: a file of `to_onnx`.
        precision: "f32"; "bf16"; or "auto", which is bf16 where the processor has it and f32 elsewhere. A model of free height
            and width runs in f32.
        mode: "latency", one batch at a time with all cores; or "throughput", several at once.

    Raises:
        SSDZooError: openvino is not installed.
        ExportError: not a model that it can run.
        CallError: an unknown precision or mode, or bf16 on a processor without it.
    """

    def __init__(self, path, precision: str = "auto", mode: str = "latency"):
        check_choices(precision, mode)
        openvino = import_package("openvino", "openvino")
        core = openvino.Core()
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise CallError("precision bf16: this processor does not have it (AVX512-BF16 or AMX); use f32 or auto")
        self.precision = ("bf16" if has_bf16 else "f32") if precision == "auto" else precision
        try:
            parts = [core.read_model(str(path))]
            int8 = any(node.get_type_name() == "FakeQuantize" for node in parts[0].get_ops())
            if self.precision == "bf16":
                parts = split_model(openvino, parts[0], read_metadata(path)) or parts
                self.precision = "bf16" if len(parts) == 2 else "f32"
            kinds = [self.precision, "f32"]
            self._parts = [
                core.compile_model(part, "CPU", {"PERFORMANCE_HINT": mode.upper(), "INFERENCE_PRECISION_HINT": kind})
                for part, kind in zip(parts, kinds)
            ]
        except RuntimeError as error:
            raise ExportError(f"{path}: OpenVINO can't run it: {_reason(error)}") from None
        self.path = path
        self.in_flight = self._parts[0].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if mode == "throughput" else 1
        self._free = [[part.create_infer_request() for part in self._parts] for _ in range(self.in_flight)]
        self._names = [next(iter(OUTPUTS & output.names), output.get_any_name()) for output in self._parts[-1].outputs]
        self.version = f"openvino {openvino.__version__.split('-')[0]} {'int8' if int8 else self.precision} {mode}"

    def run(self, images: np.ndarray) -> dict:
        """{output: array} of a batch; up to `in_flight` threads may call it at once."""
        requests = self._free.pop()
        try:
            given = [images]
            for request in requests:
                results = request.infer(given)
                given = [np.array(results[i]) for i in range(len(results))]
            return dict(zip(self._names, given))
        finally:
            self._free.append(requests)

    def __call__(self, images: np.ndarray) -> tuple:
        return _in_order(self.run(images))


def check_choices(precision: str, mode: str) -> None:
    """Raises CallError for a precision or a mode that OpenVINO does not have here."""
    if precision not in PRECISIONS or mode not in MODES:
        wrong = f"precision {precision!r}" if precision not in PRECISIONS else f"mode {mode!r}"
        raise CallError(f"no {wrong}; precisions are {', '.join(PRECISIONS)}, modes {' and '.join(MODES)}")


def split_model(openvino, model, metadata: dict):
    """An OpenVINO model as two, the network up to its raw heads and the detection from there on; None where the second would
    need the images too."""
    if not metadata.get("heads") or not metadata["size"]:
        return None
    tensors = {name: output for node in model.get_ops() for output in node.outputs() for name in output.names}
    heads = [tensors[name] for name in metadata["heads"]]
    network = openvino.Model([openvino.opset13.result(head) for head in heads], model.get_parameters(), "network")
    entries = []
    for head in heads:
        entry = openvino.opset13.parameter(head.partial_shape, head.element_type)
        users = [t for t in head.get_target_inputs() if t.get_node().get_type_name() != "Result"]
        for user in users:
            user.replace_source_output(entry.output(0))
        entries.append(entry)
    return [network, openvino.Model(model.get_results(), entries, "detection")]


def read_metadata(path) -> dict:
    """What `to_onnx` wrote into a model about itself: classes, mean, std, size, nms, preset, raw, preprocess.

    Raises:
        ExportError: no ONNX file, or one that `to_onnx` did not write.
    """
    onnx = import_package("onnx", "onnx")
    if not Path(path).is_file():
        raise ExportError(f"{path}: no such ONNX file")
    try:
        model = onnx.load(str(path))
        values = {p.key: p.value for p in model.metadata_props}
        return {"preset": values["preset"], **{k: json.loads(values[k]) for k in _FIELDS}}
    except (KeyError, ValueError) as error:
        raise ExportError(f"{path}: not a model of `ssdzoo export --format onnx`: its metadata has no {error}") from None
    except Exception as error:  # protobuf's own, which is no subclass of anything useful
        raise ExportError(f"{path}: not an ONNX file ({str(error).strip().splitlines()[0]})") from None


_FIELDS = ("classes", "mean", "std", "size", "nms", "raw", "preprocess", "heads")


def read_onnx_preset(path) -> tuple:
    """The Preset (input size, classes, mean, std, limits) of an exported model, and whether it takes uint8 pixels.

    Raises:
        ExportError: not a model with detections and a known input size.
    """
    found = read_metadata(path)
    if found["raw"]:
        raise ExportError(f"{path}: gives raw heads; export the model without --raw to find objects with it")
    if not found["size"]:
        raise ExportError(f"{path}: does not say for which input size it was made; export it with a sidecar (base_size) again")
    nms = found["nms"]
    preset = Preset(
        name=found["preset"] or Path(path).stem, backbone="onnx", base_size=tuple(found["size"]), sizes=(), ratios=(),
        classes=tuple(found["classes"]), mean=tuple(found["mean"]), std=tuple(found["std"]),
        nms_thresh=nms["thresh"], nms_topk=nms["topk"], post_nms=nms["post"],
    )  # fmt: skip
    return preset, found["preprocess"]


def _in_order(outputs: dict) -> tuple:
    """What a Detector takes: class ids (B, K, 1), scores (B, K, 1), boxes (B, K, 4)."""
    return outputs["class_ids"][..., None], outputs["scores"][..., None], outputs["boxes"]


def import_package(name: str, extra: str):
    """A package that an extra of ssdzoo brings.

    Raises:
        SSDZooError: it can't be imported; says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SSDZooError(f"the package {name} is not installed ({error}): pip install 'ssdzoo[{extra}]'") from None


def _reason(error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
