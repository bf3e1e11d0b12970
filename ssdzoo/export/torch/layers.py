"""Layers with weights, pooling, activations and normalizations: MXNet's operators as torch's."""

from math import ceil, floor

import torch
import torch.nn.functional as F
from torch.fx import Node

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
from ssdzoo.export.torch import operations
from ssdzoo.export.torch.builder import shape_of
from ssdzoo.export.torch.operator import OperatorCall, translates

_CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
_DECONVOLUTIONS = {1: torch.conv_transpose1d, 2: torch.conv_transpose2d, 3: torch.conv_transpose3d}
_MAXIMA = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_MEANS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ACTIVATIONS = {
    "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softrelu": F.softplus, "softsign": F.softsign,
}  # fmt: skip


def _bias(call: OperatorCall) -> Node | None:
    return call.inputs[2] if len(call.inputs) > 2 else None


@translates("Convolution", "Convolution_v1")
def convolution(call: OperatorCall) -> Node:
    w, x, weight = window(call), *call.inputs[:2]
    function, groups, bias = _CONVOLUTIONS[len(w.kernel)], int(call.node.get("num_group", 1)), _bias(call)
    (_, channels, *sizes), (filters, depth, *kernel) = shape_of(x), shape_of(weight)
    fits = kernel == w.kernel and len(sizes) == len(kernel) and depth * groups == channels and filters % groups == 0
    fits &= bias is None or shape_of(bias) == (filters,)
    given = f"weights {shape_of(weight)}" + (f" and bias {shape_of(bias)}" if bias is not None else "")
    call.need(fits, f"{given} in {groups} groups don't fit {channels} channels and the kernel {w.kernel}")
    rows = zip(sizes, w.kernel, w.strides, w.pads, w.dilations)
    sizes = [(size + 2 * pad - step * (k - 1) - 1) // stride + 1 for size, k, stride, pad, step in rows]
    call.need(min(sizes) > 0, f"the kernel {w.kernel} is larger than the input")
    options = tuple(w.strides), tuple(w.pads), tuple(w.dilations), groups
    return call.g.shaped((shape_of(x)[0], filters, *sizes), function, x, weight, bias, *options)


@translates("Deconvolution")
def deconvolution(call: OperatorCall) -> Node:
    w, x, weight = window(call), *call.inputs[:2]
    adj = tuple(output_padding(call))
    function, groups = _DECONVOLUTIONS[len(w.kernel)], int(call.node.get("num_group", 1))
    return call.g.add(function, x, weight, _bias(call), tuple(w.strides), tuple(w.pads), adj, groups, tuple(w.dilations))


@translates("FullyConnected")
def fully_connected(call: OperatorCall) -> Node:
    x = call.g.method("flatten", call.x, 1) if call.node.flag("flatten", True) else call.x
    return call.g.add(F.linear, x, call.inputs[1], _bias(call))


@translates("BatchNorm", "BatchNorm_v1")
def batch_norm(call: OperatorCall) -> Node:
    x, gamma, beta, mean, var = call.inputs
    get, eps = call.node.get, batch_norm_eps(call)
    channels = [shape_of(x)[1:2]] * 4
    shapes = [shape_of(tensor) for tensor in (gamma, beta, mean, var)]
    call.need(shapes == channels, f"gamma, beta, mean and variance of shapes {shapes}; expected {channels}")
    gamma = None if call.node.flag("fix_gamma", True) else gamma
    norm = operations.BatchNorm(float(get("momentum", 0.9)), eps, call.node.flag("use_global_stats"))
    return call.g.module("norms", norm, x, gamma, beta, mean, var)


@translates("Pooling", "Pooling_v1")
def pooling(call: OperatorCall) -> Node:
    sizes = call.shape[2:]
    p = pool(call, list(sizes))
    if p.window is None:
        axes = list(range(2, call.rank))
        return call.g.method("amax" if p.kind == "max" else "mean", call.x, axes, keepdim=True)
    w = p.window
    common = call.x, tuple(w.kernel), tuple(w.strides), tuple(w.pads)
    call.need(all(2 * pad <= k for pad, k in zip(w.pads, w.kernel)), f"pad {w.pads} of more than half of the kernel {w.kernel}")
    rounded = ceil if p.full else floor
    pooled = [rounded((n + 2 * pad - k) / s) + 1 for n, k, s, pad in zip(sizes, w.kernel, w.strides, w.pads)]
    call.need(min(pooled) > 0, f"the kernel {w.kernel} is larger than the input")
    shape = (*call.shape[:2], *pooled)
    if p.kind == "max":
        return call.g.shaped(shape, _MAXIMA[len(w.kernel)], *common, ceil_mode=p.full)
    return call.g.shaped(shape, _MEANS[len(w.kernel)], *common, ceil_mode=p.full, count_include_pad=p.count_padding)


@translates("Pad", "pad")
def pad(call: OperatorCall) -> Node:
    """MXNet begins with the first axis, torch with the last one."""
    mode, widths = pad_widths(call, call.rank)
    pairs = [tuple(widths[i : i + 2]) for i in range(0, len(widths), 2)]
    while pairs and pairs[0] == (0, 0):
        pairs.pop(0)
    flat = tuple(n for pair in reversed(pairs) for n in pair)
    if mode == "constant":
        return call.g.add(F.pad, call.x, flat, "constant", float(call.node.get("constant_value", 0)))
    return call.g.add(F.pad, call.x, flat, {"edge": "replicate", "reflect": "reflect"}[mode])


@translates("Activation")
def activation(call: OperatorCall) -> Node:
    kind = call.node.get("act_type")
    call.need(kind in _ACTIVATIONS, f"act_type {kind!r}; there are {', '.join(_ACTIVATIONS)}")
    return call.g.like(_ACTIVATIONS[kind], call.x)


@translates("LeakyReLU")
def leaky_relu(call: OperatorCall) -> Node:
    kind, slope = call.node.get("act_type", "leaky"), float(call.node.get("slope", 0.25))
    if kind == "prelu":
        return call.g.add(torch.prelu, call.x, call.inputs[1])
    call.need(kind in ("leaky", "elu"), f"act_type {kind!r}; there are leaky, elu, prelu")
    return call.g.add(F.leaky_relu if kind == "leaky" else F.elu, call.x, slope)


@translates("Dropout")
def dropout(call: OperatorCall) -> Node:
    call.need(call.node.get("mode", "training") == "training", "a Dropout that is always on is not translated")
    return call.g.module("dropouts", torch.nn.Dropout(float(call.node.get("p", 0.5))), call.x)


@translates("L2Normalization")
def l2_normalization(call: OperatorCall) -> Node:
    axes = l2_axes(call, call.rank)
    return call.g.like(operations.l2_normalize, call.x, axes, float(call.node.get("eps", 1e-10)))


@translates("LRN")
def local_response_norm(call: OperatorCall) -> Node:
    get = call.node.get
    numbers = (float(get(key, default)) for key, default in (("alpha", 1e-4), ("beta", 0.75), ("knorm", 2)))
    return call.g.like(operations.local_response_norm, call.x, int(get("nsize")), *numbers)


@translates("UpSampling")
def up_sampling(call: OperatorCall) -> Node:
    scale = upsampling_scale(call)
    shape = *call.shape[:2], *(int(size * scale) for size in call.shape[2:])
    return call.g.shaped(shape, F.interpolate, call.x, scale_factor=float(scale), mode="nearest")


@translates("softmax", "log_softmax")
def softmax(call: OperatorCall) -> Node:
    call.need(not call.node.flag("use_length"), "use_length is not translated")
    temperature = float(call.node.get("temperature", 1.0))
    x = call.x if temperature == 1 else call.g.method("div", call.x, temperature)
    return call.g.like(torch.softmax if call.node.op == "softmax" else torch.log_softmax, x, int(call.node.get("axis", -1)))


@translates("SoftmaxActivation")
def softmax_activation(call: OperatorCall) -> Node:
    """Its mode "instance" is the last axis, "channel" axis 1."""
    return call.g.add(torch.softmax, call.x, 1 if call.node.get("mode", "instance") == "channel" else -1)


@translates("SoftmaxOutput", "Softmax")
def softmax_output(call: OperatorCall) -> Node:
    """The softmax of a training symbol; its labels are not used."""
    axis = softmax_output_axis(call, call.rank)
    return call.g.add(operations.softmax_of_all, call.x) if axis is None else call.g.add(torch.softmax, call.x, axis)
