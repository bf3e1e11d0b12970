"""Translates the nodes of a symbol to those of ONNX, one after the other."""

from dataclasses import dataclass

from ssdzoo.export.onnx import arithmetic, boxes, layers, shapes  # noqa: F401  they fill TRANSLATORS
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.operator import TRANSLATORS, Notes, OperatorCall
from ssdzoo.export.translator import float32, translate_nodes, value_of
from ssdzoo.formats.symbol_file import Node, SymbolGraph


@dataclass(frozen=True)
class Translation:
    """The values of a symbol, and the notes of its translators.

    Attributes:
        graph: the symbol.
        values: {(node index, output number): Value}.
        notes: of the detection.
    """

    graph: SymbolGraph
    values: dict
    notes: Notes

    @property
    def outputs(self) -> list[Value]:
        return [self.values[output] for output in self.graph.outputs]


def translate(g: Builder, graph: SymbolGraph, params: dict, data: str, fed: Value) -> Translation:
    """Translates all nodes that the outputs of a symbol depend on.

    Args:
        params: {name: array} of the parameters, without `arg:` and `aux:`.
        data: name of the variable that takes the images.
        fed: the images as the symbol takes them.

    Raises:
        ExportError: an operator that is not known, a parameter that is missing or does not fit; names the node and its inputs.
    """
    notes = Notes()

    def variable(node: Node) -> Value | None:
        g.at(node.name)
        if node.name == data:
            return fed
        array = value_of(node, params)
        return None if array is None else g.constant(float32(array), node.name)

    def operator(node: Node, inputs: list, values: dict) -> tuple:
        g.at(node.name)
        return TRANSLATORS.translate(OperatorCall(node, inputs, graph, g, values, notes))

    return Translation(graph, translate_nodes(graph, variable, operator), notes)
