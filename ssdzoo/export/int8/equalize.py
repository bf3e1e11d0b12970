"""Cross-layer equalization of an ONNX network before it is quantized: the same function, with a smaller quantization error.

Where a convolution feeds convolutions through ReLU and pooling alone, its output channel i may be divided by any s_i > 0 if the
kernels that read it are multiplied by s_i (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.1). A tensor has one scale, which fits all of its channels when their dynamic ranges are equal.
"""

from typing import Any

import numpy as np

_HOMOGENEOUS = {"Relu", "MaxPool", "AveragePool"}  # f(a x) = a f(x) for a > 0
_BALANCE = 0.7  # weight of activations against kernels, 0 to 1; the best of 0.5, 0.7, 0.85 and 1 on a mobilenet
_MINIMUM_RANGE = 1e-3  # of a channel, relative to the largest; a channel that is never active would get an endless scale


def equalize(model: Any, ranges: dict) -> int:
    """Rescales the channels of an onnx.ModelProto in place; returns the number of convolutions whose output was rescaled.

    Args:
        model: its batch normalizations are folded into the convolutions.
        ranges: {tensor: (minimum, maximum)}, each (C,), of the channels of each convolution's output and of what follows. They
            are rescaled too.
    """
    import onnx

    graph = model.graph
    arrays = {i.name: i for i in graph.initializer}
    readers = _readers(graph)
    weights = {name: onnx.numpy_helper.to_array(arrays[name]).astype(np.float64) for name in _parameters(graph, arrays)}
    uses = [name for node in graph.node for name in node.input]
    done = 0
    for node in (n for n in graph.node if n.op_type == "Conv"):
        found = _following(node.output[0], readers, {o.name for o in graph.output})
        if found is None:
            continue
        readers_of, tensors = found
        # Arrays that several convolutions share can't be scaled for one of them.
        own = all(uses.count(name) == 1 for n in (node, *readers_of) for name in n.input[1:])
        if not own or not all(_scalable(n, weights) for n in readers_of):
            continue
        scales = _scales(ranges[tensors[-1]], readers_of, weights)
        for name in node.input[1:]:
            weights[name] /= scales.reshape(-1, *[1] * (weights[name].ndim - 1))
        for reader in readers_of:
            weights[reader.input[1]] *= scales.reshape((-1, 1, 1, 1) if _is_depthwise(reader, weights) else (1, -1, 1, 1))
        for tensor in (t for t in tensors if t in ranges):
            ranges[tensor] = tuple(limit / scales for limit in ranges[tensor])
        done += 1
    for name, array in weights.items():
        arrays[name].CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    return done


def _readers(graph: Any) -> dict:
    readers: dict = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _parameters(graph: Any, arrays: dict) -> set:
    return {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:] if name in arrays}


def _following(tensor: str, readers: dict, outputs: set) -> tuple | None:
    """(convolutions that read a tensor through homogeneous operators, the tensors on the way); None where anything else does."""
    nodes = readers.get(tensor, [])
    if tensor in outputs or not nodes:
        return None
    convolutions, tensors = [], [tensor]
    for node in nodes:
        if node.op_type == "Conv" and node.input[0] == tensor:
            convolutions.append(node)
        elif node.op_type in _HOMOGENEOUS:
            found = _following(node.output[0], readers, outputs)
            if found is None:
                return None
            convolutions += found[0]
            tensors += found[1]
        else:
            return None
    return convolutions, tensors


def _is_depthwise(node: Any, weights: dict) -> bool:
    return weights[node.input[1]].shape[1] == 1 and _groups(node) > 1


def _groups(node: Any) -> int:
    return next((a.i for a in node.attribute if a.name == "group"), 1)


def _scalable(node: Any, weights: dict) -> bool:
    """Whether a convolution's input channels can be scaled one by one: it is not grouped, or depthwise."""
    kernel = weights.get(node.input[1])
    return kernel is not None and _groups(node) in (1, kernel.shape[0])


def _scales(limits: tuple, readers: list, weights: dict) -> np.ndarray:
    """(C,) what to divide the channels of a tensor by.

    Where depthwise convolutions alone read the tensor, whose kernels have a scale for each channel, its ranges become equal.
    Kernels of other readers would become large where the ranges were large; then the scales are between both.
    """
    reach = np.maximum(*np.abs(limits)).astype(np.float64)
    reach = np.maximum(reach, max(reach.max() * _MINIMUM_RANGE, np.finfo(np.float32).tiny))
    kernels = [np.abs(weights[n.input[1]]) for n in readers if not _is_depthwise(n, weights)]
    if not kernels:
        return reach / reach.max()
    largest = [k / np.maximum(k.max((1, 2, 3), keepdims=True), np.finfo(np.float32).tiny) for k in kernels]
    need = np.maximum(np.max([k.max((0, 2, 3)) for k in largest], axis=0), _MINIMUM_RANGE)
    return reach**_BALANCE / need ** (1 - _BALANCE)
