"""Shapes, slices and joins: MXNet's operators as torch's."""

import operator

import torch
from torch.fx import Node

from ssdzoo.export.attributes import SCALAR_OPS, part_begins, slices
from ssdzoo.export.torch import operations
from ssdzoo.export.torch.builder import is_float, shape_of
from ssdzoo.export.torch.operator import OperatorCall, translates


@translates("Flatten", "flatten")
def flatten(call: OperatorCall) -> Node:
    return call.g.method("flatten", call.x, 1)


@translates("Reshape", "reshape")
def reshape(call: OperatorCall) -> Node:
    call.need(not call.node.flag("reverse"), "reverse is not translated")
    return call.g.add(operations.reshape, call.x, tuple(int(n) for n in call.node.numbers("shape")))


@translates("transpose")
def transpose(call: OperatorCall) -> Node:
    axes = [int(n) for n in call.node.numbers("axes")] or list(range(call.rank))[::-1]
    return call.g.method("permute", call.x, *axes)


@translates("SwapAxis", "swapaxes")
def swap_axes(call: OperatorCall) -> Node:
    return call.g.method("transpose", call.x, int(call.node.get("dim1", 0)), int(call.node.get("dim2", 0)))


@translates("expand_dims")
def expand_dims(call: OperatorCall) -> Node:
    return call.g.method("unsqueeze", call.x, int(call.node.get("axis")))


@translates("squeeze")
def squeeze(call: OperatorCall) -> Node:
    axes = tuple(int(a) for a in call.node.numbers("axis"))
    return call.g.method("squeeze", call.x, *([axes] if axes else []))


@translates("Concat", "concat")
def concat(call: OperatorCall) -> Node:
    axis, shapes = int(call.node.get("dim", 1)), [list(shape_of(value)) for value in call.inputs]
    if not all(map(is_float, call.inputs)):
        return call.g.add(torch.cat, tuple(call.inputs), axis)
    total = sum(shape.pop(axis) for shape in shapes)
    call.need(all(shape == shapes[0] for shape in shapes), "its inputs differ along other axes than the one that joins them")
    shapes[0].insert(axis % call.rank, total)
    return call.g.shaped(shapes[0], torch.cat, tuple(call.inputs), axis)


@translates("stack")
def stack(call: OperatorCall) -> Node:
    return call.g.add(torch.stack, tuple(call.inputs), int(call.node.get("axis", 0)))


@translates("SliceChannel", "split", "_split_v2")
def split(call: OperatorCall) -> tuple[Node, ...]:
    axis = int(call.node.get("axis", 1)) % call.rank
    begins = part_begins(call, call.shape[axis], axis)
    if call.node.numbers("indices"):
        parts = call.g.method("tensor_split", call.x, tuple(begins[1:]), axis)
    else:
        parts = call.g.method("chunk", call.x, len(begins), axis)
    values = call.g.parts(parts, len(begins))
    return tuple(call.g.method("squeeze", part, axis) for part in values) if call.node.flag("squeeze_axis") else values


@translates("slice_axis")
def slice_axis(call: OperatorCall) -> Node:
    get = call.node.get
    before = (slice(None),) * (int(get("axis")) % call.rank)
    return call.g.add(operator.getitem, call.x, (*before, slice(get("begin"), get("end"))))


@translates("slice", "crop")
def slice_(call: OperatorCall) -> Node:
    return call.g.add(operator.getitem, call.x, tuple(slice(*cut) for cut in slices(call)))


@translates("slice_like")
def slice_like(call: OperatorCall) -> Node:
    """The second input lends its shape alone, so arithmetic with numbers before it is left out, such as GluonCV's x * 0."""
    source, (index, number) = call.graph.producer(call.node, 1), call.node.inputs[1]
    while source.op in SCALAR_OPS:
        index, number = source.inputs[0]
        source = call.graph.nodes[index]
    axes = tuple(int(a) % call.rank for a in call.node.numbers("axes")) or tuple(range(call.rank))
    return call.g.add(operations.slice_like, call.x, call.values[index, number], axes)


@translates("broadcast_axis", "broadcast_axes")
def broadcast_axis(call: OperatorCall) -> Node:
    axes, sizes = (tuple(int(n) for n in call.node.numbers(key)) for key in ("axis", "size"))
    return call.g.add(operations.broadcast_axes, call.x, axes, sizes)


@translates("broadcast_to")
def broadcast_to(call: OperatorCall) -> Node:
    return call.g.method("expand", call.x, *(int(n) or -1 for n in call.node.numbers("shape")))


@translates("broadcast_like")
def broadcast_like(call: OperatorCall) -> Node:
    call.need(not call.node.numbers("lhs_axes"), "lhs_axes is not translated")
    return call.g.method("expand_as", *call.inputs)


@translates("reshape_like")
def reshape_like(call: OperatorCall) -> Node:
    call.need(call.node.get("lhs_begin") is None, "lhs_begin is not translated")
    return call.g.method("reshape_as", *call.inputs)


@translates("tile")
def tile(call: OperatorCall) -> Node:
    return call.g.method("tile", call.x, tuple(int(n) for n in call.node.numbers("reps")))
