"""Shapes, slices, joins and arithmetic: MXNet's operators as ONNX's."""

import numpy as np

from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.operator import Call, translates

_END = np.iinfo(np.int64).max  # the end of an axis, in ONNX's Slice

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
    "reciprocal": "Reciprocal", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "identity": "Identity",
    "_copy": "Identity", "BlockGrad": "Identity", "stop_gradient": "Identity", "Dropout": "Identity", "make_loss": "Identity",
}  # fmt: skip
_DTYPES = {"float32": 1, "float16": 1, "float64": 1, "uint8": 1, "int32": 6, "int64": 7}  # ONNX's; all floats are float32 here


def _binary_names(name: str) -> list:
    old = "_" + name.capitalize()
    return [f"broadcast_{name}", f"elemwise_{name}", f"_{name}", old]


@translates(*(op for name in _BINARY for op in _binary_names(name)))
def binary(call: Call):
    return call.g.add(_BINARY[call.node.op.lower().split("_", 1)[1]], *call.inputs)


@translates("add_n", "ElementWiseSum", "elemwise_sum")
def add_n(call: Call):
    return call.g.add("Sum", *call.inputs)


@translates(*(f"_{name}_scalar" for name in _BINARY), *(f"_r{name}_scalar" for name in ("minus", "div", "power")))
def binary_scalar(call: Call):
    name = call.node.op.removesuffix("_scalar").removeprefix("_")
    scalar = float(call.node.get("scalar"))
    if name in _BINARY:
        return call.g.add(_BINARY[name], call.x, scalar)
    return call.g.add(_BINARY[name[1:]], scalar, call.x)


@translates(*(op for name in _COMPARE for op in (f"_{name}", f"broadcast_{name}", f"_{name}_scalar")))
def compare(call: Call):
    """0 and 1 in float32, as in MXNet."""
    name = call.node.op.removesuffix("_scalar").removeprefix("broadcast").removeprefix("_")
    other = float(call.node.get("scalar")) if call.node.op.endswith("_scalar") else call.inputs[1]
    op, negated = _COMPARE[name]
    answer = call.g.add(op, call.x, other)
    return call.g.add("Cast", call.g.add("Not", answer) if negated else answer, to=1)


@translates(*_UNARY)
def unary(call: Call):
    return call.g.add(_UNARY[call.node.op], call.x)


@translates("square", "rsqrt")
def power(call: Call):
    if call.node.op == "square":
        return call.g.add("Mul", call.x, call.x)
    return call.g.add("Reciprocal", call.g.add("Sqrt", call.x))


@translates("clip")
def clip(call: Call):
    return call.g.add("Clip", call.x, float(call.node.get("a_min")), float(call.node.get("a_max")))


@translates("Cast", "cast", "amp_cast")
def cast(call: Call):
    dtype = call.node.get("dtype")
    call.need(dtype in _DTYPES, f"dtype {dtype!r}; there are {', '.join(_DTYPES)}")
    return call.g.add("Cast", call.x, to=_DTYPES[dtype])


@translates("amp_multicast")
def amp_multicast(call: Call):
    return tuple(call.g.add("Identity", x) for x in call.inputs)


@translates("where")
def where(call: Call):
    condition, x, y = call.inputs
    return call.g.add("Where", call.g.add("Cast", condition, to=9), x, y)


@translates("zeros_like", "ones_like")
def like(call: Call):
    zero = call.g.constant(np.zeros(1, np.float32) if call.node.op == "zeros_like" else np.ones(1, np.float32))
    return call.g.add("Expand", zero, call.g.add("Shape", call.x))


@translates("_zeros", "_ones", "_full")
def filled(call: Call):
    value = {"_zeros": 0.0, "_ones": 1.0}.get(call.node.op, call.node.get("value"))
    shape = [int(n) for n in call.node.numbers("shape")]
    call.need(all(n > 0 for n in shape), f"shape {shape}")
    return call.g.add("Expand", np.full(1, value, np.float32), shape)


@translates("_arange")
def arange(call: Call):
    start, stop = call.node.get("start", 0.0), call.node.get("stop")
    if stop is None:
        start, stop = 0.0, start
    call.need(call.node.get("repeat", 1) == 1, "repeat is not translated")
    return call.g.add("Range", *(np.array(v, np.float32) for v in (start, stop, call.node.get("step", 1.0))))


@translates("Flatten", "flatten")
def flatten(call: Call):
    return call.g.add("Reshape", call.x, [0, -1])


@translates("Reshape", "reshape")
def reshape(call: Call):
    call.need(not call.node.flag("reverse"), "reverse is not translated")
    return call.g.add("Reshape", call.x, _target(call, [int(n) for n in call.node.numbers("shape")]))


def _target(call: Call, wanted: list):
    """The shape for ONNX's Reshape of MXNet's special codes: 0 copies an axis, -1 is what remains, -2 copies all that follow,
    -3 merges two, -4 splits one into the next two numbers."""
    g, x, parts, axis = call.g, call.x, [], 0
    wanted = list(wanted)
    while wanted:
        code = wanted.pop(0)
        if code == -2:
            parts += [g.size(x, i) for i in range(axis, x.rank)]
            axis = x.rank
        elif code == -3:
            parts.append(g.add("Mul", g.size(x, axis), g.size(x, axis + 1)))
            axis += 2
        elif code == -4:
            first, second = wanted.pop(0), wanted.pop(0)
            size = g.size(x, axis)
            first = g.add("Div", size, [second]) if first == -1 else g.constant(np.array([first], np.int64))
            parts += [first, g.add("Div", size, first)]
            axis += 1
        else:
            parts.append(g.size(x, axis) if code == 0 else g.constant(np.array([code], np.int64)))
            axis += 1
    sizes = [None if p.array is None else int(p.array[0]) for p in parts]
    if sizes[0] is None and call.node.numbers("shape")[0] in (0, -2):
        sizes[0] = 0  # so the batch keeps its name, and the shapes that follow stay known
    if sizes.count(None) == 0:
        return sizes
    if sizes.count(None) == 1 and -1 not in sizes:
        return [-1 if size is None else size for size in sizes]
    return g.add("Concat", *parts, axis=0)


