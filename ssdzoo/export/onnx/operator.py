"""What a translator of one operator is given, and the table of all translators."""

from dataclasses import dataclass

from ssdzoo.errors import ExportError
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.formats.symbol_file import Node, SymbolGraph

TRANSLATORS = {}  # operator -> function of a Call that returns a Value, or a tuple of them


@dataclass(frozen=True)
class Call:
    """One node of a symbol that is to be translated.

    Attributes:
        g: where its ONNX nodes go.
        node: it.
        inputs: [Value].
        graph: the symbol.
        values: {(node index, output number): Value} of all nodes before it.
        image: the network's input (B, 3, H, W).
        notes: what the detection learns on the way, for the outputs and the metadata.
    """

    g: Builder
    node: Node
    inputs: list
    graph: SymbolGraph
    values: dict
    image: Value
    notes: dict

    @property
    def x(self) -> Value:
        """The first input."""
        return self.inputs[0]

    def need(self, ok: bool, what: str) -> None:
        """Raises ExportError with the node and its inputs unless `ok`; `what` says what was met and expected."""
        if not ok:
            raise ExportError(f"{self.graph.source}: {describe(self.graph, self.node)}: {what}")


def translates(*ops: str):
    """Enters a function into the table for these operators."""

    def enter(function):
        for op in ops:
            assert op not in TRANSLATORS, op
            TRANSLATORS[op] = function
        return function

    return enter


def describe(graph: SymbolGraph, node: Node) -> str:
    """A node for an error message: name, operator, and where its inputs come from."""
    sources = ", ".join(f"{graph.nodes[i].name!r} ({graph.nodes[i].op})" for i, _ in node.inputs)
    return f"{node} with inputs {sources or 'none'}"
