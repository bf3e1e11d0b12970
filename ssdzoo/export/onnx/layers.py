"""Layers with weights, pooling, activations and normalizations: MXNet's operators as ONNX's."""

import numpy as np

from ssdzoo.export.attributes import (
    batch_norm_eps,
    l2_axes,
    output_padding,
    pad_widths,
    pool,
    softmax_output_axis,
    upsampling_scale,
    window,
)
from ssdzoo.export.onnx.builder import Value
from ssdzoo.export.onnx.operator import OperatorCall, translates


@translates("Convolution", "Convolution_v1")
def convolution(call: OperatorCall) -> Value:
    return call.g.add("Conv", *call.inputs, **_convolution(call))


@translates("Deconvolution")
def deconvolution(call: OperatorCall) -> Value:
    common = _convolution(call)
    return call.g.add("ConvTranspose", *call.inputs, output_padding=output_padding(call), **common)


def _convolution(call: OperatorCall) -> dict:
    w = window(call)
    return dict(kernel_shape=w.kernel, strides=w.strides, pads=w.pads * 2, group=call.node.get("num_group", 1),
                dilations=w.dilations)  # fmt: skip


@translates("FullyConnected")
def fully_connected(call: OperatorCall) -> Value:
    x, weight, *bias = call.inputs
    if call.node.flag("flatten", True):
        return call.g.add("Gemm", call.g.add("Flatten", x, axis=1), weight, *bias, transB=1)
    y = call.g.add("MatMul", x, call.g.add("Transpose", weight, perm=[1, 0]))
    return call.g.add("Add", y, *bias) if bias else y


@translates("BatchNorm", "BatchNorm_v1")
def batch_norm(call: OperatorCall) -> Value:
    x, gamma, beta, mean, var = call.inputs
    eps = batch_norm_eps(call)
    if call.node.flag("fix_gamma", True):
        call.need(gamma.array is not None, "its gamma is no parameter")
        gamma = call.g.constant(np.ones_like(gamma.array))
    return call.g.add("BatchNormalization", x, gamma, beta, mean, var, epsilon=eps)


@translates("Pooling", "Pooling_v1")
def pooling(call: OperatorCall) -> Value:
    p = pool(call, [] if call.node.flag("global_pool") else call.x.dims[2:])
    if p.window is None:
        return call.g.add("GlobalMaxPool" if p.kind == "max" else "GlobalAveragePool", call.x)
    w, x, pads = p.window, call.x, list(p.window.pads)
    if p.kind == "avg" and p.count_padding and any(pads):
        # Padded before: onnxruntime 1.23 and older divide by other counts with count_include_pad. From opset 19 on they leave out
        # the padding at the end; before it they count what a last window has beyond the padding, even if the Pad stands alone,
        # because they merge the two.
        sides = zip(x.dims[2:], w.kernel, w.strides, pads)
        cut = p.full and any(s > 1 and (not isinstance(n, int) or (n + 2 * pad - k) % s) for n, k, s, pad in sides)
        call.need(call.g.opset >= 19 or not cut, "an average over padding and a part of a window; export with opset=19 or newer")
        x, pads = call.g.add("Pad", x, [0, 0, *pads] * 2, np.array(0, np.float32), mode="constant"), [0] * len(pads)
    op = "MaxPool" if p.kind == "max" else "AveragePool"
    return call.g.add(op, x, kernel_shape=w.kernel, strides=w.strides, pads=pads * 2, ceil_mode=int(p.full))


@translates("Pad", "pad")
def pad(call: OperatorCall) -> Value:
    """MXNet gives (begin, end) of each axis, ONNX first all begins."""
    mode, widths = pad_widths(call, call.x.rank)
    value = [float(call.node.get("constant_value", 0))] if mode == "constant" else []
    return call.g.add("Pad", call.x, widths[::2] + widths[1::2], *(np.array(v, np.float32) for v in value), mode=mode)


@translates("Activation")
def activation(call: OperatorCall) -> Value:
    kinds = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}
    kind = call.node.get("act_type")
    call.need(kind in kinds, f"act_type {kind!r}; there are {', '.join(kinds)}")
    return call.g.add(kinds[kind], call.x)


@translates("LeakyReLU")
def leaky_relu(call: OperatorCall) -> Value:
    kind, slope = call.node.get("act_type", "leaky"), float(call.node.get("slope", 0.25))
    if kind == "prelu":
        gamma = call.inputs[1]
        shape = [-1] + [1] * (call.x.rank - 2)
        return call.g.add("PRelu", call.x, call.g.add("Reshape", gamma, shape) if gamma.rank == 1 else gamma)
    call.need(kind in ("leaky", "elu"), f"act_type {kind!r}; there are leaky, elu, prelu")
    return call.g.add("LeakyRelu" if kind == "leaky" else "Elu", call.x, alpha=slope)


@translates("L2Normalization")
def l2_normalization(call: OperatorCall) -> Value:
    squares = call.g.add("ReduceSum", call.g.add("Mul", call.x, call.x), l2_axes(call, call.x.rank), keepdims=1)
    # The epsilon is inside of the root.
    return call.g.add("Div", call.x, call.g.add("Sqrt", call.g.add("Add", squares, float(call.node.get("eps", 1e-10)))))


@translates("LRN")
def local_response_norm(call: OperatorCall) -> Value:
    get = call.node.get
    return call.g.add("LRN", call.x, size=get("nsize"), alpha=float(get("alpha", 1e-4)), beta=float(get("beta", 0.75)),
                      bias=float(get("knorm", 2)))  # fmt: skip


@translates("UpSampling")
def up_sampling(call: OperatorCall) -> Value:
    scale = float(upsampling_scale(call))
    scales = np.array([1, 1, scale, scale], np.float32)
    return call.g.add(
        "Resize", call.x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


@translates("softmax", "log_softmax")
def softmax(call: OperatorCall) -> Value:
    length, temperature = call.node.flag("use_length"), call.node.get("temperature", 1.0)
    call.need(not length, "use_length is not translated")
    axis = call.node.get("axis", -1) % call.x.rank
    x = call.x if temperature == 1 else call.g.add("Div", call.x, float(temperature))
    return call.g.add("Softmax" if call.node.op == "softmax" else "LogSoftmax", x, axis=axis)


@translates("SoftmaxActivation")
def softmax_activation(call: OperatorCall) -> Value:
    """Its mode "instance" is the last axis, "channel" axis 1."""
    return call.g.add("Softmax", call.x, axis=1 if call.node.get("mode", "instance") == "channel" else call.x.rank - 1)


@translates("SoftmaxOutput", "Softmax")
def softmax_output(call: OperatorCall) -> Value:
    """The softmax of a training symbol; its labels are not used."""
    axis = softmax_output_axis(call, call.x.rank)
    if axis is not None:
        return call.g.add("Softmax", call.x, axis=axis)
    flat = call.g.add("Softmax", call.g.add("Flatten", call.x, axis=1), axis=1)
    return call.g.shaped("Reshape", flat, call.x)
