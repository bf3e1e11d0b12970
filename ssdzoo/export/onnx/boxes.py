"""Anchors, box decoding and NMS: MXNet's contrib operators as ONNX's."""

import numpy as np

from ssdzoo.export.attributes import prior_halves
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.candidates import find_candidates
from ssdzoo.export.onnx.nms import LOWEST, apply_nms, gather_rows, top_k
from ssdzoo.export.onnx.operator import Nms, OperatorCall, translates
from ssdzoo.formats.graph_heads import BOX_DECODE
from ssdzoo.formats.graph_input import BOX_NMS, MULTI_BOX_DETECTION


def split_columns(g: Builder, x: Value, *sizes: int) -> tuple[Value, ...]:
    """The last axis split into parts of these sizes."""
    return g.add("Split", x, list(sizes), axis=-1, outputs=len(sizes))


@translates(*BOX_DECODE)
def box_decode(call: OperatorCall) -> Value:
    """Corners (B, N, 4) of offsets (B, N, 4) from anchors (1, N, 4): Liu et al. 2016, equation 2."""
    g, (offsets, anchors), node = call.g, call.inputs, call.node
    kind, limit = node.get("format", "corner"), float(node.get("clip", -1))
    call.need(kind in ("center", "corner"), f"format {kind!r}; there are center and corner")
    stds = [float(node.get(f"std{i}", 1.0)) for i in range(4)]
    call.notes.offsets = offsets
    if kind == "center":
        center, size = split_columns(g, anchors, 2, 2)
    else:
        first, second = split_columns(g, anchors, 2, 2)
        size = g.add("Sub", second, first)
        center = g.add("Add", first, g.add("Mul", size, 0.5))
    return _decode(g, offsets, center, size, stds, limit)


def _decode(g: Builder, offsets: Value, center: Value, size: Value, stds: list, limit: float = -1.0) -> Value:
    """Corners (B, N, 4); `center` and `size` of the anchors are (1, N, 2). A positive `limit` bounds log scales."""
    shift, grow = split_columns(g, offsets, 2, 2)
    middle = g.add("Add", g.add("Mul", g.add("Mul", shift, np.array(stds[:2])), size), center)
    grow = g.add("Mul", grow, np.array(stds[2:]))
    if limit > 0:
        grow = g.add("Min", grow, limit)
    half = g.add("Mul", g.add("Mul", g.add("Exp", grow), size), 0.5)
    return g.add("Concat", g.add("Sub", middle, half), g.add("Add", middle, half), axis=-1)


@translates(*BOX_NMS)
def box_nms(call: OperatorCall) -> Value:
    """Rows (B, K, W) that NMS keeps, -1 after them. K is `topk`, not the number of candidates: after it MXNet's rows are -1."""
    g, get = call.g, call.node.get
    for key in ("in_format", "out_format"):
        call.need(get(key, "corner") == "corner", f"{key} {get(key)!r}; only corner is translated")
    topk, thresh = get("topk", -1), float(get("overlap_thresh", 0.5))
    at = {"score": get("score_index", 1), "id": get("id_index", -1), "box": get("coord_start", 2)}
    found = find_candidates(call) if at == {"score": 1, "id": 0, "box": 2} else None
    if found and found.ids is None and (get("background_id", -1) != -1 or get("valid_thresh", 0) < 0):
        found = None  # then an id matters where the score is 0
    count, minimum, background = topk if topk > 0 else None, float(get("valid_thresh", 0)), float(get("background_id", -1))
    if found:
        scores = found.scores
        if found.ids is not None:
            scores = _without(g, scores, found.ids, background)
        scores, indices = top_k(g, scores, count)
        ids: Value | None
        ids, boxes = found.gather(g, indices)
        rows = g.add("Concat", g.add("Unsqueeze", ids, [2]), g.add("Unsqueeze", scores, [2]), boxes, axis=2)
    else:
        scores = _column(g, call.x, at["score"])
        if at["id"] >= 0:
            scores = _without(g, scores, _column(g, call.x, at["id"]), background)
        scores, indices = top_k(g, scores, count)
        rows = gather_rows(g, call.x, g.add("Mod", indices, g.size(call.x, 1)))
        ids = _column(g, rows, at["id"]) if at["id"] >= 0 else None
        boxes = g.add("Slice", rows, [at["box"]], [at["box"] + 4], [2])
    valid = g.add("Greater", scores, minimum)
    before = call.notes.nms  # a MultiBoxDetection, whose boxes go through another NMS
    known = found.classes if found else before and before.classes
    call.notes.nms = Nms(thresh, topk, minimum, known, normalized=bool(before and before.normalized))
    by_class = ids if not call.node.flag("force_suppress") else None
    return apply_nms(g, rows, boxes, by_class, valid, thresh, found.classes if found and found.ids is None else None)


