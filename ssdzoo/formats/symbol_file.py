"""MXNet's symbol files (`NAME-symbol.json`) in plain Python: nodes, their attributes and their inputs."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from ssdzoo.errors import ExportError

_LONGEST = 10_000  # characters of an attribute; those of real ones are a list of anchor sizes at most


@dataclass(frozen=True)
class Node:
    """One node of a symbol.

    Attributes:
        index: its place in the file; inputs have smaller ones.
        op: the operator, "null" for a variable.
        name: as in the file.
        attrs: {name: text}.
        inputs: ((node index, output number), ...).
    """

    index: int
    op: str
    name: str
    attrs: dict
    inputs: tuple

    def get(self, key: str, default=None):
        """The value of an attribute, a Python literal or a text; `default` where it is missing or None."""
        text = self.attrs.get(key)
        if text is None or text == "None":
            return default
        if len(text) > _LONGEST:
            raise ExportError(f"{self}: attribute {key!r} has {len(text)} characters; at most {_LONGEST} are read")
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return {"true": True, "false": False}.get(text, text)

    def flag(self, key: str, default: bool = False) -> bool:
        """The value of an attribute that says yes or no; old files write 0 and 1."""
        return bool(self.get(key, default))

    def numbers(self, key: str, default=()) -> list:
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
    """The nodes in the order of the file, and the outputs ((node index, output number), ...)."""

    source: str
    nodes: list
    heads: list

    def producer(self, node: Node, number: int) -> Node:
        """The node that makes the input `number` of a node."""
        return self.nodes[node.inputs[number][0]]

    def ancestors(self) -> set:
        """Indices of the nodes that the outputs depend on."""
        found, waiting = set(), [index for index, _ in self.heads]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += [i for i, _ in self.nodes[index].inputs]
        return found


def read_symbol(source) -> SymbolGraph:
    """The graph of a symbol file (a path), or of its text.

    Files of MXNet 0.7 to 1.9 are read: the attributes of a node lay in `param` or `attr` before they lay in `attrs`.

    Raises:
        ExportError: missing, not a symbol, or a node that depends on a later one.
    """
    text, name = str(source), "the symbol"
    if not text.lstrip().startswith("{"):
        name = text
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ExportError(f"{name}: cannot be read as a symbol: {error}") from None
    try:
        data = json.loads(text)
        nodes = [_node(i, row) for i, row in enumerate(data["nodes"])]
        heads = [tuple(map(int, head[:2])) for head in data["heads"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ExportError(f"{name}: not a symbol of MXNet ({type(error).__name__}: {error}); expected NAME-symbol.json") from None
    for node in nodes:
        for index, _ in node.inputs:
            if not 0 <= index < node.index:
                raise ExportError(f"{name}: {node} takes its input from node {index}, which is not before it")
    if not heads or not all(0 <= index < len(nodes) for index, _ in heads):
        raise ExportError(f"{name}: its outputs {heads} are not among its {len(nodes)} nodes")
    return SymbolGraph(name, nodes, heads)


def _node(index: int, row: dict) -> Node:
    attrs = {**row.get("param", {}), **row.get("attr", {}), **row.get("attrs", {})}
    if row.get("subgraphs"):
        raise ExportError(f"node {row['name']!r} ({row['op']}) holds a subgraph; export the network before it is partitioned")
    inputs = tuple((int(i[0]), int(i[1])) for i in row["inputs"])
    return Node(index, str(row["op"]), str(row["name"]), {str(k): str(v) for k, v in attrs.items()}, inputs)
