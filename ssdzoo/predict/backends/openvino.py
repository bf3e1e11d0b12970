"""OpenVINO as a backend."""

from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ssdzoo.errors import CallError, ExportError
from ssdzoo.formats.onnx_metadata import read_metadata
from ssdzoo.machine import cores, import_package, kept_signal_stack
from ssdzoo.predict.backends.onnx_outputs import detections_of, head_names
from ssdzoo.predict.backends.protocol import HeadOutputs, NoHeadOutputs
from ssdzoo.quote import short

_OUTPUTS = {"boxes", "scores", "class_ids", "logits", "offsets", "anchors"}


class OpenVINOBackend:
    """Runs an ONNX file of `to_onnx` on the CPU; see `protocol.Backend`.

    With bf16 the network runs in bf16, and softmax, decoding and NMS in float32, because bf16 would round boxes to whole
    pixels.

    Args:
        path: the file.
        precision: "f32"; "bf16"; or "auto", which is bf16 where the processor has it and f32 elsewhere.
        mode: "latency", one batch at a time with all cores; or "throughput", several at once.

    Raises:
        SSDZooError: openvino is not installed.
        ExportError: not a model that it can run.
        CallError: bf16 on a processor without it.
    """

    on_gpu = False

    def __init__(self, path: str | Path, precision: str = "auto", mode: str = "latency"):
        self.file = Path(path)
        self._openvino = import_package("openvino", "openvino")
        # Its first look at a numpy array sets up what all later ones need. Two threads that both look first wait for ever.
        self._openvino.Tensor(np.zeros(1, np.float32))
        self._core = self._openvino.Core()
        self.precision = self._choose(precision)
        try:
            parts = [self._core.read_model(str(path))]
            int8 = any(node.get_type_name() == "FakeQuantize" for node in parts[0].get_ops())
            if self.precision == "bf16":
                parts = split_model(self._openvino, parts[0], read_metadata(path)) or parts
                self.precision = "bf16" if len(parts) == 2 else "f32"
            self._parts = [self._compile(part, kind, mode) for part, kind in zip(parts, (self.precision, "f32"))]
        except RuntimeError as error:
            raise ExportError(f"{path}: OpenVINO can't run it: {_reason(error)}") from None
        self.takes_pixels = self._parts[0].inputs[0].get_element_type() == self._openvino.Type.u8
        self.in_flight = self._parts[0].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if mode == "throughput" else 1
        self._free = [[part.create_infer_request() for part in self._parts] for _ in range(self.in_flight)]
        self._names = [next(iter(_OUTPUTS & output.names), output.get_any_name()) for output in self._parts[-1].outputs]
        self.runtime = f"openvino {self._openvino.__version__.split('-')[0]} {'int8' if int8 else self.precision} {mode}"

    def _choose(self, precision: str) -> str:
        with kept_signal_stack():
            has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise CallError("precision bf16: this processor does not have it (AVX512-BF16 or AMX); use f32 or auto")
        return ("bf16" if has_bf16 else "f32") if precision == "auto" else precision

    def _compile(self, model: Any, precision: str, mode: str = "latency") -> Any:
        hints: dict[str, Any] = {"PERFORMANCE_HINT": mode.upper(), "INFERENCE_PRECISION_HINT": precision}
        # It knows the cores that it may run on, but not the quota of a container. And it would pin its threads to the first
        # cores, in each process to the same ones, where they wait for each other while other cores are idle.
        hints |= {"INFERENCE_NUM_THREADS": cores(), "ENABLE_CPU_PINNING": False}
        with kept_signal_stack():
            return self._core.compile_model(model, "CPU", hints)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """{output: array} of a batch; up to `in_flight` threads may call it at once."""
        taken = self._parts[0].inputs[0].partial_shape
        if not taken.compatible(self._openvino.PartialShape(list(images.shape))):  # OpenVINO would run it, and find nothing
            raise ExportError(f"{self.file}: it takes images of shape {taken}, not {list(images.shape)}")
        requests = self._free.pop()
        try:
            given = [images]
            try:
                for request in requests:
                    results = request.infer(given)
                    given = [np.array(results[i]) for i in range(len(results))]
            except RuntimeError as error:
                raise ExportError(f"{self.file}: OpenVINO can't run it: {_reason(error)}") from None
            return dict(zip(self._names, given))
        finally:
            self._free.append(requests)

    def __call__(self, images: np.ndarray) -> tuple:
        return detections_of(self.run(images))

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        found = self._network([images])
        return HeadOutputs(*(np.array(found[i]) for i in range(2)))

    @cached_property
    def _network(self):
        """The model up to its head outputs."""
        head_names(self.file)
        parts = split_model(self._openvino, self._core.read_model(str(self.file)), read_metadata(self.file))
        if parts is None:
            raise NoHeadOutputs(f"{self.file} can't be cut at its head outputs")
        return self._compile(parts[0], self.precision)


def split_model(openvino: ModuleType, model: Any, metadata: dict) -> list | None:
    """An OpenVINO model as two: the network up to its head outputs, and the detection from there on. None where the second
    would need the images too.

    Where height and width are free, the anchors depend on the sizes of feature maps. The network then gives these sizes after its
    head outputs, and the detection takes them: they are integers, which no precision rounds.

    Args:
        openvino: the package.
        model: an openvino.Model; it is changed.
        metadata: of `read_metadata`.
    """
    tensors = {name: output for node in model.get_ops() for output in node.outputs() for name in output.names}
    if not metadata.get("heads") or not set(metadata["heads"]) <= tensors.keys():
        return None
    borders = _borders(model, [tensors[name] for name in metadata["heads"]])
    if borders is None:
        return None
    results = [openvino.opset13.result(value) for value, _ in borders]
    # A copy, because what is computed of a shape may be used on both sides of the cut.
    network = openvino.Model(results, model.get_parameters(), "network").clone()
    entries = []
    for value, users in borders:
        entry = openvino.opset13.parameter(value.partial_shape, value.element_type)
        for user in users:
            user.replace_source_output(entry.output(0))
        entries.append(entry)
    return [network, openvino.Model(model.get_results(), entries, "detection")]


def _borders(model: Any, heads: list) -> list | None:
    """What the detection takes of the network, with the inputs of its nodes that take it: the head outputs, and shapes. None
    where it needs the images themselves.

    Args:
        model: an openvino.Model.
        heads: the values of its head outputs.
    """
    taken: dict = {_key(head): (head, []) for head in heads}
    nodes, of_images, behind = model.get_ordered_ops(), set(), set()
    for node in nodes:
        sources = [_key(taker.get_source_output()) for taker in node.inputs()]
        if any(source in taken or source[0] in behind for source in sources):
            behind.add(node.get_name())
        elif node.get_type_name() == "Parameter" or any(source[0] in of_images for source in sources):
            of_images.add(node.get_name())
    needed = {result.get_name() for result in model.get_results()}
    for node in reversed(nodes):
        if node.get_name() not in needed:
            continue
        if node.get_type_name() == "Parameter":
            return None
        for taker in node.inputs():
            value = taker.get_source_output()
            source, key = value.get_node(), _key(value)
            if source.get_type_name() == "ShapeOf" and source.get_name() in of_images:
                taken.setdefault(key, (value, []))
            if key in taken:
                taken[key][1].append(taker)
            else:
                needed.add(source.get_name())
    return list(taken.values())


def _key(value: Any) -> tuple:
    """What names an output of a node in its model."""
    return value.get_node().get_name(), value.get_index()


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return short(lines[-1] if lines else type(error).__name__, 300)
