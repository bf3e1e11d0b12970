"""Nodes that are put behind a graph: the form that head outputs have here, and the detection that a preset describes."""

from dataclasses import replace
from typing import Any

from ssdzoo.detections import SCORE_THRESHOLD
from ssdzoo.formats.graph_candidates import Output
from ssdzoo.formats.graph_heads import STDS, Heads, find_heads
from ssdzoo.formats.graph_input import NMS_OPERATORS
from ssdzoo.formats.symbol_file import Node, SymbolGraph, only_needed
from ssdzoo.preset import Preset


def as_heads(graph: SymbolGraph, size: tuple[int, int]) -> SymbolGraph:
    """A graph that ends in class logits (B, N, C + 1), box offsets (B, N, 4) and anchors (1, N, 4), center form and pixels, and
    holds nothing else.

    Args:
        graph: a symbol of head outputs, or of detections.
        size: (H, W) of its input in pixels.

    Raises:
        ExportError: it does not show which of its values they are.
    """
    heads = find_heads(graph)
    add = _Nodes(graph, "heads")
    logits, offsets = heads.logits, heads.boxes.offsets
    if heads.channels_first:
        logits = add("transpose", logits, axes=(0, 2, 1))
    if heads.boxes.flat:
        offsets = add("Reshape", offsets, shape=(0, -1, 4))
    return only_needed(add.graph([logits, offsets, _anchors(add, heads, size)]))


def _anchors(add: "_Nodes", heads: Heads, size: tuple[int, int]) -> Output:
    boxes, (height, width) = heads.boxes, size
    if not boxes.normalized and boxes.form == "center":
        return boxes.anchors
    columns = [add("slice_axis", boxes.anchors, axis=2, begin=i, end=i + 1) for i in range(4)]
    if boxes.normalized:
        columns = [add("_mul_scalar", column, scalar=float(side)) for column, side in zip(columns, (width, height) * 2)]
    if boxes.form != "center":
        first, second = columns[:2], columns[2:]
        columns = [add("_mul_scalar", add("elemwise_add", a, b), scalar=0.5) for a, b in zip(first, second)]
        columns += [add("elemwise_sub", b, a) for a, b in zip(first, second)]
    return add("Concat", *columns, dim=2, num_args=4)


def with_detection(graph: SymbolGraph, preset: Preset) -> SymbolGraph:
    """A graph of head outputs with the detection of its preset behind them, as `ssdzoo.nn.detect.Detect` writes it. One that
    ends in anything else is returned as it is.

    Args:
        preset: with its classes.
    """
    if len(graph.outputs) != 3 or any(node.op in NMS_OPERATORS for node in graph.nodes):
        return graph
    add = _Nodes(graph, "detect")
    (logits, offsets, anchors), count = graph.outputs, len(preset.classes or ())
    stds = {f"std{i}": std for i, std in enumerate(STDS)}
    boxes = add("_contrib_box_decode", offsets, anchors, clip=-1, format="center", **stds)
    scores = add("slice_axis", add("softmax", logits, axis=-1), axis=-1, begin=1, end=None)
    scores = add("transpose", scores, axes=(0, 2, 1))
    confident = add("_greater_scalar", scores, scalar=SCORE_THRESHOLD)
    numbers = add("_arange", start=count, stop=None, step=1.0, repeat=1, infer_range=False, dtype="float32")
    ids = add("broadcast_add", add("zeros_like", scores), add("Reshape", numbers, shape=(1, -1, 1)))
    ids = add("where", confident, ids, add("_mul_scalar", add("ones_like", ids), scalar=-1))
    scores = add("where", confident, scores, add("zeros_like", scores))
    boxes = add("broadcast_axis", add("expand_dims", boxes, axis=1), axis=1, size=count)
    rows = add("Concat", *(add("expand_dims", x, axis=-1) for x in (ids, scores)), boxes, dim=-1, num_args=3)
    rows = add("Reshape", rows, shape=(0, -3, 6))
    if 0 < preset.nms_thresh < 1:
        rows = add(
            "_contrib_box_nms", rows, overlap_thresh=preset.nms_thresh, topk=preset.nms_topk, valid_thresh=SCORE_THRESHOLD,
            id_index=0, score_index=1, coord_start=2, force_suppress=preset.suppress == "across",
        )  # fmt: skip
        if preset.post_nms > 0:
            rows = add("slice", rows, begin=(None, 0), end=(None, preset.post_nms))
    return add.graph([add("slice_axis", rows, axis=2, begin=b, end=e) for b, e in ((0, 1), (1, 2), (2, 6))])


class _Nodes:
    """Adds nodes to a copy of a graph.

    Args:
        prefix: of their names.
    """

    def __init__(self, graph: SymbolGraph, prefix: str):
        self._source, self._prefix = graph, prefix
        self._nodes, self._raws = list(graph.nodes), list(graph.raw["nodes"])

    def __call__(self, op: str, *inputs: Output, **attrs: Any) -> Output:
        """The first output of a new node."""
        index = len(self._nodes)
        node = Node(index, op, f"{self._prefix}_{index}", {key: str(value) for key, value in attrs.items()}, inputs)
        self._nodes.append(node)
        self._raws.append({"op": op, "name": node.name, "attrs": node.attrs, "inputs": [[*entry, 0] for entry in inputs]})
        return index, 0

    def graph(self, outputs: list[Output]) -> SymbolGraph:
        """The graph with these outputs."""
        raw = {**self._source.raw, "nodes": self._raws, "heads": [[*output, 0] for output in outputs]}
        return replace(self._source, nodes=self._nodes, outputs=list(outputs), raw=raw)
