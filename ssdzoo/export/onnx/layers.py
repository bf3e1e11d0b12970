"""Layers with weights, pooling, activations and normalizations: MXNet's operators as ONNX's."""

from math import ceil

import numpy as np

from ssdzoo.export.onnx.builder import Value
from ssdzoo.export.onnx.operator import OperatorCall, translates

_LOWEST = float(np.finfo(np.float32).min)


def _window(call: OperatorCall) -> tuple:
    """Kernel, strides and ONNX pads (all begins, then all ends) of a convolution or a pooling."""
    node = call.node
    kernel = node.numbers("kernel")
    layout = node.get("layout", "NCHW"[: len(kernel) + 2])
    call.need(layout in ("NCHW", "NCW", "NCDHW"), f"layout {layout}; channels must come second")
    strides = node.numbers("stride") or [1] * len(kernel)
    pads = node.numbers("pad") or [0] * len(kernel)
    return kernel, strides, pads * 2


@translates("Convolution", "Convolution_v1")
def convolution(call: OperatorCall) -> Value:
    kernel, strides, pads = _window(call)
    return call.g.add(
        "Conv", *call.inputs, kernel_shape=kernel, strides=strides, pads=pads, group=call.node.get("num_group", 1),
        dilations=call.node.numbers("dilate") or [1] * len(kernel),
    )  # fmt: skip


@translates("Deconvolution")
def deconvolution(call: OperatorCall) -> Value:
    kernel, strides, pads = _window(call)
    call.need(not call.node.numbers("target_shape"), "target_shape is not translated; export with pad and adj instead")
    return call.g.add(
        "ConvTranspose", *call.inputs, kernel_shape=kernel, strides=strides, pads=pads, group=call.node.get("num_group", 1),
        dilations=call.node.numbers("dilate") or [1] * len(kernel),
        output_padding=call.node.numbers("adj") or [0] * len(kernel),
    )  # fmt: skip


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
    call.need(call.node.get("axis", 1) == 1, f"axis {call.node.get('axis')}; channels must come second")
    if call.node.flag("fix_gamma", True):
        call.need(gamma.array is not None, "its gamma is no parameter")
        gamma = call.g.constant(np.ones_like(gamma.array))
    return call.g.add("BatchNormalization", x, gamma, beta, mean, var, epsilon=float(call.node.get("eps", 1e-3)))


@translates("Pooling", "Pooling_v1")
def pooling(call: OperatorCall) -> Value:
    kind = call.node.get("pool_type", "max")
    call.need(kind in ("max", "avg"), f"pool_type {kind!r}; max and avg are translated")
    if call.node.flag("global_pool"):
        return call.g.add("GlobalMaxPool" if kind == "max" else "GlobalAveragePool", call.x)
    kernel, strides, pads = _window(call)
    convention = call.node.get("pooling_convention", "valid")
    call.need(convention in ("valid", "full"), f"pooling_convention {convention!r}; valid and full are translated")
    if convention == "full":
        _check_full(call, kernel, strides, pads)
    common = dict(kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=int(convention == "full"))
    if kind == "max":
        return call.g.add("MaxPool", call.x, **common)
    return call.g.add("AveragePool", call.x, count_include_pad=int(call.node.flag("count_include_pad", True)), **common)


def _check_full(call: OperatorCall, kernel: list, strides: list, pads: list) -> None:
    """Refuses a pooling whose last window begins beyond the image: MXNet keeps such a window, and ONNX drops it."""
    for axis, (k, s, p) in enumerate(zip(kernel, strides, pads)):
        size = call.x.dims[2 + axis]
        beyond = p + s > k
        if beyond and isinstance(size, int):
            beyond = ceil((size + 2 * p - k) / s) * s >= size + p
        call.need(not beyond, f"kernel {k}, stride {s} and pad {p} with the full convention pool pixels beyond the image")


@translates("Pad", "pad")
def pad(call: OperatorCall) -> Value:
    """MXNet gives (begin, end) of each axis, ONNX first all begins."""
    mode, widths = call.node.get("mode", "constant"), [int(n) for n in call.node.numbers("pad_width")]
    call.need(mode in ("constant", "edge", "reflect"), f"mode {mode!r}; there are constant, edge and reflect")
    call.need(len(widths) == 2 * call.x.rank, f"pad_width {widths}; two numbers for each of {call.x.rank} axes were expected")
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
    mode = call.node.get("mode", "instance")
    axes = {"channel": [1], "instance": list(range(1, call.x.rank)), "spatial": list(range(2, call.x.rank))}
    call.need(mode in axes, f"mode {mode!r}; there are {', '.join(axes)}")
    squares = call.g.add("ReduceSum", call.g.add("Mul", call.x, call.x), axes[mode], keepdims=1)
    # The epsilon is inside of the root.
    return call.g.add("Div", call.x, call.g.add("Sqrt", call.g.add("Add", squares, float(call.node.get("eps", 1e-10)))))


@translates("LRN")
def local_response_norm(call: OperatorCall) -> Value:
    get = call.node.get
    return call.g.add("LRN", call.x, size=get("nsize"), alpha=float(get("alpha", 1e-4)), beta=float(get("beta", 0.75)),
                      bias=float(get("knorm", 2)))  # fmt: skip


@translates("UpSampling")
def up_sampling(call: OperatorCall) -> Value:
    call.need(call.node.get("sample_type") == "nearest" and len(call.inputs) == 1, "only sample_type nearest of one input")
    scale = float(call.node.get("scale"))
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
    channel = call.node.flag("multi_output") or call.x.rank == 2
    if channel or call.node.flag("preserve_shape"):
        return call.g.add("Softmax", call.x, axis=1 if channel else call.x.rank - 1)
    flat = call.g.add("Softmax", call.g.add("Flatten", call.x, axis=1), axis=1)
    return call.g.shaped("Reshape", flat, call.x)
