"""onnxruntime as a backend."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import ExportError
from ssdzoo.machine import cores, import_package
from ssdzoo.predict.backends.onnx_outputs import detections_of, first_line, head_names
from ssdzoo.predict.backends.protocol import HeadOutputs, NoHeadOutputs, run_error
from ssdzoo.quote import short

# Microseconds that threads spin while they wait for each other. onnxruntime's own limit is longer than most layers take, so that
# beside other programs its threads take the time of the very thread that they wait for.
_SPIN_DURATION = "50"
# In the order of preference; the CPU comes last and is always there.
PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxRuntimeBackend:
    """Runs an ONNX file of `to_onnx`: on a GPU through TensorRT or CUDA where that package is installed, else on the CPU; see
    `protocol.Backend`.

    Args:
        path: the file.
        providers: of onnxruntime, in the order of preference, each a name or (name, options); those that the package lacks are
            left out.

    Raises:
        SSDZooError: onnxruntime is not installed.
        ExportError: not a model that it can run.
    """

    in_flight = 1

    def __init__(self, path: str | Path, providers: Sequence[str | tuple[str, dict]] = PROVIDERS):
        self.file, self._providers = Path(path), providers
        self._onnxruntime = import_package("onnxruntime", "onnx")
        self._session = self._open(str(path))
        try:
            quantized = self._session.get_modelmeta().custom_metadata_map.get("quantized", "")
        except UnicodeDecodeError as error:
            raise self._failed(error) from None
        self.takes_pixels = self._session.get_inputs()[0].type == "tensor(uint8)"
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.on_gpu = provider != "CPU"
        self.runtime = f"onnxruntime {self._onnxruntime.__version__} {provider} {quantized}".strip()

    def _open(self, model):
        """A session of a path, or of the bytes of a file."""
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_DURATION)
        options.log_severity_level = 4  # what it says of an error is in the exception too
        there = self._onnxruntime.get_available_providers()
        providers = [p for p in self._providers if (p if isinstance(p, str) else p[0]) in there]
        try:
            return self._onnxruntime.InferenceSession(model, options, providers=providers)
        except Exception as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> ExportError:
        return run_error(f"{self.file}: onnxruntime can't run it: {short(first_line(error), 300)}")

    def _run(self, session: Any, names: list, images: np.ndarray) -> list:
        try:
            return session.run(names, {"images": images})
        except Exception as error:  # of several types, which share no base
            raise self._failed(error) from None

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """{output: array} of a batch."""
        names = [o.name for o in self._session.get_outputs()]
        return dict(zip(names, self._run(self._session, names, images)))

    def __call__(self, images: np.ndarray) -> tuple:
        return detections_of(self.run(images))

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        session, names = self._heads
        return HeadOutputs(*self._run(session, names, images))

    @cached_property
    def _heads(self) -> tuple:
        """A session that ends at the head outputs, and their names."""
        import onnx

        names = head_names(self.file)
        try:
            model = onnx.load(str(self.file))
        except Exception as error:  # protobuf's own
            raise self._failed(error) from None
        if not set(names) <= {name for node in model.graph.node for name in node.output}:
            raise NoHeadOutputs(f"{self.file} has no tensors {', '.join(names)}, which its metadata name")
        model.graph.ClearField("output")
        for name in names:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        return self._open(model.SerializeToString()), names
