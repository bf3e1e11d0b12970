"""The candidates that go into NMS, as ids, scores and boxes, so that a box is not copied for each class.

The known forms are recognized in the symbol (`ssdzoo.formats.graph_candidates`). Candidates of any other form stay rows.
"""

from dataclasses import dataclass

from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.nms import gather_rows
from ssdzoo.export.onnx.operator import OperatorCall
from ssdzoo.formats.graph_candidates import joined_rows


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
    joined = joined_rows(call.graph, call.node)
    if joined is None:
        return None
    ids, scores, boxes = (call.values[key] for key in (joined.ids, joined.scores, joined.boxes))
    if scores.dims[joined.class_axis] != joined.classes or boxes.dims[2] != 4:
        return None
    if joined.class_axis == 2:
        scores, ids = (call.g.add("Transpose", v, perm=[0, 2, 1]) for v in (scores, ids))
    scores, ids = (call.g.add("Reshape", v, [0, -1]) for v in (scores, ids))
    return Candidates(scores, None if joined.implied else ids, boxes, joined.classes)
