"""The candidates that go into NMS, found in a graph.

GluonCV and ssdzoo join class id, score and box into C * N rows of 6 numbers. What recognizes them need not copy a box per class.
"""

from dataclasses import dataclass

from ssdzoo.formats.symbol_file import Node, SymbolGraph

Output = tuple[int, int]  # index of a node, number of its output


@dataclass(frozen=True)
class JoinedRows:
    """Where a graph holds the parts of its candidates.

    Attributes:
        ids, scores: outputs of (B, N, C) where `class_axis` is 2, of (B, C, N) where it is 1.
        boxes: output of (B, N, 4), corners.
        classes: C.
        class_axis: 2 in GluonCV's networks, 1 in ssdzoo's.
        implied: the ids are 0, 1, ... along the axis of the classes, and -1 where the score is 0.
    """

    ids: Output
    scores: Output
    boxes: Output
    classes: int
    class_axis: int
    implied: bool


def joined_rows(graph: SymbolGraph, nms: Node) -> JoinedRows | None:
    """The parts of the rows that a node of `box_nms` takes, class after class; None where they are of no known form."""
    return _joined_by_class(graph, nms) or _joined_at_once(graph, nms)


def _joined_by_class(graph: SymbolGraph, nms: Node) -> JoinedRows | None:
    """GluonCV: a Concat of one Concat(slice of ids, slice of scores, boxes) for each class."""
    node = graph.producer(nms, 0)
    if node.op != "Concat" or node.get("dim", 1) != 1:
        return None
    found = set()
    for i in range(len(node.inputs)):
        rows = graph.producer(node, i)
        if rows.op != "Concat" or rows.get("dim", 1) not in (-1, 2) or len(rows.inputs) != 3:
            return None
        slices = [graph.producer(rows, j) for j in (0, 1)]
        for s in slices:
            if (
                not s.inputs
                or s.op != "slice_axis"
                or (s.get("axis"), s.get("begin"), s.get("end")) not in ((-1, i, i + 1), (2, i, i + 1))
            ):
                return None
        found.add((slices[0].inputs[0], slices[1].inputs[0], rows.inputs[2]))
    if len(found) != 1:
        return None
    ids, scores, boxes = found.pop()
    classes = len(node.inputs)
    return JoinedRows(ids, scores, boxes, classes, 2, _ids_are_class_indices(graph, ids, scores, (1, 1, classes)))


def _joined_at_once(graph: SymbolGraph, nms: Node) -> JoinedRows | None:
    """ssdzoo: Reshape((0, -3, 6)) of Concat(expand_dims(ids), expand_dims(scores), broadcast_axis(expand_dims(boxes)))."""
    node = graph.producer(nms, 0)
    if node.op != "Reshape" or node.numbers("shape") != [0, -3, 6]:
        return None
    rows = graph.producer(node, 0)
    if rows.op != "Concat" or rows.get("dim", 1) not in (-1, 3) or len(rows.inputs) != 3:
        return None
    ids, scores, tiled = (graph.producer(rows, i) for i in range(3))
    if any(n.op != "expand_dims" or n.get("axis") != -1 or not n.inputs for n in (ids, scores)) or tiled.op != "broadcast_axis":
        return None
    boxes, size = graph.producer(tiled, 0), tiled.numbers("size")
    if boxes.op != "expand_dims" or boxes.get("axis") != 1 or tiled.numbers("axis") != [1] or len(size) != 1:
        return None
    implied = _ids_are_class_indices(graph, ids.inputs[0], scores.inputs[0], (1, -1, 1))
    return JoinedRows(ids.inputs[0], scores.inputs[0], boxes.inputs[0], int(size[0]), 1, implied)


def _ids_are_class_indices(graph: SymbolGraph, ids_key: Output, scores_key: Output, shape: tuple) -> bool:
    """Whether the ids are 0, 1, ... along the axis of the classes, -1 where the scores are 0:
    ids = where(mask, zeros + arange reshaped to `shape`, ones * -1) and scores = where(mask, ..., zeros). GluonCV's exports of
    before MXNet 1.6 join zeros + 0, zeros + 1 and so on."""
    ids, scores = graph.nodes[ids_key[0]], graph.nodes[scores_key[0]]
    if ids.op != "where" or scores.op != "where" or ids.inputs[:1] != scores.inputs[:1]:
        return False
    added, other, zeros = graph.producer(ids, 1), graph.producer(ids, 2), graph.producer(scores, 2)
    if other.op != "_mul_scalar" or other.get("scalar") != -1 or graph.producer(other, 0).op != "ones_like":
        return False
    if zeros.op != "zeros_like":
        return False
    if added.op == "Concat" and added.get("dim", 1) in (-1, 2) and shape[:2] == (1, 1) and len(added.inputs) == shape[2]:
        return all(_is_number(graph, graph.producer(added, i), i) for i in range(shape[2]))
    if added.op != "broadcast_add":
        return False
    template, numbers = graph.producer(added, 0), graph.producer(added, 1)
    if (template.op, numbers.op) != ("zeros_like", "Reshape") or tuple(numbers.numbers("shape")) != shape:
        return False
    count = graph.producer(numbers, 0)
    return count.op == "_arange" and count.get("stop") is None and count.get("step", 1) == 1 and count.get("repeat", 1) == 1


def _is_number(graph: SymbolGraph, node: Node, number: int) -> bool:
    """Whether a node is zeros + number."""
    return node.op == "_plus_scalar" and node.get("scalar") == number and graph.producer(node, 0).op == "zeros_like"