@translates("transpose")
def transpose(call: Call):
    axes = call.node.numbers("axes") or list(range(call.x.rank))[::-1]
    return call.g.add("Transpose", call.x, perm=axes)


@translates("SwapAxis", "swapaxes")
def swap_axes(call: Call):
    axes = list(range(call.x.rank))
    i, j = call.node.get("dim1", 0), call.node.get("dim2", 0)
    axes[i], axes[j] = axes[j], axes[i]
    return call.g.add("Transpose", call.x, perm=axes)


@translates("expand_dims")
def expand_dims(call: Call):
    return call.g.add("Unsqueeze", call.x, [call.node.get("axis")])


@translates("squeeze")
def squeeze(call: Call):
    axes = [int(a) for a in call.node.numbers("axis")]
    return call.g.add("Squeeze", call.x, *([axes] if axes else []))


@translates("Concat", "concat")
def concat(call: Call):
    return call.g.add("Concat", *call.inputs, axis=call.node.get("dim", 1))


@translates("stack")
def stack(call: Call):
    axis = call.node.get("axis", 0)
    return call.g.add("Concat", *(call.g.add("Unsqueeze", x, [axis]) for x in call.inputs), axis=axis)


@translates("SliceChannel", "split")
def split(call: Call):
    count, axis = call.node.get("num_outputs"), call.node.get("axis", 1)
    size = call.x.dims[axis]
    call.need(isinstance(size, int) and size % count == 0, f"axis {axis} of size {size} does not split into {count} parts")
    parts = call.g.add("Split", call.x, [size // count] * count, axis=axis, outputs=count)
    parts = parts if count > 1 else (parts,)
    if call.node.flag("squeeze_axis"):
        parts = tuple(call.g.add("Squeeze", part, [axis]) for part in parts)
    return parts


def cut(g: Builder, x: Value, axis: int, begin: int, end) -> Value:
    """x[begin:end] along an axis; an end of None is the end of the axis."""
    return g.add("Slice", x, [begin], [_END if end is None else end], [axis])


@translates("slice_axis")
def slice_axis(call: Call):
    get = call.node.get
    return cut(call.g, call.x, get("axis"), get("begin"), get("end"))


@translates("slice", "crop")
def slice_(call: Call):
    begin, end = call.node.get("begin"), call.node.get("end")
    steps = [s or 1 for s in call.node.get("step", ())] or [1] * len(begin)
    call.need(all(s > 0 for s in steps), f"step {steps}; steps must be positive")
    begin = [b or 0 for b in begin]
    return call.g.add("Slice", call.x, begin, [_END if e is None else e for e in end], list(range(len(begin))), steps)


@translates("slice_like")
def slice_like(call: Call):
    x, like = call.inputs
    axes = [a % x.rank for a in call.node.numbers("axes")] or list(range(x.rank))
    ends = [call.g.size(like, a) for a in axes]
    return call.g.add("Slice", x, [0] * len(axes), call.g.add("Concat", *ends, axis=0), axes)


@translates("broadcast_axis", "broadcast_axes")
def broadcast_axis(call: Call):
    sizes = [1] * call.x.rank
    for axis, size in zip(call.node.numbers("axis"), call.node.numbers("size")):
        sizes[axis] = size
    return call.g.add("Expand", call.x, sizes)


@translates("broadcast_to")
def broadcast_to(call: Call):
    return call.g.add("Expand", call.x, [int(n) or 1 for n in call.node.numbers("shape")])


@translates("broadcast_like")
def broadcast_like(call: Call):
    call.need(not call.node.numbers("lhs_axes"), "lhs_axes is not translated")
    return call.g.add("Expand", call.x, call.g.add("Shape", call.inputs[1]))


@translates("reshape_like")
def reshape_like(call: Call):
    call.need(call.node.get("lhs_begin") is None, "lhs_begin is not translated")
    return call.g.add("Reshape", call.x, call.g.add("Shape", call.inputs[1]))


@translates("tile")
def tile(call: Call):
    repeats = [int(n) for n in call.node.numbers("reps")]
    x = call.x
    if len(repeats) > x.rank:
        x = call.g.add("Unsqueeze", x, list(range(len(repeats) - x.rank)))
    return call.g.add("Tile", x, [1] * (x.rank - len(repeats)) + repeats)


@translates("mean", "sum", "max", "min")
def reduce(call: Call):
    axes = [int(a) % call.x.rank for a in call.node.numbers("axis")] or list(range(call.x.rank))
    if call.node.flag("exclude"):
        axes = [a for a in range(call.x.rank) if a not in axes]
    keep = int(call.node.flag("keepdims"))
    op = "Reduce" + call.node.op.capitalize()
    if op == "ReduceSum" or call.g.opset >= 18:  # from where on the axes are an input
        return call.g.add(op, call.x, axes, keepdims=keep)
    return call.g.add(op, call.x, axes=axes, keepdims=keep)
