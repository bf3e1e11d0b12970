"""Translates the nodes of a symbol to those of ONNX, one after the other."""

from dataclasses import dataclass

import numpy as np
from onnx.shape_inference import InferenceError

from ssdzoo.errors import ExportError
from ssdzoo.export.onnx import arithmetic, boxes, layers, shapes  # noqa: F401  they fill TRANSLATORS
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.operator import TRANSLATORS, Notes, OperatorCall, describe
from ssdzoo.formats.graph_input import is_label
from ssdzoo.formats.symbol_file import Node, SymbolGraph


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
        inputs = [values[key] for key in node.inputs] + _implied(g, node, params)
        results = _translate_node(OperatorCall(g, node, inputs, graph, values, image, notes))
        for number, result in enumerate(results if isinstance(results, tuple) else (results,)):
            values[node.index, number] = result
    return Translation([values[output] for output in graph.outputs], notes)


def _translate_node(call: OperatorCall) -> Value | tuple[Value, ...]:
    translator = TRANSLATORS.get(call.node.op)
    if call.node.partitioned:
        raise ExportError(f"{call.graph.source}: {call.node} holds a subgraph; export the network before it is partitioned")
    if translator is None:
        raise ExportError(
            f"{call.graph.source}: {describe(call.graph, call.node)}: this operator is not known here; "
            f"its attributes are {call.node.attrs}"
        )
    try:
        return translator(call)
    except ExportError:
        raise
    # A wrong file: a missing attribute, a text in place of a number, shapes that don't fit.
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, ZeroDivisionError, InferenceError) as error:
        reason = str(error).strip().splitlines()
        shapes = [v.dims if v is not None else None for v in call.inputs]
        raise ExportError(
            f"{call.graph.source}: {describe(call.graph, call.node)} of shapes {shapes}: {reason[-1] if reason else error!r}"
        ) from error


def _parameter(g: Builder, node: Node, params: dict) -> Value | None:
    if node.name not in params:
        if is_label(node):
            return None  # of a loss; its translator does not read it
        raise ExportError(f"parameter {node.name!r} is missing; the file holds {', '.join(list(params)[:3])} ...")
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
