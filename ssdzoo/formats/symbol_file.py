"""MXNet's symbol files (`NAME-symbol.json`) in plain Python: nodes, their attributes and their inputs."""

import ast
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ssdzoo.errors import ExportError
from ssdzoo.files import read_whole
from ssdzoo.formats.numpy_names import older_name
from ssdzoo.quote import brief, short

_LONGEST = 10_000  # characters of an attribute; those of real ones are a list of anchor sizes at most
_MAX_NODES = 20_000  # of a graph; one with a thousand classes has 4,000
_MAX_BYTES = 64 << 20  # of a file
KINDS = ("param", "attr", "attrs")  # where the attributes of a node lay in MXNet 0.7, 0.8 and from 1.0 on
# Numbers that mxnet divides by, allocates or loops over without a look: (minimum, maximum) by the attribute's name.
_POSITIVE = "kernel stride dilate num_group num_filter num_hidden num_args num_outputs scale"
_COUNTS = "pad adj pad_width sections nsize reps depth block_size"
_INTEGERS = (
    "axis axes dim dim1 dim2 lhs_axes rhs_axes begin end step coord_start shape score_index id_index background_id topk nms_topk "
    "post_nms k target_shape size"
)
_RANGES = {
    **dict.fromkeys(_POSITIVE.split(), (1, 1 << 16)),
    **dict.fromkeys(_COUNTS.split(), (0, 1 << 16)),
    **dict.fromkeys(_INTEGERS.split(), (-(1 << 31), (1 << 31) - 1)),
}


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
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return {"true": True, "false": False}.get(text, text)
        if any(isinstance(number, int) and number.bit_length() > 64 for number in _flat(value)):
            raise ExportError(f"{self}: attribute {key!r} is {short(text)}; numbers have at most 64 bits")
        return value if isinstance(value, (int, float, str, tuple, list)) else text

    def flag(self, key: str, default: bool = False) -> bool:
        """The value of an attribute that says yes or no; old files write 0 and 1."""
        return bool(self.get(key, default))

    def numbers(self, key: str, default: Any = ()) -> list:
        """The numbers of an attribute that is a tuple; one number is a tuple of one."""
        value = self.get(key, default)
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(v, (int, float)) for v in values):
            raise ExportError(f"{self}: attribute {key!r} is {brief(self.attrs.get(key))}; numbers were expected")
        return values

    def __str__(self) -> str:
        return f"node {brief(self.name)} ({short(self.op)})"


@dataclass(frozen=True)
class SymbolGraph:
    """The graph of a symbol.

    Attributes:
        source: the path of its file, for messages.
        nodes: [Node] in the order of the file.
        outputs: [(node index, output number)].
        raw: the JSON of the file, as far as mxnet reads it, with every value of the right type.
    """

    source: str
    nodes: list
    outputs: list
    raw: dict

    def producer(self, node: Node, number: int) -> Node:
        """The node that computes the input `number` of a node."""
        if number >= len(node.inputs):
            raise ExportError(f"{self.source}: {node} has {len(node.inputs)} inputs; at least {number + 1} were expected")
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

    def statistics(self) -> set:
        """Names of the running means and variances, which mxnet calls auxiliary."""
        norms = [node for node in self.nodes if node.op.startswith("BatchNorm")]
        return {self.nodes[index].name for node in norms for index, _ in node.inputs[3:]}


def with_outputs(graph: SymbolGraph, outputs: list) -> SymbolGraph:
    """The same graph with other outputs, [(node index, output number)]."""
    raw = {**graph.raw, "heads": [[*output, 0] for output in outputs]}
    return replace(graph, outputs=list(outputs), raw=raw)


def only_needed(graph: SymbolGraph) -> SymbolGraph:
    """The graph without the nodes that its outputs don't depend on; the others are numbered again."""
    kept = sorted(graph.ancestors())
    number = {old: new for new, old in enumerate(kept)}

    def renumbered(entries: list | tuple) -> list:
        return [(number[index], output) for index, output in entries]

    nodes = [replace(graph.nodes[i], index=number[i], inputs=tuple(renumbered(graph.nodes[i].inputs))) for i in kept]
    outputs = renumbered(graph.outputs)
    raw = {
        **graph.raw,
        "nodes": [{**graph.raw["nodes"][i], "inputs": [[*entry, 0] for entry in nodes[number[i]].inputs]} for i in kept],
        "arg_nodes": [node.index for node in nodes if node.op == "null"],
        "heads": [[*output, 0] for output in outputs],
    }
    return replace(graph, nodes=nodes, outputs=outputs, raw=raw)


