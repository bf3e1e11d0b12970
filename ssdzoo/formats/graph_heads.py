"""Where the head outputs of an SSD lie in its symbol: what goes into its softmax and into the decoding of its boxes."""

from dataclasses import dataclass

from ssdzoo.errors import ExportError
from ssdzoo.formats.graph_input import MULTI_BOX_DETECTION
from ssdzoo.formats.symbol_file import Node, SymbolGraph

BOX_DECODE = ("_contrib_box_decode",)
STDS = (0.1, 0.1, 0.2, 0.2)  # of SSDs, and of MultiBoxDetection by default; box_decode's are 1


@dataclass(frozen=True)
class Decoding:
    """How the boxes of a symbol are decoded.

    Attributes:
        offsets: (node index, output number) of the box offsets: (B, N, 4), or where `flat` is set (B, N * 4).
        anchors: the same of the anchors (1, N, 4).
        form: of the anchors, "corner" or "center".
        normalized: they are in normalized coordinates, else in pixels.
        flat: see `offsets`.
        stds: of the four offsets.
    """

    offsets: tuple
    anchors: tuple
    form: str = "center"
    normalized: bool = False
    flat: bool = False
    stds: tuple = STDS


@dataclass(frozen=True)
class Heads:
    """The head outputs of a symbol.

    Attributes:
        logits: (node index, output number) of the class logits, background first.
        channels_first: these are (B, C + 1, N), else (B, N, C + 1).
        boxes: where offsets and anchors are.
    """

    logits: tuple
    channels_first: bool
    boxes: Decoding


def find_heads(graph: SymbolGraph) -> Heads:
    """The head outputs of a symbol: its three outputs, or what its detections are computed from.

    Raises:
        ExportError: it does not show which of its values they are.
    """
    found = detected_heads(graph)
    if found:
        return found
    softmaxes, decoding = _softmaxes(graph), find_decoding(graph)
    if decoding is None and len(graph.outputs) == 3:
        logits, offsets, anchors = graph.outputs
        return Heads(logits, False, Decoding(offsets, anchors))
    raise ExportError(
        f"{graph.source}: its head outputs are not recognized: it has {len(softmaxes)} softmax nodes and "
        f"{'a' if decoding else 'no'} node that decodes boxes; one of each was expected"
    )


def detected_heads(graph: SymbolGraph) -> Heads | None:
    """The head outputs that detections are computed from; None where a symbol has no detection, or several softmaxes."""
    softmaxes, boxes = _softmaxes(graph), find_decoding(graph)
    if boxes is None or len(softmaxes) != 1:
        return None
    node = softmaxes[0]
    graph.producer(node, 0)  # raises where it has no input
    return Heads(node.inputs[0], _over_channels(node), boxes)


def find_decoding(graph: SymbolGraph) -> Decoding | None:
    """How the boxes of a symbol are decoded; None where they are not."""
    node = next((n for n in reversed(_needed(graph)) if n.op in (*BOX_DECODE, *MULTI_BOX_DETECTION)), None)
    if node is None:
        return None
    first = 1 if node.op in MULTI_BOX_DETECTION else 0  # it takes scores before the two
    graph.producer(node, first + 1)
    offsets, anchors = node.inputs[first : first + 2]
    if first:
        return Decoding(offsets, anchors, "corner", True, True, tuple(map(float, node.numbers("variances", STDS))))
    stds = tuple(float(node.get(f"std{i}", 1.0)) for i in range(4))
    return Decoding(offsets, anchors, str(node.get("format", "corner")), stds=stds)


def _softmaxes(graph: SymbolGraph) -> list[Node]:
    """The nodes that turn class logits (B, N, C + 1) or (B, C + 1, N) into scores."""
    return [node for node in _needed(graph) if _is_softmax(node)]


def _is_softmax(node: Node) -> bool:
    if node.op in ("SoftmaxOutput", "Softmax"):
        return node.flag("multi_output") or node.flag("preserve_shape")
    return node.op == "SoftmaxActivation" or (node.op == "softmax" and node.get("temperature", 1.0) == 1)


def _over_channels(node: Node) -> bool:
    if node.op == "softmax":
        return node.get("axis", -1) in (1, -2)
    return node.flag("multi_output") or node.get("mode") == "channel"


def _needed(graph: SymbolGraph) -> list[Node]:
    return [graph.nodes[index] for index in sorted(graph.ancestors())]
