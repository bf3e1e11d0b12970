"""MXNet's symbol files (`NAME-symbol.json`) in plain Python: nodes, their attributes and their inputs."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdzoo.errors import ExportError
from ssdzoo.formats.numpy_names import older_name

_LONGEST = 10_000  # characters of an attribute; those of real ones are a list of anchor sizes at most


@dataclass(frozen=True)
class Node:
    """One node of a symbol.

    Attributes:
        index: its place in the file; the nodes of its inputs have smaller ones.
        op: the operator, "null" for a variable; one of the numpy interface by its older name (`ssdzoo.formats.numpy_names`).
        name: as in the file.
        attrs: {name: text}.
        inputs: ((node index, output number), ...).
        partitioned: it stands for a part of the network, whose nodes are in a graph of their own.
    """

    index: int
    op: str
    name: str
    attrs: dict
    inputs: tuple
    partitioned: bool = False

    def get(self, key: str, default: Any = None) -> Any:
        """The value of an attribute, a Python literal or a text; `default` where it is missing or None."""
        text = self.attrs.get(key)
        if text is None or text == "None":
            return default
        if len(text) > _LONGEST:
            raise ExportError(f"{self}: attribute {key!r} has {len(text)} characters; at most {_LONGEST} are read")
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return {"true": True, "false": False}.get(text, text)

    def flag(self, key: str, default: bool = False) -> bool:
        """The value of an attribute that says yes or no; old files write 0 and 1."""
        return bool(self.get(key, default))

    def numbers(self, key: str, default: Any = ()) -> list:
        """The numbers of an attribute that is a tuple; one number is a tuple of one."""
        value = self.get(key, default)
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(v, (int, float)) for v in values):
            raise ExportError(f"{self}: attribute {key!r} is {self.attrs[key]!r}; numbers were expected")
        return values

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"


@dataclass(frozen=True)
class SymbolGraph:
    """The graph of a symbol.

    Attributes:
        source: the path of its file, for messages.
        nodes: [Node] in the order of the file.
        outputs: [(node index, output number)].
    """

    source: str
    nodes: list
    outputs: list

    def producer(self, node: Node, number: int) -> Node:
        """The node that computes the input `number` of a node."""
        return self.nodes[node.inputs[number][0]]

    def ancestors(self) -> set:
        """Indices of the nodes that the outputs depend on."""
        found, waiting = set(), [index for index, _ in self.outputs]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += [i for i, _ in self.nodes[index].inputs]
        return found


def read_symbol(source: str | Path) -> SymbolGraph:
    """The graph of a symbol file (a path), or of its text.

    Files of MXNet 0.7 to 1.9 are read: the attributes of a node lay in `param` or `attr` before they lay in `attrs`.

    Raises:
        ExportError: missing, not a symbol, or one that points at nodes or outputs that are not there; mxnet reads beyond its
            memory where some of these do.
    """
    text, name = str(source), "the symbol"
    if not text.lstrip().startswith("{"):
        name = text
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ExportError(f"{name}: cannot be read as a symbol: {error}") from None
    try:
        return _graph(name, json.loads(text))
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ExportError(f"{name}: not a symbol of MXNet ({type(error).__name__}: {error}); expected NAME-symbol.json") from None


def _graph(name: str, data: dict) -> SymbolGraph:
    """A graph, checked.

    Raises:
        ValueError, KeyError, TypeError, IndexError, AttributeError: it is damaged.
    """
    nodes = [_node(name, index, fields) for index, fields in enumerate(data["nodes"])]
    outputs = [_entry(entry) for entry in data["heads"]]
    for node in nodes:
        for index, _ in node.inputs:
            if not 0 <= index < node.index:
                raise ValueError(f"{node} takes its input from node {index}, which is not before it")
    if not outputs or not all(0 <= index < len(nodes) for index, _ in outputs):
        raise ValueError(f"its outputs {outputs} are not among its {len(nodes)} nodes")
    if not all(0 <= int(index) < len(nodes) for index in data.get("arg_nodes", [])):
        raise ValueError(f"one of its arguments is not among its {len(nodes)} nodes")
    return SymbolGraph(name, nodes, outputs)


def _node(name: str, index: int, fields: dict) -> Node:
    attrs = {**fields.get("param", {}), **fields.get("attr", {}), **fields.get("attrs", {})}
    for subgraph in fields.get("subgraphs", []):
        if subgraph["heads"]:
            _graph(name, subgraph)
    inputs = tuple(_entry(entry) for entry in fields["inputs"])
    op, attrs = older_name(str(fields["op"]), {str(key): str(value) for key, value in attrs.items()})
    return Node(index, op, str(fields["name"]), attrs, inputs, bool(fields.get("subgraphs")))


def _entry(entry: list) -> tuple:
    """(node index, output number) of an input or an output."""
    index, number = int(entry[0]), int(entry[1]) if len(entry) > 1 else 0
    if number < 0:
        raise ValueError(f"there is no output {number} of a node")
    return index, number
