"""The decoding of boxes that GluonCV wrote out in arithmetic, as one operator.

MXNet has `box_decode` since 1.6. Networks that were exported before, or with GluonCV's `minimal_opset`, compute the corners from
the offsets and the anchors column by column.
"""

from dataclasses import replace

from ssdzoo.formats.symbol_file import Node, SymbolGraph, only_needed

_NO_DECODING = (None, None, 0.0)


def with_box_decode(graph: SymbolGraph) -> SymbolGraph:
    """The graph with `box_decode` in the place of that arithmetic; one without it is returned as it is."""
    found = {node.index: new for node in graph.nodes if node.op == "Concat" and (new := _Decoding(graph).read(node))}
    if not found:
        return graph
    nodes = [found.get(node.index, node) for node in graph.nodes]
    raws = [_raw(found[i]) if i in found else raw for i, raw in enumerate(graph.raw["nodes"])]
    return only_needed(replace(graph, nodes=nodes, raw={**graph.raw, "nodes": raws}))


def _raw(node: Node) -> dict:
    return {"op": node.op, "name": node.name, "attrs": node.attrs, "inputs": [[*entry, 0] for entry in node.inputs]}


class _Decoding:
    """Reads corners = center -+ size / 2 of center = offset * std * anchor size + anchor center, size = exp(offset * std) *
    anchor size."""

    def __init__(self, graph: SymbolGraph):
        self._graph = graph

    def read(self, corners: Node) -> Node | None:
        """`box_decode` in the place of a Concat of the corners xmin, ymin, xmax, ymax; None where they are anything else."""
        if corners.get("dim", 1) not in (-1, 2) or len(corners.inputs) != 4:
            return None
        lows, highs = corners.inputs[:2], corners.inputs[2:]
        stds, columns = [0.0] * 4, set()
        for axis, (low, high) in enumerate(zip(lows, highs)):
            parts = self._inputs(low, "elemwise_sub")
            if parts is None or parts != self._inputs(high, "elemwise_add"):
                return None
            center, half = parts
            for i, (offset, std, anchors) in ((axis, self._center(center, axis)), (axis + 2, self._half(half, axis))):
                if offset is None or anchors is None:
                    return None
                stds[i] = std
                columns.add((self._column(offset, i), anchors))
        if len(columns) != 1 or None in (found := columns.pop()):
            return None
        attrs = {**{f"std{i}": str(std) for i, std in enumerate(stds)}, "clip": "-1", "format": "center"}
        return replace(corners, op="_contrib_box_decode", attrs=attrs, inputs=found)

    def _center(self, entry: tuple, axis: int) -> tuple:
        """(output of the offset, its std, output of the anchors) of a center."""
        added = self._inputs(entry, "broadcast_add")
        moved = self._inputs(added[0], "broadcast_mul") if added else None
        if not added or not moved:
            return _NO_DECODING
        anchors = self._column(added[1], axis)
        return (*self._scaled(moved[0]), anchors if anchors == self._column(moved[1], axis + 2) else None)

    def _half(self, entry: tuple, axis: int) -> tuple:
        """The same of half of a size."""
        node = self._graph.nodes[entry[0]]
        factor = {"_div_scalar": 2, "_mul_scalar": 0.5}.get(node.op)
        size = self._inputs(node.inputs[0], "broadcast_mul") if factor and node.inputs and node.get("scalar") == factor else None
        grown = self._inputs(size[0], "exp") if size else None
        return (*self._scaled(grown[0]), self._column(size[1], axis + 2)) if size and grown else _NO_DECODING

    def _scaled(self, entry: tuple) -> tuple:
        """(output of the offset, std) of offset * std, to which older versions add a mean of 0."""
        node = self._graph.nodes[entry[0]]
        if node.op == "_plus_scalar" and node.get("scalar") == 0 and node.inputs:
            node = self._graph.nodes[node.inputs[0][0]]
        std = node.get("scalar") if node.op == "_mul_scalar" and node.inputs else None
        return (node.inputs[0], float(std)) if isinstance(std, (int, float)) else (None, 0.0)

    def _column(self, entry: tuple, number: int) -> tuple | None:
        """The output (B, N, 4) that an output is a column of; None where it is not that column."""
        node = self._graph.nodes[entry[0]]
        split = node.op == "SliceChannel" and node.get("num_outputs") == 4 and node.get("axis", 1) in (-1, 2)
        return node.inputs[0] if split and not node.flag("squeeze_axis") and entry[1] == number and node.inputs else None

    def _inputs(self, entry: tuple, op: str) -> tuple | None:
        """The inputs of the node of an output, if it is of this operator and has all of them."""
        node = self._graph.nodes[entry[0]]
        return node.inputs if node.op == op and len(node.inputs) == (1 if op == "exp" else 2) else None
