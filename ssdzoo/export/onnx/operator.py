"""What the translator of an operator is given, and the table of all translators."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ssdzoo.errors import ExportError
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.formats.symbol_file import Node, SymbolGraph

TRANSLATORS: dict[str, Callable] = {}  # operator -> function of an OperatorCall that returns a Value, or a tuple of them


class Decoding(NamedTuple):
    """How boxes are decoded.

    Attributes:
        offsets: box offsets (B, N, 4).
        anchors: (1, N, 4).
        form: of the anchors, "corner" or "center".
        image: the network's input (B, 3, H, W), where the anchors are in normalized coordinates; else None.
        stds: of the four offsets.
    """

    offsets: Value
    anchors: Value
    form: str
    image: Value | None
    stds: list[float]


class Nms(NamedTuple):
    """The limits of the NMS.

    Attributes:
        thresh: maximum IoU of two boxes that both stay.
        topk: maximum number of candidates; -1 for all.
        valid_thresh: minimum score.
        classes: their number, or None where it is not known.
        normalized: its boxes are in normalized coordinates.
    """

    thresh: float
    topk: int
    valid_thresh: float
    classes: int | None
    normalized: bool = False


@dataclass
class Notes:
    """What translators find out about the detection, for the outputs and the metadata.

    Attributes:
        softmax: (input, axis) of each softmax; the input may be the class logits.
    """

    decoding: Decoding | None = None
    nms: Nms | None = None
    softmax: list[tuple[Value, int]] = field(default_factory=list)


@dataclass(frozen=True)
class OperatorCall:
    """A node of a symbol, and all that its translation needs.

    Attributes:
        g: takes the ONNX nodes.
        node: the node.
        inputs: [Value] of the node.
        graph: the symbol.
        values: {(node index, output number): Value} of all nodes before it.
        image: the network's input (B, 3, H, W).
        notes: what translators find out about the detection; they write into it.
    """

    g: Builder
    node: Node
    inputs: list
    graph: SymbolGraph
    values: dict
    image: Value
    notes: Notes

    @property
    def x(self) -> Value:
        """The first input."""
        self.need(bool(self.inputs), "it has no input")
        return self.inputs[0]

    def need(self, ok: bool, what: str) -> None:
        """Raises an ExportError that names the node and its inputs, unless `ok`; `what` says what was found and expected."""
        if not ok:
            raise ExportError(f"{self.graph.source}: {describe(self.graph, self.node)}: {what}")


def translates(*ops: str) -> Callable:
    """A decorator that enters a function into the table as the translator of these operators."""

    def enter(function):
        for op in ops:
            assert op not in TRANSLATORS, op
            TRANSLATORS[op] = function
        return function

    return enter


def describe(graph: SymbolGraph, node: Node) -> str:
    """A node for an error message: name, operator, and where its inputs come from."""
    sources = ", ".join(str(graph.nodes[i]).removeprefix("node ") for i, _ in node.inputs[:8])
    return f"{node} with inputs {sources or 'none'}{' ...' if len(node.inputs) > 8 else ''}"
