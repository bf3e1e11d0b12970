"""The candidates that go into NMS, as ids, scores and boxes, so that a box is not copied for each class.

GluonCV and ssdzoo join class id, score and box into C * N rows of 6 numbers before `box_nms`. The known forms of that are
recognized in the symbol here. Candidates of any other form stay rows.
"""

from dataclasses import dataclass

from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.nms import gather_rows
from ssdzoo.export.onnx.operator import OperatorCall


@dataclass(frozen=True)
class Candidates:
    """Candidates, ordered by class.

    Attributes:
        scores: (B, C * N) float32.
        ids: (B, C * N) float32 class ids; None where the position of a candidate gives its class, unless its score is 0.
        boxes: (B, N, 4) float32 corners.
        classes: C.
    """

    scores: Value
    ids: Value | None
    boxes: Value
    classes: int

    def gather(self, g: Builder, indices: Value) -> tuple[Value, Value]:
        """Class ids (B, K) and boxes (B, K, 4) of candidates (B, K, 1)."""
        anchors = g.size(self.boxes, 1)
        if self.ids is None:
            ids = g.add("Cast", g.add("Squeeze", g.add("Div", indices, anchors), [2]), to=1)
        else:
            ids = gather_rows(g, self.ids, g.add("Mod", indices, g.size(self.ids, 1)))
        return ids, gather_rows(g, self.boxes, g.add("Mod", indices, anchors))


def find_candidates(call: OperatorCall) -> Candidates | None:
    """The Candidates in the input of `box_nms`, or None where it is not of a known form."""
    return _joined_by_class(call) or _joined_at_once(call)


def _joined_by_class(call: OperatorCall) -> Candidates | None:
    """GluonCV: a Concat of one Concat(slice of ids, slice of scores, boxes) for each class."""
    graph, node = call.graph, call.graph.producer(call.node, 0)
    if node.op != "Concat" or node.get("dim", 1) != 1:
        return None
    found = set()
    for i in range(len(node.inputs)):
        rows = graph.producer(node, i)
        if rows.op != "Concat" or rows.get("dim", 1) not in (-1, 2) or len(rows.inputs) != 3:
            return None
        slices = [graph.producer(rows, j) for j in (0, 1)]
        for s in slices:
            if s.op != "slice_axis" or (s.get("axis"), s.get("begin"), s.get("end")) not in ((-1, i, i + 1), (2, i, i + 1)):
                return None
        found.add((slices[0].inputs[0], slices[1].inputs[0], rows.inputs[2]))
    if len(found) != 1:
        return None
    ids_key, scores_key, boxes_key = found.pop()
    ids, scores, boxes = (call.values[key] for key in (ids_key, scores_key, boxes_key))
    classes = len(node.inputs)
    if scores.dims[2] != classes or boxes.dims[2] != 4:
        return None
    implied = _ids_are_class_indices(call, ids_key, scores_key, (1, 1, classes))
    scores, ids = (call.g.add("Reshape", call.g.add("Transpose", v, perm=[0, 2, 1]), [0, -1]) for v in (scores, ids))
    return Candidates(scores, None if implied else ids, boxes, classes)


def _joined_at_once(call: OperatorCall) -> Candidates | None:
    """ssdzoo: Reshape((0, -3, 6)) of Concat(expand_dims(ids), expand_dims(scores), broadcast_axis(expand_dims(boxes)))."""
    graph, node = call.graph, call.graph.producer(call.node, 0)
    if node.op != "Reshape" or node.numbers("shape") != [0, -3, 6]:
        return None
    rows = graph.producer(node, 0)
    if rows.op != "Concat" or rows.get("dim", 1) not in (-1, 3) or len(rows.inputs) != 3:
        return None
    ids, scores, tiled = (graph.producer(rows, i) for i in range(3))
    if any(n.op != "expand_dims" or n.get("axis") != -1 for n in (ids, scores)) or tiled.op != "broadcast_axis":
        return None
    boxes = graph.producer(tiled, 0)
    if boxes.op != "expand_dims" or boxes.get("axis") != 1 or tiled.numbers("axis") != [1]:
        return None
    implied = _ids_are_class_indices(call, ids.inputs[0], scores.inputs[0], (1, -1, 1))
    id_value, score_value, box_value = (call.values[node.inputs[0]] for node in (ids, scores, boxes))
    classes = score_value.dims[1]
    if not isinstance(classes, int) or tiled.numbers("size") != [classes] or box_value.dims[2] != 4:
        return None
    flat_scores, flat_ids = (call.g.add("Reshape", v, [0, -1]) for v in (score_value, id_value))
    return Candidates(flat_scores, None if implied else flat_ids, box_value, classes)


def _ids_are_class_indices(call: OperatorCall, ids_key: tuple, scores_key: tuple, shape: tuple) -> bool:
    """Whether the ids are 0, 1, ... along the axis of the classes, -1 where the scores are 0:
    ids = where(mask, zeros + arange reshaped to `shape`, ones * -1) and scores = where(mask, ..., zeros)."""
    graph = call.graph
    ids, scores = graph.nodes[ids_key[0]], graph.nodes[scores_key[0]]
    if ids.op != "where" or scores.op != "where" or ids.inputs[0] != scores.inputs[0]:
        return False
    added, other, zeros = graph.producer(ids, 1), graph.producer(ids, 2), graph.producer(scores, 2)
    if added.op != "broadcast_add" or other.op != "_mul_scalar" or other.get("scalar") != -1 or zeros.op != "zeros_like":
        return False
    template, numbers, ones = graph.producer(added, 0), graph.producer(added, 1), graph.producer(other, 0)
    if (template.op, numbers.op, ones.op) != ("zeros_like", "Reshape", "ones_like") or tuple(numbers.numbers("shape")) != shape:
        return False
    count = graph.producer(numbers, 0)
    return count.op == "_arange" and count.get("stop") is None and count.get("step", 1) == 1 and count.get("repeat", 1) == 1
