"""The graph of the detection in a symbol: without the losses and labels of a training, and with another NMS if one is wanted."""

from dataclasses import replace
from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.formats.graph_input import BOX_NMS, NMS_OPERATORS
from ssdzoo.formats.plain_operators import with_plain_operators
from ssdzoo.formats.spelled_decoding import with_box_decode
from ssdzoo.formats.symbol_file import KINDS, Node, SymbolGraph, only_needed, read_symbol
from ssdzoo.preset_fields import SUPPRESS

_SOFTMAX_WITH_LABELS = ("SoftmaxOutput", "Softmax")
_GIVES_ITS_INPUT = ("MakeLoss", "make_loss", "BlockGrad", "stop_gradient")  # in a prediction


def read_detection(source: str | Path, name: str = "the symbol") -> SymbolGraph:
    """The graph of the detection in a symbol file (a path), or in its text; of one for int8 that of its float32 network.

    Args:
        name: of a text, in errors.

    Raises:
        ExportError: as `read_symbol`.
    """
    return with_box_decode(cut_to_detection(with_plain_operators(read_symbol(source, name))))


def cut_to_detection(graph: SymbolGraph) -> SymbolGraph:
    """The part of a graph that a prediction needs.

    mxnet-ssd and SageMaker save the graph of the training: its outputs are the class probabilities, the box loss, the class
    targets and the detections, each wrapped as a loss. The outputs that come from an NMS stay. A SoftmaxOutput becomes a softmax
    over the same axis without its label. What nothing needs then, the labels and MultiBoxTarget, is gone. A graph without any of
    these is returned as it is.
    """
    outputs = _detections(graph)
    whole = [_without_label(node) for node in graph.nodes]
    changed = [node.index for node, before in zip(whole, graph.nodes) if node is not before]
    if outputs == graph.outputs and not changed:
        return graph
    raws = list(graph.raw["nodes"])
    for index in changed:
        node = whole[index]
        raws[index] = {"op": node.op, "name": node.name, "attrs": node.attrs, "inputs": [[*entry, 0] for entry in node.inputs]}
    return only_needed(replace(graph, nodes=whole, outputs=outputs, raw={**graph.raw, "nodes": raws}))


def _detections(graph: SymbolGraph) -> list:
    """The outputs that come from an NMS, behind their losses; all of a graph where none or each of them does."""
    after: set = set()
    for node in graph.nodes:
        if node.op in NMS_OPERATORS or after & {index for index, _ in node.inputs}:
            after.add(node.index)
    found = [output for output in graph.outputs if output[0] in after]
    return [_behind_loss(graph, output) for output in found] if found else graph.outputs


def _behind_loss(graph: SymbolGraph, output: tuple) -> tuple:
    node = graph.nodes[output[0]]
    while node.op in _GIVES_ITS_INPUT and node.inputs:
        output = node.inputs[0]
        node = graph.nodes[output[0]]
    return output


def _without_label(node: Node) -> Node:
    """A softmax in place of one with labels. One over all values of an image, as classifiers have it, stays."""
    if node.op not in _SOFTMAX_WITH_LABELS or not node.inputs:
        return node
    axis = "1" if node.flag("multi_output") else "-1" if node.flag("preserve_shape") else None
    return node if axis is None else replace(node, op="softmax", attrs={"axis": axis}, inputs=node.inputs[:1])


def check_suppress(suppress: str | None) -> None:
    """
    Raises:
        CallError: neither None nor one of SUPPRESS.
    """
    if suppress not in (None, *SUPPRESS):
        raise CallError(f"suppress={suppress}: expected {' or '.join(SUPPRESS)}")


def suppression(graph: SymbolGraph) -> str | None:
    """What the NMS of a graph compares, one of SUPPRESS; None where it has none."""
    found = [node.flag("force_suppress") for node in graph.nodes if node.op in NMS_OPERATORS]
    return SUPPRESS[any(found)] if found else None


def with_suppression(graph: SymbolGraph, suppress: str) -> SymbolGraph:
    """The graph with an NMS in which a box removes worse ones of its own class ("per-class"), or of all classes ("across").

    Raises:
        CallError: another value; a graph without NMS, or with one that does not know the classes of its boxes.
    """
    check_suppress(suppress)
    nodes, raws = list(graph.nodes), list(graph.raw["nodes"])
    found = [node for node in graph.nodes if node.op in NMS_OPERATORS]
    if not found:
        raise CallError(f"{graph.source}: it has no NMS: leave suppress= out")
    for node in found:
        if suppress == "per-class" and node.op in BOX_NMS and node.get("id_index", -1) < 0:
            raise CallError(f"{graph.source}: {node} does not know the classes of its boxes: it can't suppress per-class")
        value = {"force_suppress": str(suppress == "across")}
        nodes[node.index] = replace(node, attrs={**node.attrs, **value})
        raw = raws[node.index]
        kind = next((kind for kind in KINDS if "force_suppress" in raw.get(kind, {})), None)
        kind = kind or next((kind for kind in KINDS if kind in raw), "attrs")
        raws[node.index] = {**raw, kind: {**raw.get(kind, {}), **value}}
    return replace(graph, nodes=nodes, raw={**graph.raw, "nodes": raws})
