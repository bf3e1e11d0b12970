"""Non-maximum suppression (NMS) as MXNet does it, with ONNX's own operator: class by class, among the best of all classes."""

import numpy as np

from ssdzoo.export.onnx.builder import Builder, Value

LOWEST = float(np.finfo(np.float32).min)


def top_k(g: Builder, scores: Value, count: int | None) -> tuple[Value, Value]:
    """Scores (B, K) and indices (B, K, 1) of the best candidates of (B, M), best first; of equal ones the first, as in MXNet.

    Args:
        count: K; None takes all. Where there are fewer candidates, the others have the lowest score and indices from M on.
    """
    total = scores.dims[1]
    if count is None:
        k = g.size(scores, 1)
    else:
        k = g.constant(np.array([count], np.int64))
        if not isinstance(total, int) or total < count:
            filler = g.add("Expand", LOWEST, g.add("Concat", g.size(scores, 0), k, axis=0))
            scores = g.add("Concat", scores, filler, axis=1)
    values, indices = g.add("TopK", scores, k, axis=1, outputs=2)
    return values, g.add("Unsqueeze", indices, [2])


def gather_rows(g: Builder, rows: Value, indices: Value) -> Value:
    """Rows (B, K, ...) of (B, M, ...) at indices (B, K, 1)."""
    return g.add("GatherND", rows, indices, batch_dims=1)


def apply_nms(
    g: Builder, rows: Value, boxes: Value, ids: Value | None, valid: Value, thresh: float | None, classes: int | None = None
) -> Value:
    """Rows that NMS keeps, moved to the front, -1 after them: (B, K, W).

    Args:
        rows: (B, K, W) float32, best first.
        boxes: (B, K, 4) corners.
        ids: (B, K) float32 class ids; boxes of different classes don't suppress each other. None for one class.
        valid: (B, K) bool, the rows that take part.
        thresh: a row is dropped where its IoU with a better one that is kept is above this; None keeps all.
        classes: how many there are, from 0; None reads them from `ids` while the model runs, whole numbers of any range.

    The operator is given ranks instead of scores, K for the best row: so ties can't be broken in another way, and only the rows
    that take part are above 0.
    """
    rank = g.add("Where", valid, _ranks(g, rows), 0.0)
    if thresh is not None:
        rank = g.add("Mul", rank, _survivors(g, boxes, ids, rank, thresh, classes))
    rank, order = top_k(g, rank, rows.dims[1] if isinstance(rows.dims[1], int) else None)
    found = g.add("Unsqueeze", g.add("Greater", rank, 0.0), [2])
    return g.add("Where", found, gather_rows(g, rows, order), -1.0)


def _ranks(g: Builder, rows: Value) -> Value:
    """(K,) float32: K, K - 1, ..., 1."""
    count = g.add("Cast", g.add("Squeeze", g.size(rows, 1), [0]), to=1)
    return g.add("Range", count, np.array(0, np.float32), np.array(-1, np.float32))


def _survivors(g: Builder, boxes: Value, ids: Value | None, rank: Value, thresh: float, classes: int | None) -> Value:
    """(B, K) float32: 1 for the rows that the operator selects."""
    by_class = g.add("Unsqueeze", rank, [1])
    if ids is not None:
        if classes is None:
            first, last = (g.add(op, ids, keepdims=0) for op in ("ReduceMin", "ReduceMax"))
            numbers = g.add("Range", first, g.add("Add", last, 1.0), 1.0)
        else:
            numbers = g.constant(np.arange(classes, dtype=np.float32))
        mine = g.add("Equal", g.add("Unsqueeze", ids, [1]), g.add("Unsqueeze", numbers, [0, 2]))
        by_class = g.add("Where", mine, by_class, 0.0)
    boxes = _without_reversed(g, boxes)
    limit = g.size(rank, 1)
    selected = g.add("NonMaxSuppression", boxes, by_class, limit, np.array([thresh], np.float32), np.zeros(1, np.float32))
    indices = g.add("Gather", selected, [0, 2], axis=1)  # (batch, row); the column between is the class
    ones = g.add("Expand", 1.0, g.add("Shape", g.add("Gather", selected, np.array(0, np.int64), axis=1)))
    return g.add("ScatterND", g.add("Mul", rank, 0.0), indices, ones)


def _without_reversed(g: Builder, boxes: Value) -> Value:
    """Boxes (B, K, 4), where those with xmax < xmin or ymax < ymin are 0: MXNet takes them for empty, ONNX swaps corners."""
    first, second = g.add("Split", boxes, [2, 2], axis=2, outputs=2)
    fine = g.add("Cast", g.add("LessOrEqual", first, second), to=1)
    x, y = g.add("Split", fine, [1, 1], axis=2, outputs=2)
    return g.add("Where", g.add("Cast", g.add("Mul", x, y), to=9), boxes, 0.0)
