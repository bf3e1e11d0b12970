"""Shapes, slices and joins: MXNet's operators as ONNX's."""

import numpy as np

from ssdzoo.export.attributes import part_begins, slices
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.operator import OperatorCall, translates

_END = np.iinfo(np.int64).max  # the end of an axis, in ONNX's Slice


@translates("Flatten", "flatten")
def flatten(call: OperatorCall) -> Value:
    return call.g.add("Reshape", call.x, [0, -1])


@translates("Reshape", "reshape")
def reshape(call: OperatorCall) -> Value:
    call.need(not call.node.flag("reverse"), "reverse is not translated")
    return call.g.add("Reshape", call.x, _target(call, [int(n) for n in call.node.numbers("shape")]))


def _target(call: OperatorCall, wanted: list) -> list | Value:
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
def transpose(call: OperatorCall) -> Value:
    axes = call.node.numbers("axes") or list(range(call.x.rank))[::-1]
    return call.g.add("Transpose", call.x, perm=axes)


@translates("SwapAxis", "swapaxes")
def swap_axes(call: OperatorCall) -> Value:
    axes = list(range(call.x.rank))
    i, j = call.node.get("dim1", 0), call.node.get("dim2", 0)
    axes[i], axes[j] = axes[j], axes[i]
    return call.g.add("Transpose", call.x, perm=axes)


@translates("expand_dims")
def expand_dims(call: OperatorCall) -> Value:
    return call.g.add("Unsqueeze", call.x, [call.node.get("axis")])


@translates("squeeze")
def squeeze(call: OperatorCall) -> Value:
    axes = [int(a) for a in call.node.numbers("axis")]
    return call.g.add("Squeeze", call.x, *([axes] if axes else []))


@translates("Concat", "concat")
def concat(call: OperatorCall) -> Value:
    return call.g.add("Concat", *call.inputs, axis=call.node.get("dim", 1))


@translates("stack")
def stack(call: OperatorCall) -> Value:
    axis = call.node.get("axis", 0)
    return call.g.add("Concat", *(call.g.add("Unsqueeze", x, [axis]) for x in call.inputs), axis=axis)


@translates("SliceChannel", "split", "_split_v2")
def split(call: OperatorCall) -> tuple[Value, ...]:
    axis = call.node.get("axis", 1) % call.x.rank
    size = call.x.dims[axis]
    begins = part_begins(call, size, axis)
    return _parts(call, axis, [end - begin for begin, end in zip(begins, [*begins[1:], size])])


def _parts(call: OperatorCall, axis: int, sizes: list) -> tuple[Value, ...]:
    parts = call.g.add("Split", call.x, sizes, axis=axis, outputs=len(sizes))
    parts = parts if len(sizes) > 1 else (parts,)
    if call.node.flag("squeeze_axis"):
        parts = tuple(call.g.add("Squeeze", part, [axis]) for part in parts)
    return parts


def cut(g: Builder, x: Value, axis: int, begin: int, end: int | None) -> Value:
    """x[begin:end] along an axis; an end of None is the end of the axis."""
    return g.add("Slice", x, [begin], [_END if end is None else end], [axis])


@translates("slice_axis")
def slice_axis(call: OperatorCall) -> Value:
    get = call.node.get
    return cut(call.g, call.x, get("axis"), get("begin"), get("end"))


@translates("slice", "crop")
def slice_(call: OperatorCall) -> Value:
    begin, end, steps = (list(values) for values in zip(*slices(call)))
    return call.g.add(
        "Slice", call.x, [b or 0 for b in begin], [_END if e is None else e for e in end], list(range(len(begin))), steps
    )


@translates("slice_like")
def slice_like(call: OperatorCall) -> Value:
    x, like = call.inputs
    axes = [a % x.rank for a in call.node.numbers("axes")] or list(range(x.rank))
    ends = [call.g.size(like, a) for a in axes]
    return call.g.add("Slice", x, [0] * len(axes), call.g.add("Concat", *ends, axis=0), axes)


@translates("broadcast_axis", "broadcast_axes")
def broadcast_axis(call: OperatorCall) -> Value:
    sizes = [1] * call.x.rank
    for axis, size in zip(call.node.numbers("axis"), call.node.numbers("size")):
        sizes[axis] = size
    return call.g.add("Expand", call.x, sizes)


@translates("broadcast_to")
def broadcast_to(call: OperatorCall) -> Value:
    return call.g.add("Expand", call.x, [int(n) or 1 for n in call.node.numbers("shape")])


@translates("broadcast_like")
def broadcast_like(call: OperatorCall) -> Value:
    call.need(not call.node.numbers("lhs_axes"), "lhs_axes is not translated")
    return call.g.shaped("Expand", call.x, call.inputs[1])


@translates("reshape_like")
def reshape_like(call: OperatorCall) -> Value:
    call.need(call.node.get("lhs_begin") is None, "lhs_begin is not translated")
    return call.g.shaped("Reshape", call.x, call.inputs[1])


@translates("tile")
def tile(call: OperatorCall) -> Value:
    repeats = [int(n) for n in call.node.numbers("reps")]
    x = call.x
    if len(repeats) > x.rank:
        x = call.g.add("Unsqueeze", x, list(range(len(repeats) - x.rank)))
    return call.g.add("Tile", x, [1] * (x.rank - len(repeats)) + repeats)
