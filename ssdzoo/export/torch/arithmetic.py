"""Arithmetic, comparisons, constants and reductions: MXNet's operators as torch's."""

import operator
from collections.abc import Callable

import numpy as np
import torch
from torch.fx import Node

from ssdzoo.export.attributes import (
    BINARY_OPS,
    COMPARISON_OPS,
    DTYPES,
    IDENTITIES,
    SCALAR_OPS,
    arange_bounds,
    binary_name,
    comparison_name,
    reduced_axes,
    scalar_name,
)
from ssdzoo.export.torch import operations
from ssdzoo.export.torch.builder import is_float, shape_of
from ssdzoo.export.torch.operator import OperatorCall, translates

_BINARY = {
    "add": operator.add, "plus": operator.add, "sub": operator.sub, "minus": operator.sub, "mul": operator.mul,
    "div": operator.truediv, "power": operator.pow, "maximum": torch.maximum, "minimum": torch.minimum,
}  # fmt: skip
_LIMITS = {"maximum": "clamp_min", "minimum": "clamp_max"}
_COMPARE = {
    "greater": operator.gt, "greater_equal": operator.ge, "lesser": operator.lt, "lesser_equal": operator.le,
    "equal": operator.eq, "not_equal": operator.ne,
}  # fmt: skip
_UNARY = {
    "exp": "exp", "log": "log", "sqrt": "sqrt", "abs": "abs", "negative": "neg", "floor": "floor", "ceil": "ceil",
    "reciprocal": "reciprocal", "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "square": "square", "rsqrt": "rsqrt",
    "BlockGrad": "detach", "stop_gradient": "detach",
}  # fmt: skip
_REDUCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}


@translates(*BINARY_OPS)
def binary(call: OperatorCall) -> Node:
    return _combined(call, _BINARY[binary_name(call.node.op)], *call.inputs)


def _combined(call: OperatorCall, function: Callable, *values: Node) -> Node:
    """The node of a function of two values, of which one may be repeated along axes of size 1."""
    if not all(map(is_float, values)):
        return call.g.add(function, *values)
    return call.g.shaped(np.broadcast_shapes(*map(shape_of, values)), function, *values)


@translates("add_n", "ElementWiseSum", "elemwise_sum")
def add_n(call: OperatorCall) -> Node:
    total = call.x
    for other in call.inputs[1:]:
        total = _combined(call, operator.add, total, other)
    return total


@translates(*SCALAR_OPS)
def binary_scalar(call: OperatorCall) -> Node:
    name, turned = scalar_name(call.node.op)
    scalar = float(call.node.get("scalar"))
    if name in _LIMITS:
        return call.g.method(_LIMITS[name], call.x, scalar)
    order = (scalar, call.x) if turned else (call.x, scalar)
    return call.g.shaped(call.shape, _BINARY[name], *order) if is_float(call.x) else call.g.add(_BINARY[name], *order)


@translates(*COMPARISON_OPS)
def compare(call: OperatorCall) -> Node:
    """0 and 1 in float32, as in MXNet."""
    other = float(call.node.get("scalar")) if call.node.op.endswith("_scalar") else call.inputs[1]
    return call.g.method("float", call.g.add(_COMPARE[comparison_name(call.node.op)], call.x, other))


@translates(*_UNARY)
def unary(call: OperatorCall) -> Node:
    function = getattr(torch, _UNARY[call.node.op])
    return call.g.like(function, call.x) if is_float(call.x) else call.g.add(function, call.x)


@translates(*IDENTITIES)
def identity(call: OperatorCall) -> Node:
    return call.x


@translates("clip")
def clip(call: OperatorCall) -> Node:
    limits = float(call.node.get("a_min")), float(call.node.get("a_max"))
    return call.g.like(torch.clamp, call.x, *limits) if is_float(call.x) else call.g.add(torch.clamp, call.x, *limits)


@translates("Cast", "cast", "amp_cast")
def cast(call: OperatorCall) -> Node:
    """All floats are of one precision, that of the module."""
    dtype = call.node.get("dtype")
    call.need(dtype in DTYPES, f"dtype {dtype!r}; there are {', '.join(DTYPES)}")
    if DTYPES[dtype] == "float":
        return call.x if is_float(call.x) else call.g.method("float", call.x)
    return call.g.method("to", call.x, getattr(torch, DTYPES[dtype]))


@translates("amp_multicast")
def amp_multicast(call: OperatorCall) -> tuple[Node, ...]:
    return tuple(call.inputs)


@translates("where")
def where(call: OperatorCall) -> Node:
    return call.g.add(operations.where, *call.inputs)


@translates("zeros_like", "ones_like", "_npi_full_like")
def like(call: OperatorCall) -> Node:
    value = {"zeros_like": 0.0, "ones_like": 1.0}.get(call.node.op, call.node.get("fill_value"))
    return call.g.add(torch.full_like, call.x, float(value))


@translates("_zeros", "_ones", "_full")
def filled(call: OperatorCall) -> Node:
    value = {"_zeros": 0.0, "_ones": 1.0}.get(call.node.op, call.node.get("value"))
    shape = tuple(int(n) for n in call.node.numbers("shape"))
    call.need(all(n > 0 for n in shape), f"shape {shape}")
    return call.g.add(operations.full, call.image, shape, float(value))


@translates("_arange")
def arange(call: OperatorCall) -> Node:
    return call.g.add(operations.arange, call.image, *arange_bounds(call))


@translates(*_REDUCTIONS)
def reduce(call: OperatorCall) -> Node:
    axes = reduced_axes(call, call.rank)
    return call.g.method(_REDUCTIONS[call.node.op], call.x, axes, keepdim=call.node.flag("keepdims"))


@translates("argmax", "argmin")
def arg_reduce(call: OperatorCall) -> Node:
    """The index of the first maximum or minimum along an axis, a float32 as in MXNet."""
    axis = call.node.get("axis")
    call.need(isinstance(axis, int), f"axis {axis}; one axis was expected")
    return call.g.method("float", call.g.method(call.node.op, call.x, axis, keepdim=call.node.flag("keepdims")))


@translates("_image_to_tensor")
def image_to_tensor(call: OperatorCall) -> Node:
    """Pixels 0..255 (B, H, W, 3) to (B, 3, H, W) in 0..1."""
    return call.g.add(operator.truediv, call.g.method("permute", call.x, 0, 3, 1, 2), 255.0)


@translates("_image_normalize")
def image_normalize(call: OperatorCall) -> Node:
    mean, std = ([float(n) for n in call.node.numbers(key, default)] for key, default in (("mean", 0), ("std", 1)))
    return call.g.add(operations.normalize, call.x, mean, std)
