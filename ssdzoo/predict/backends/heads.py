"""The raw heads of a Detector's network, class logits and box offsets, whatever runs it."""

import numpy as np

from ssdzoo.predict.detector import MXNetBackend


def heads_of(detector):
    """A function from prepared images, (B, 3, H, W) float32 or what the Detector's backend takes, to logits (B, N, C + 1) and
    offsets (B, N, 4); or a str: why there is none."""
    backend = detector.backend
    if isinstance(backend, MXNetBackend):
        if not hasattr(backend._net, "heads"):
            return "an exported symbol in mxnet gives its detections alone"
        return _mxnet_heads(backend)
    path = getattr(backend, "path", None)
    if path is None:
        return f"a {type(backend).__name__} does not show its raw heads"
    from ssdzoo.predict.backends.onnx_model import OpenVINOBackend, read_metadata

    metadata = read_metadata(path)
    if not metadata["heads"]:
        return f"the metadata of {path} do not name its raw heads"
    if isinstance(backend, OpenVINOBackend):
        return _openvino_heads(backend, metadata)
    return _onnxruntime_heads(backend, metadata["heads"])


def _mxnet_heads(backend):
    def run(images):
        logits, offsets, _ = backend._net.head_outputs(backend._mx.nd.array(images, ctx=backend._context))
        return logits.asnumpy(), offsets.asnumpy()

    return run


def _onnxruntime_heads(backend, names: list):
    import onnx
    import onnxruntime

    model = onnx.load(str(backend.path))
    made = {name for node in model.graph.node for name in node.output}
    if not set(names) <= made:
        return f"{backend.path} has no tensors {', '.join(names)}, which its metadata name"
    model.graph.ClearField("output")
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=backend.providers)
    return lambda images: session.run(names, {"images": images})


def _openvino_heads(backend, metadata: dict):
    import openvino

    from ssdzoo.predict.backends.onnx_model import split_model

    core = openvino.Core()
    parts = split_model(openvino, core.read_model(str(backend.path)), metadata)
    if parts is None:
        return f"{backend.path} can't be cut at its raw heads"
    network = core.compile_model(parts[0], "CPU", {"INFERENCE_PRECISION_HINT": backend.precision})

    def run(images):
        found = network([images])
        return [np.array(found[i]) for i in range(2)]

    return run