def read_symbol(source: str | Path, name: str = "the symbol") -> SymbolGraph:
    """The graph of a symbol file (a path), or of its text, which errors call `name`.

    Files of MXNet 0.7 to 1.9 are read: the attributes of a node lay in `param` or `attr` before they lay in `attrs`.

    Raises:
        ExportError: missing, not a symbol, one that points at nodes that are not there, or one with impossible numbers in its
            attributes; mxnet reads beyond its memory, or ends the process, where some of these do.
    """
    text = str(source)
    if not text.lstrip().startswith("{"):
        name = text
        try:
            text = read_whole(source, _MAX_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ExportError(f"{name}: cannot be read as a symbol: {why}") from None
    try:
        return _graph(name, json.loads(text))
    except ExportError:
        raise
    except KeyError as error:
        reason = f"it has no {error}"
    except RecursionError:
        reason = "it is nested too deeply"
    except (ValueError, SyntaxError, TypeError, IndexError, AttributeError, OverflowError, MemoryError) as error:
        reason = str(error) or type(error).__name__
    raise ExportError(f"{name}: not a symbol of MXNet ({short(reason, 200)}); expected NAME-symbol.json")


def _graph(name: str, data: dict) -> SymbolGraph:
    """A graph, checked.

    Raises:
        ValueError, KeyError, TypeError, IndexError, AttributeError: it is damaged.
    """
    if len(data["nodes"]) > _MAX_NODES:
        raise ValueError(f"it has {len(data['nodes'])} nodes; at most {_MAX_NODES} are read")
    raws = [_raw_node(name, fields) for fields in data["nodes"]]
    nodes = [_node(index, fields) for index, fields in enumerate(raws)]
    heads = [_entry(entry) for entry in data["heads"]]
    for node in nodes:
        for index, number in node.inputs:
            if not 0 <= index < node.index:
                raise ValueError(f"{node} takes its input from node {index}, which is not before it")
            if number and nodes[index].op == "null":
                raise ValueError(f"{node} takes output {number} of {nodes[index]}, which has one")
        if node.op == "null" and node.inputs:
            raise ValueError(f"{node} is a variable with inputs")
        _check_attributes(node)
    if not heads or not all(0 <= index < len(nodes) for index, _ in heads):
        raise ValueError(f"its outputs {brief(str(heads))} are not among its {len(nodes)} nodes")
    if not all(0 <= _integer(index) < len(nodes) for index in data.get("arg_nodes", [])):
        raise ValueError(f"one of its arguments is not among its {len(nodes)} nodes")
    raw = {
        "nodes": raws,
        "arg_nodes": [node.index for node in nodes if node.op == "null"],
        "heads": [[*head, 0] for head in heads],
    }
    version = data.get("attrs", {}).get("mxnet_version")
    if version is not None:
        raw["attrs"] = {"mxnet_version": ["int", _integer(version[1])]}
    return SymbolGraph(name, nodes, heads, raw)


def _raw_node(name: str, fields: dict) -> dict:
    """The JSON of a node, of the types that mxnet reads."""
    raw: dict = {"op": _text(fields["op"]), "name": _text(fields["name"])}
    for kind in KINDS:
        if kind in fields:
            raw[kind] = {_text(key): _text(str(value)) for key, value in fields[kind].items()}
    raw["inputs"] = [[*_entry(entry), 0] for entry in fields["inputs"]]
    parts = [_graph(name, part).raw if part["heads"] else part for part in fields.get("subgraphs", [])]
    return {**raw, "subgraphs": parts} if parts else raw


def _node(index: int, raw: dict) -> Node:
    attrs = {key: value for kind in KINDS for key, value in raw.get(kind, {}).items()}
    op, attrs = older_name(raw["op"], attrs)
    return Node(index, op, raw["name"], attrs, tuple((i, n) for i, n, _ in raw["inputs"]), "subgraphs" in raw)


def _check_attributes(node: Node) -> None:
    """Refuses numbers that mxnet does not check before it divides by them or allocates them."""
    if node.op == "null":
        return
    for key in _RANGES.keys() & node.attrs.keys():
        low, high = _RANGES[key]
        value = node.get(key)
        for number in _flat(value):
            if isinstance(number, (int, float)) and not low <= number <= high:
                raise ValueError(f"{node}: attribute {key!r} is {short(node.attrs[key])}; expected {low} to {high}")


def _flat(value: Any) -> list:
    return [number for item in value for number in _flat(item)] if isinstance(value, (tuple, list)) else [value]


def _entry(entry: list) -> tuple:
    """(node index, output number) of an input or an output."""
    index, number = _integer(entry[0]), _integer(entry[1]) if len(entry) > 1 else 0
    if number < 0:
        raise ValueError(f"there is no output {number} of a node")
    return index, number


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 31:
        raise ValueError(f"{brief(value)} stands where a number of a node or an output was expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{brief(value)} stands where a name or an attribute was expected")
    return value


def symbol_text(raw: dict) -> str:
    """The text of a symbol's JSON, a line for each node: Python's own indentation takes ten times as long."""
    nodes = ",\n".join(map(json.dumps, raw["nodes"]))
    others = "".join(f",\n{json.dumps(key)}: {json.dumps(value)}" for key, value in raw.items() if key != "nodes")
    return f'{{\n"nodes": [\n{nodes}\n]{others}\n}}\n'
