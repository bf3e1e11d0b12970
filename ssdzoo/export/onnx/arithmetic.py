"""Arithmetic, comparisons, constants and reductions: MXNet's operators as ONNX's."""

import numpy as np

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
from ssdzoo.export.onnx.builder import Value
from ssdzoo.export.onnx.operator import OperatorCall, translates

_BINARY = {
    "add": "Add", "plus": "Add", "sub": "Sub", "minus": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max",
    "minimum": "Min",
}  # fmt: skip
_COMPARE = {
    "greater": ("Greater", False), "greater_equal": ("Less", True), "lesser": ("Less", False),
    "lesser_equal": ("Greater", True), "equal": ("Equal", False), "not_equal": ("Equal", True),
}  # fmt: skip
_UNARY = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "negative": "Neg", "floor": "Floor", "ceil": "Ceil",
    "reciprocal": "Reciprocal", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh",
    "BlockGrad": "Identity", "stop_gradient": "Identity", "Dropout": "Identity", **dict.fromkeys(IDENTITIES, "Identity"),
}  # fmt: skip
_DTYPES = {"float": 1, "int32": 6, "int64": 7}  # ONNX's; all floats are float32 here


@translates(*BINARY_OPS)
def binary(call: OperatorCall) -> Value:
    return call.g.add(_BINARY[binary_name(call.node.op)], *call.inputs)


@translates("add_n", "ElementWiseSum", "elemwise_sum")
def add_n(call: OperatorCall) -> Value:
    return call.g.add("Sum", *call.inputs)


@translates(*SCALAR_OPS)
def binary_scalar(call: OperatorCall) -> Value:
    name, turned = scalar_name(call.node.op)
    scalar = float(call.node.get("scalar"))
    return call.g.add(_BINARY[name], *((scalar, call.x) if turned else (call.x, scalar)))


@translates(*COMPARISON_OPS)
def compare(call: OperatorCall) -> Value:
    """0 and 1 in float32, as in MXNet."""
    other = float(call.node.get("scalar")) if call.node.op.endswith("_scalar") else call.inputs[1]
    op, negated = _COMPARE[comparison_name(call.node.op)]
    answer = call.g.add(op, call.x, other)
    return call.g.add("Cast", call.g.add("Not", answer) if negated else answer, to=1)


@translates(*_UNARY)
def unary(call: OperatorCall) -> Value:
    return call.g.add(_UNARY[call.node.op], call.x)


@translates("square", "rsqrt")
def power(call: OperatorCall) -> Value:
    if call.node.op == "square":
        return call.g.add("Mul", call.x, call.x)
    return call.g.add("Reciprocal", call.g.add("Sqrt", call.x))


@translates("clip")
def clip(call: OperatorCall) -> Value:
    return call.g.add("Clip", call.x, float(call.node.get("a_min")), float(call.node.get("a_max")))


@translates("Cast", "cast", "amp_cast")
def cast(call: OperatorCall) -> Value:
    dtype = call.node.get("dtype")
    call.need(dtype in DTYPES, f"dtype {dtype!r}; there are {', '.join(DTYPES)}")
    return call.g.add("Cast", call.x, to=_DTYPES[DTYPES[dtype]])


@translates("amp_multicast")
def amp_multicast(call: OperatorCall) -> tuple[Value, ...]:
    return tuple(call.g.add("Identity", x) for x in call.inputs)


@translates("where")
def where(call: OperatorCall) -> Value:
    condition, x, y = call.inputs
    return call.g.add("Where", call.g.add("Cast", condition, to=9), x, y)


@translates("zeros_like", "ones_like", "_npi_full_like")
def like(call: OperatorCall) -> Value:
    value = {"zeros_like": 0.0, "ones_like": 1.0}.get(call.node.op, call.node.get("fill_value"))
    return call.g.shaped("Expand", np.full(1, value, np.float32), call.x)


@translates("_zeros", "_ones", "_full")
def filled(call: OperatorCall) -> Value:
    value = {"_zeros": 0.0, "_ones": 1.0}.get(call.node.op, call.node.get("value"))
    shape = [int(n) for n in call.node.numbers("shape")]
    call.need(all(n > 0 for n in shape), f"shape {shape}")
    return call.g.add("Expand", np.full(1, value, np.float32), shape)


@translates("_arange")
def arange(call: OperatorCall) -> Value:
    return call.g.add("Range", *(np.array(v, np.float32) for v in arange_bounds(call)))


@translates("mean", "sum", "max", "min")
def reduce(call: OperatorCall) -> Value:
    axes = reduced_axes(call, call.x.rank)
    keep = int(call.node.flag("keepdims"))
    op = "Reduce" + call.node.op.capitalize()
    if op == "ReduceSum" or call.g.opset >= 18:  # from where on the axes are an input
        return call.g.add(op, call.x, axes, keepdims=keep)
    return call.g.add(op, call.x, axes=axes, keepdims=keep)


@translates("argmax", "argmin")
def arg_reduce(call: OperatorCall) -> Value:
    """The index of the first maximum or minimum along an axis, a float32 as in MXNet."""
    axis = call.node.get("axis")
    call.need(isinstance(axis, int), f"axis {axis}; one axis was expected")
    keep = int(call.node.flag("keepdims"))
    return call.g.add("Cast", call.g.add(f"Arg{call.node.op[3:].capitalize()}", call.x, axis=axis, keepdims=keep), to=1)


@translates("_image_to_tensor")
def image_to_tensor(call: OperatorCall) -> Value:
    """Pixels 0..255 (B, H, W, 3) to (B, 3, H, W) in 0..1."""
    return call.g.add("Div", call.g.add("Transpose", call.x, perm=[0, 3, 1, 2]), 255.0)


@translates("_image_normalize")
def image_normalize(call: OperatorCall) -> Value:
    mean, std = (
        np.array(call.node.numbers(key, default), np.float32).reshape(-1, 1, 1) for key, default in (("mean", 0), ("std", 1))
    )
    return call.g.add("Div", call.g.add("Sub", call.x, mean), std)
