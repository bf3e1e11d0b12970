"""Translates the head outputs of a symbol to a `torch.fx` module, node by node."""

from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule
from torch.fx import Node as Value

from ssdzoo.errors import ExportError
from ssdzoo.export.heads import FIXED
from ssdzoo.export.torch import arithmetic, boxes, layers, operations, shapes  # noqa: F401  they fill TRANSLATORS
from ssdzoo.export.torch.builder import Builder, shape_of
from ssdzoo.export.torch.operator import TRANSLATORS, OperatorCall
from ssdzoo.export.translator import float32, translate_nodes, value_of
from ssdzoo.formats.graph_heads import Heads, find_heads
from ssdzoo.formats.graph_input import input_of
from ssdzoo.formats.symbol_file import Node, SymbolGraph, with_outputs

_BATCH = 2  # of the images that shapes are checked with


def head_module(graph: SymbolGraph, params: dict, size: tuple[int, int]) -> GraphModule:
    """The module of the head outputs of a symbol.

    Args:
        graph: a symbol of head outputs, or of detections.
        params: {name: array} without `arg:` and `aux:`.
        size: (H, W) of images that the symbol takes; the module takes others too.

    Raises:
        ExportError: an operator that is not known, a parameter that is missing, shapes that don't fit; names the node.
    """
    heads, taken = find_heads(graph), input_of(graph, params)
    g = Builder()
    image = g.input("images", (_BATCH, 3, *size))
    tensors = _tensors(g, graph, params, heads)
    fed = g.method("permute", image, 0, 2, 3, 1) if taken.channels_last else image
    graph = with_outputs(graph, [heads.logits, heads.boxes.offsets, heads.boxes.anchors])
    values = translate(g, graph, {**tensors, taken.name: fed}, image)
    return g.finish(_outputs(g, heads, [values[key] for key in graph.outputs], image, graph.source))


def translate(g: Builder, graph: SymbolGraph, variables: dict[str, Value], image: Value) -> dict:
    """{(node index, output number): value} of all nodes that the outputs of a symbol depend on.

    Args:
        g: takes the nodes.
        variables: {name: value} of the parameters, and of the input as the symbol takes it.
        image: the input of the module.

    Raises:
        ExportError: as `head_module`.
    """

    def operator(node: Node, inputs: list, values: dict) -> tuple:
        g.at(node.name)
        return TRANSLATORS.translate(OperatorCall(node, inputs, graph, g, image, values))

    return translate_nodes(graph, lambda node: value_of(node, variables), operator)


def _tensors(g: Builder, graph: SymbolGraph, params: dict, heads: Heads) -> dict[str, Value]:
    """{name: value} of all parameters, in the order of their file."""
    learned = _learned(graph, heads)
    tensors = {}
    for name in params:
        array = float32(params[name])
        tensors[name] = g.tensor(name, torch.from_numpy(np.array(array)), learned.get(name))
    return tensors


def _learned(graph: SymbolGraph, heads: Heads) -> dict[str, bool]:
    """{name: whether it learns} of the parameters. Constants, running means and variances, and what only the anchors are made of,
    are left out."""
    learned = {}
    statistics = graph.statistics()
    unused = {n.inputs[1][0] for n in graph.nodes if n.op.startswith("BatchNorm") and n.flag("fix_gamma", True) and n.inputs[1:]}
    for index in with_outputs(graph, [heads.logits, heads.boxes.offsets]).ancestors():
        node = graph.nodes[index]
        if (
            node.op == "null" and node.name not in statistics and not str(node.attrs.get("__init__")).startswith("Constant_")
        ):  # Gluon's name of constants
            learned[node.name] = index not in unused and node.attrs.get(FIXED[0]) != FIXED[1]
    return learned


def _outputs(g: Builder, heads: Heads, found: list, image: Value, source: str) -> tuple[Any, ...]:
    """Logits (B, N, C + 1), offsets (B, N, 4), anchors (1, N, 4) in center form and pixels."""
    logits, offsets, anchors = found
    g.at("heads")
    if heads.channels_first:
        logits = g.method("permute", logits, 0, 2, 1)
    if heads.boxes.flat:
        offsets = g.add(operations.reshape, offsets, (0, -1, 4))
    if heads.boxes.normalized:
        anchors = g.like(operations.in_pixels, anchors, image)
    if heads.boxes.form == "corner":
        anchors = g.like(operations.center_form, anchors)
    outputs = logits, offsets, anchors
    dims = [shape_of(value) for value in outputs]
    count = dims[2][1] if len(dims[2]) == 3 else None
    if [d[:2] for d in dims] != [(_BATCH, count), (_BATCH, count), (1, count)] or [d[2:] for d in dims[1:]] != [(4,), (4,)]:
        raise ExportError(
            f"{source}: its outputs {[list(d) for d in dims]} are no head outputs: class logits (B, N, C + 1), box offsets "
            f"(B, N, 4), anchors (1, N, 4)"
        )
    return outputs