def _without(g: Builder, scores: Value, ids: Value, background: float) -> Value:
    """The scores (B, M), the lowest number where the id is that of the background."""
    return g.add("Where", g.add("Equal", ids, background), LOWEST, scores)


def _column(g: Builder, rows: Value, number: int) -> Value:
    """(B, M) of (B, M, W)."""
    return g.add("Gather", rows, np.array(number, np.int64), axis=2)


@translates("_contrib_MultiBoxPrior", "MultiBoxPrior")
def multi_box_prior(call: OperatorCall) -> Value:
    """Anchors (1, H * W * A, 4) of a feature map, corners in normalized coordinates: one for each size with the first ratio, then
    one for each other ratio with the first size."""
    g, numbers = call.g, call.node.numbers
    steps, offsets = numbers("steps", (-1.0, -1.0)), numbers("offsets", (0.5, 0.5))
    height, width = (g.add("Cast", g.add("Squeeze", g.size(call.x, axis), [0]), to=1) for axis in (2, 3))
    y, x = (_centers(g, count, step, offset) for count, step, offset in zip((height, width), steps, offsets))
    aspect = g.add("Concat", g.add("Reshape", g.add("Div", height, width), [1]), np.ones(1), axis=0)
    half = g.add("Mul", np.array(prior_halves(call)), aspect)
    rows = g.add("Mul", g.add("Unsqueeze", y, [1]), g.add("Expand", 1.0, g.add("Shape", x)))
    across = g.add("Add", g.add("Mul", rows, 0.0), x)
    center = g.add("Concat", g.add("Unsqueeze", across, [2, 3]), g.add("Unsqueeze", rows, [2, 3]), axis=3)  # (H, W, 1, 2)
    corners = g.add("Concat", g.add("Sub", center, half), g.add("Add", center, half), axis=3)
    if call.node.flag("clip"):
        corners = g.add("Clip", corners, 0.0, 1.0)
    return g.add("Reshape", corners, [1, -1, 4])


def _centers(g: Builder, count: Value, step: float, offset: float) -> Value:
    """(count,) normalized coordinates of the centers along an axis."""
    cell = g.add("Range", np.array(0, np.float32), count, np.array(1, np.float32))
    step = g.add("Div", 1.0, count) if step <= 0 else float(step)
    return g.add("Mul", g.add("Add", cell, float(offset)), step)


@translates(*MULTI_BOX_DETECTION)
def multi_box_detection(call: OperatorCall) -> Value:
    """Rows (B, K, 6) of class id, score and normalized corners that NMS keeps, -1 after them. MXNet leaves the rows that it drops
    in between, with an id of -1. An anchor has one class only: that of its highest score."""
    g, get = call.g, call.node.get
    scores, offsets, anchors = call.inputs
    stds = [float(v) for v in call.node.numbers("variances", (0.1, 0.1, 0.2, 0.2))]
    thresh, topk, minimum = float(get("nms_threshold", 0.5)), get("nms_topk", -1), float(get("threshold", 0.01))
    offsets = g.add("Reshape", offsets, [0, -1, 4])
    call.need(isinstance(scores.dims[1], int), f"scores of shape {scores.dims}; the number of classes must be known")
    classes = scores.dims[1] - 1
    call.notes.offsets = offsets
    call.notes.nms = Nms(thresh, topk, minimum, classes, normalized=True)
    first, second = split_columns(g, anchors, 2, 2)
    center = g.add("Mul", g.add("Add", first, second), 0.5)
    boxes = _decode(g, offsets, center, g.add("Sub", second, first), stds)
    if call.node.flag("clip", True):
        boxes = g.add("Clip", boxes, 0.0, 1.0)
    score, kind = g.add("TopK", g.add("Slice", scores, [1], [classes + 1], [1]), [1], axis=1, outputs=2)
    score, indices = top_k(g, g.add("Squeeze", score, [1]), topk if topk > 0 else None)
    indices = g.add("Mod", indices, g.size(boxes, 1))
    ids = g.add("Cast", gather_rows(g, g.add("Squeeze", kind, [1]), indices), to=1)
    boxes = gather_rows(g, boxes, indices)
    rows = g.add("Concat", g.add("Unsqueeze", ids, [2]), g.add("Unsqueeze", score, [2]), boxes, axis=2)
    valid = g.add("GreaterOrEqual", score, minimum)
    # It drops what overlaps by its threshold or more; ONNX what overlaps by more.
    limit = float(np.nextafter(np.float32(thresh), np.float32(-1))) if 0 < thresh <= 1 else None
    return apply_nms(g, rows, boxes, None if call.node.flag("force_suppress") else ids, valid, limit, classes)
