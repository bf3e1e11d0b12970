"""What the translators of symbols share: a table of operators, what one of them is given, and the walk over the nodes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdzoo.errors import ExportError
from ssdzoo.formats.graph_input import is_label
from ssdzoo.formats.symbol_file import Node, SymbolGraph
from ssdzoo.quote import brief, short


@dataclass(frozen=True)
class Call:
    """A node of a symbol, and its inputs as the values of the other framework.

    Attributes:
        node: the node.
        inputs: [value] of the node.
        graph: the symbol.
    """

    node: Node
    inputs: list
    graph: SymbolGraph

    @property
    def x(self) -> Any:
        """The first input."""
        self.need(bool(self.inputs), "it has no input")
        return self.inputs[0]

    def need(self, ok: bool, what: str) -> None:
        """Raises an ExportError that names the node and its inputs, unless `ok`; `what` says what was found and expected."""
        if not ok:
            raise ExportError(f"{self.graph.source}: {describe(self.graph, self.node)}: {what}")

    def shown(self, value: Any) -> str:
        """The shape of a value, for an error message."""
        return str(value)


def describe(graph: SymbolGraph, node: Node) -> str:
    """A node for an error message: name, operator, and where its inputs come from."""
    sources = ", ".join(str(graph.nodes[i]).removeprefix("node ") for i, _ in node.inputs[:8])
    return f"{node} with inputs {sources or 'none'}{' ...' if len(node.inputs) > 8 else ''}"


class Table:
    """The functions that translate operators: each takes a `Call` and returns a value, or a tuple of them."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable] = {}

    def translates(self, *ops: str) -> Callable:
        """A decorator that enters a function as the translator of these operators."""

        def enter(function: Callable) -> Callable:
            for op in ops:
                assert op not in self._functions, op
                self._functions[op] = function
            return function

        return enter

    def translate(self, call: Call) -> tuple:
        """The outputs of a node.

        Raises:
            ExportError: an operator that is not in the table, attributes or shapes that it cannot have; names the node and its
                inputs.
        """
        function = self._functions.get(call.node.op)
        if call.node.partitioned:
            raise ExportError(f"{call.graph.source}: {call.node} holds a subgraph; export the network before it is partitioned")
        call.need(function is not None, f"this operator is not known here; its attributes are {short(call.node.attrs, 200)}")
        assert function is not None
        try:
            results = function(call)
        except ExportError:
            raise
        # A wrong file: a missing attribute, a text in place of a number, shapes that don't fit. onnx, protobuf and torch have
        # types of error of their own for these, which share no base.
        except Exception as error:
            lines = str(error).strip().splitlines()
            reason = short(lines[-1] if lines else repr(error), 200)
            shapes = short(", ".join(map(call.shown, call.inputs)), 200)
            raise ExportError(f"{call.graph.source}: {describe(call.graph, call.node)} of shapes [{shapes}]: {reason}") from error
        return results if isinstance(results, tuple) else (results,)


def translate_nodes(graph: SymbolGraph, variable: Callable[[Node], Any], operator: Callable[[Node, list, dict], tuple]) -> dict:
    """{(node index, output number): value} of all nodes that the outputs of a symbol depend on.

    Args:
        variable: gives the value of a variable.
        operator: gives the values of the outputs of another node, from the values of its inputs and of all nodes before it.

    Raises:
        ExportError: an output that its node lacks.
    """
    values: dict = {}
    needed = graph.ancestors()
    for node in graph.nodes:
        if node.index not in needed:
            continue
        if node.op == "null":
            values[node.index, 0] = variable(node)
            continue
        missing = [(i, n) for i, n in node.inputs if (i, n) not in values]
        if missing:
            raise ExportError(f"{graph.source}: {graph.nodes[missing[0][0]]} has no output {missing[0][1]}, which {node} takes")
        inputs = [values[key] for key in node.inputs] + [variable(other) for other in _implied(node)]
        for number, result in enumerate(operator(node, inputs, values)):
            values[node.index, number] = result
    for index, number in graph.outputs:
        if (index, number) not in values:
            raise ExportError(f"{graph.source}: {graph.nodes[index]} has no output {number}")
    return values


def _implied(node: Node) -> list[Node]:
    """Files of MXNet 0.8 and older don't list the running mean and variance among the inputs."""
    if not node.op.startswith("BatchNorm") or len(node.inputs) != 3:
        return []
    return [Node(node.index, "null", f"{node.name}_moving_{what}", {}, ()) for what in ("mean", "var")]


def value_of(node: Node, values: dict) -> Any:
    """The value of a variable out of {name: value}; None for the label of a loss, which no translator reads.

    Raises:
        ExportError: it is missing.
    """
    if node.name not in values and not is_label(node):
        raise ExportError(
            f"parameter {brief(node.name)} is missing; the file holds {short(', '.join(list(values)[:3]), 200)} ..."
        )
    return values.get(node.name)


def float32(array: Any) -> np.ndarray:
    """An array, float32 where it is of floats."""
    array = np.asarray(array)
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
