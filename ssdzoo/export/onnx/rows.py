"""Recognizing how the candidates of a suppression were put together, so that boxes are not copied once for each class.

GluonCV and ssdzoo join class id, score and box into C * N rows of 6 numbers before `box_nms`. Where the symbol shows it, the ids,
the scores and the boxes are taken apart again; anything else is translated row by row.
"""

from dataclasses import dataclass

import numpy as np

from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.call import Call
from ssdzoo.export.onnx.suppress import pick


@dataclass(frozen=True)
class Parts:
    """Candidates class by class: scores (B, C * N), ids (B, C * N), boxes (B, N, 4)."""

    scores: Value
    ids: Value
    boxes: Value
    classes: int

    def at(self, g: Builder, indices: Value) -> tuple:
        """Class ids (B, K) and boxes (B, K, 4) of candidates (B, K, 1)."""
        ids = pick(g, self.ids, g.add("Mod", indices, g.size(self.ids, 1)))
        return ids, pick(g, self.boxes, g.add("Mod", indices, g.size(self.boxes, 1)))


def split_rows(call: Call):
    """The Parts of a suppression's input, or None where it is not of a known form."""
    return _joined_by_class(call) or _joined_at_once(call)


def _joined_by_class(call: Call):
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
    ids, scores, boxes = (call.values[key] for key in found.pop())
    classes = len(node.inputs)
    if scores.dims[2] != classes or boxes.dims[2] != 4:
        return None
    flat = [call.g.add("Reshape", call.g.add("Transpose", v, perm=[0, 2, 1]), [0, -1]) for v in (scores, ids)]
    return Parts(*flat, boxes, classes)


def _joined_at_once(call: Call):
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
    ids, scores, boxes = (call.values[n.inputs[0]] for n in (ids, scores, boxes))
    classes = scores.dims[1]
    if not isinstance(classes, int) or tiled.numbers("size") != [classes] or boxes.dims[2] != 4:
        return None
    flat = [call.g.add("Reshape", v, np.array([0, -1])) for v in (scores, ids)]
    return Parts(*flat, boxes, classes)
