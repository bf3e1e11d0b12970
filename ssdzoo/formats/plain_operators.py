"""A symbol that mxnet quantized to int8 or partitioned for a CPU, as the float32 network that it was made from.

`mxnet.contrib.quantization` keeps the weights as float32; its operators round them when the network is loaded. What it makes of a
network is therefore undone without loss: a node with a graph of its own becomes the nodes of that graph, an operator of int8 the
one of float32, and what rounds and scales values between them is left out.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace

from ssdzoo.errors import ExportError
from ssdzoo.formats.symbol_file import Node, SymbolGraph, read_symbol, symbol_text

_log = logging.getLogger(__name__)
_ROUNDING = ("_contrib_quantize", "_contrib_quantize_v2", "_contrib_requantize", "_contrib_dequantize")
_FUSED = "_sg_mkldnn_"
# Without _contrib_quantized_conv and _contrib_quantized_fully_connected, whose weights are saved as int8.
_FLOAT_OPERATORS = {
    "_contrib_quantized_act": "Activation",
    "_contrib_quantized_batch_norm": "BatchNorm",
    "_contrib_quantized_concat": "Concat",
    "_contrib_quantized_elemwise_add": "elemwise_add",
    "_contrib_quantized_elemwise_mul": "elemwise_mul",
    "_contrib_quantized_flatten": "Flatten",
    "_contrib_quantized_pooling": "Pooling",
}
_OF_INT8 = ("min_calib_range", "max_calib_range", "with_relu", "enable_float_output")  # attributes
_INPUTS = {"Activation": 1, "BatchNorm": 5, "elemwise_add": 2, "elemwise_mul": 2, "Flatten": 1, "Pooling": 1}


def with_plain_operators(graph: SymbolGraph) -> SymbolGraph:
    """The float32 network of a graph. One that mxnet neither quantized nor partitioned is returned as it is.

    Raises:
        ExportError: a node lacks inputs, or its own graph does not fit them; minima or maxima of int8 values are used as values.
    """
    if not any(_is_changed(node) for node in graph.nodes):
        return graph
    if any(node.op in _ROUNDING for node in graph.nodes):
        _log.info("%s was quantized to int8 by MXNet; its float32 weights are used as they are", graph.source)
    plain = _Plain(graph)
    for node in graph.nodes:
        plain.add(node)
    outputs = [plain.place(output) for output in graph.outputs]
    raw = {
        **graph.raw,
        "nodes": plain.raws,
        "arg_nodes": [node.index for node in plain.nodes if node.op == "null"],
        "heads": [[*output, 0] for output in outputs],
    }
    return replace(graph, nodes=plain.nodes, outputs=outputs, raw=raw)


def _is_fused(node: Node) -> bool:
    return node.partitioned and node.op.startswith(_FUSED)


def _is_changed(node: Node) -> bool:
    return node.op in _ROUNDING or node.op in _FLOAT_OPERATORS or _is_fused(node)


class _Plain:
    """The new nodes, and where the outputs of the old ones are."""

    def __init__(self, graph: SymbolGraph):
        self._graph = graph
        self.nodes: list[Node] = []
        self.raws: list[dict] = []
        self._places: dict[int, tuple] = {}  # of the first output of each old node

    def add(self, node: Node) -> None:
        """Adds an old node, after those of its inputs."""
        if node.op in _ROUNDING:
            self._graph.producer(node, 0)  # raises where it has no input
            self._places[node.index] = self.place(node.inputs[0])
        elif _is_fused(node):
            self._places[node.index] = self._part(node)
        elif node.op in _FLOAT_OPERATORS:
            self._places[node.index] = self._float(node)
        else:
            self._places[node.index] = self._new(node, self._graph.raw["nodes"][node.index], map(self.place, node.inputs))

    def place(self, entry: tuple) -> tuple:
        """Where an output of an old node is: (new node, output number)."""
        index, number = entry
        old = self._graph.nodes[index]
        if number and _is_changed(old):
            raise ExportError(f"{self._graph.source}: the minimum or the maximum that {old} gives is used as a value")
        new, first = self._places[index]
        return new, first + number

    def _float(self, node: Node) -> tuple:
        op = _FLOAT_OPERATORS[node.op]
        count = int(node.numbers("num_args", 1)[0]) if op == "Concat" else _INPUTS[op]  # their minima and maxima follow
        self._graph.producer(node, count - 1)
        attrs = {key: value for key, value in node.attrs.items() if key not in _OF_INT8}
        raw = {"op": op, "name": node.name, "attrs": attrs}
        return self._new(replace(node, op=op, attrs=attrs), raw, map(self.place, node.inputs[:count]))

    def _part(self, node: Node) -> tuple:
        """The nodes of a node's own graph, whose variables stand for its inputs, in their order; minima and maxima follow."""
        parts = self._graph.raw["nodes"][node.index]["subgraphs"]
        part = read_symbol(symbol_text(parts[0]), f"{self._graph.source}: {node}")
        variables = [inner for inner in part.nodes if inner.op == "null"]
        if len(parts) != 1 or len(part.outputs) != 1 or len(variables) > len(node.inputs):
            raise ExportError(f"{self._graph.source}: {node} has {len(node.inputs)} inputs, which its own graph does not fit")
        inside = {variable.index: self.place(entry) for variable, entry in zip(variables, node.inputs)}
        for inner in part.nodes:
            if inner.op != "null":
                inputs = [(inside[index][0], inside[index][1] + number) for index, number in inner.inputs]
                inside[inner.index] = self._new(inner, part.raw["nodes"][inner.index], inputs)
        index, number = part.outputs[0]
        return inside[index][0], inside[index][1] + number

    def _new(self, node: Node, raw: dict, inputs: Iterable[tuple]) -> tuple:
        entries = tuple(inputs)
        self.nodes.append(replace(node, index=len(self.nodes), inputs=entries))
        self.raws.append({**raw, "inputs": [[*entry, 0] for entry in entries]})
        return len(self.nodes) - 1, 0
