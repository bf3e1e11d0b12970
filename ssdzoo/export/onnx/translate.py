"""Translates the nodes of a symbol to those of ONNX, one after the other."""

from dataclasses import dataclass

import numpy as np

from ssdzoo.errors import ExportError
from ssdzoo.export.onnx import arithmetic, boxes, layers, shapes  # noqa: F401  they fill TRANSLATORS
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.operator import TRANSLATORS, Notes, OperatorCall, describe
from ssdzoo.formats.graph_input import is_label
from ssdzoo.formats.symbol_file import Node, SymbolGraph
from ssdzoo.quote import brief, short


@dataclass(frozen=True)
class Translation:
    """The outputs of a symbol as [Value], and the notes of its translators."""

    outputs: list
    notes: Notes


def translate(g: Builder, graph: SymbolGraph, params: dict, data: str, fed: Value, image: Value) -> Translation:
    """Translates all nodes that the outputs of a symbol depend on.

    Args:
        params: {name: array} of the parameters, without `arg:` and `aux:`.
        data: name of the variable that takes the images.
        fed: the images as the symbol takes them.
        image: the same images as (B, 3, H, W) float32.

    Raises:
        ExportError: an operator that is not known, a parameter that is missing or does not fit; names the node and its inputs.
    """
    values: dict = {}
    notes = Notes()
    needed = graph.ancestors()
    for node in graph.nodes:
        if node.index not in needed:
            continue
        g.at(node.name)
        if node.op == "null":
            values[node.index, 0] = fed if node.name == data else _parameter(g, node, params)
            continue
        missing = [(i, n) for i, n in node.inputs if (i, n) not in values]
        if missing:
            raise ExportError(f"{graph.source}: {graph.nodes[missing[0][0]]} has no output {missing[0][1]}, which {node} takes")
        inputs = [values[key] for key in node.inputs] + _implied(g, node, params)
        results = _translate_node(OperatorCall(g, node, inputs, graph, values, image, notes))
        for number, result in enumerate(results if isinstance(results, tuple) else (results,)):
            values[node.index, number] = result
    for index, number in graph.outputs:
        if (index, number) not in values:
            raise ExportError(f"{graph.source}: {graph.nodes[index]} has no output {number}")
    return Translation([values[output] for output in graph.outputs], notes)


def _translate_node(call: OperatorCall) -> Value | tuple[Value, ...]:
    translator = TRANSLATORS.get(call.node.op)
    if call.node.partitioned:
        raise ExportError(f"{call.graph.source}: {call.node} holds a subgraph; export the network before it is partitioned")
    if translator is None:
        raise ExportError(
            f"{call.graph.source}: {describe(call.graph, call.node)}: this operator is not known here; "
            f"its attributes are {short(call.node.attrs, 200)}"
        )
    try:
        return translator(call)
    except ExportError:
        raise
    # A wrong file: a missing attribute, a text in place of a number, shapes that don't fit. onnx and protobuf have types of error
    # of their own for these, which share no base.
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = short(lines[-1] if lines else repr(error), 200)
        shapes = ", ".join(str(v) for v in call.inputs)
        raise ExportError(
            f"{call.graph.source}: {describe(call.graph, call.node)} of shapes [{short(shapes, 200)}]: {reason}"
        ) from error


def _parameter(g: Builder, node: Node, params: dict) -> Value | None:
    if node.name not in params:
        if is_label(node):
            return None  # of a loss; its translator does not read it
        raise ExportError(
            f"parameter {brief(node.name)} is missing; the file holds {short(', '.join(list(params)[:3]), 200)} ..."
        )
    array = np.asarray(params[node.name])
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    return g.constant(array, node.name)


def _implied(g: Builder, node: Node, params: dict) -> list:
    """Files of MXNet 0.8 and older don't list the running mean and variance among the inputs."""
    if not node.op.startswith("BatchNorm") or len(node.inputs) != 3:
        return []
    names = [f"{node.name}_moving_{what}" for what in ("mean", "var")]
    return [_parameter(g, Node(node.index, "null", name, {}, ()), params) for name in names]
