"""Inputs and outputs of an ONNX model, the same whatever symbol it was made from."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from ssdzoo.errors import ExportError
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.translate import Translation
from ssdzoo.formats.graph_detection import detection_limit
from ssdzoo.formats.graph_heads import find_heads
from ssdzoo.formats.symbol_file import SymbolGraph
from ssdzoo.preset import pixel_factors

DEFAULT_DETECTIONS = 100  # of an image, where the symbol has no limit


def image_input(
    g: Builder,
    size: Sequence[int] | None,
    preprocess: bool,
    channels_last: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple:
    """Values of the model's input `images`, of what the symbol is fed, and of the same images as (B, 3, H, W) float32.

    Args:
        size: (H, W), or None for any.
        preprocess: the model takes uint8 RGB images (B, H, W, 3), and prepares them as (image / 255 - mean) / std; else it takes
            (B, 3, H, W) float32, prepared.
        channels_last: the symbol takes (B, H, W, 3).
        mean, std: of RGB in 0..1; they may be None without `preprocess`.
    """
    height, width = size or ("height", "width")
    g.at("preprocess")
    if preprocess:
        assert mean and std
        images = g.input("images", ["batch", height, width, 3], TensorProto.UINT8)
        planes = g.add("Transpose", g.add("Cast", images, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        scale, shift = (factors.reshape(3, 1, 1) for factors in pixel_factors(mean, std))
        if (scale != 1).any() or shift.any():  # a symbol that takes pixels needs neither
            planes = g.add("Add", g.add("Mul", planes, scale), shift)
    else:
        images = planes = g.input("images", ["batch", 3, height, width])
    return images, g.add("Transpose", planes, perm=[0, 2, 3, 1]) if channels_last else planes, planes


def detections(g: Builder, done: Translation, image: Value, graph: SymbolGraph, max_detections: int | None) -> dict:
    """{name: (Value, dims)} of boxes (B, K, 4), scores (B, K) and class_ids (B, K); K is `max_detections`, else the symbol's own
    limit, else 100.

    Raises:
        ExportError: a symbol without NMS, or with outputs of another form.
    """
    outputs, source = done.outputs, graph.source
    g.at("detections")
    if done.notes.nms is None:
        raise ExportError(
            f"{source}: neither box_nms nor MultiBoxDetection is in this symbol; export its head outputs with raw=, "
            "or export the network again with NMS"
        )
    if len(outputs) == 1 and outputs[0].rank == 3 and outputs[0].dims[2] == 6:
        ids, scores, boxes = g.add("Split", outputs[0], [1, 1, 4], axis=2, outputs=3)
    elif [o.dims[2] if o.rank == 3 else None for o in outputs] == [1, 1, 4]:
        ids, scores, boxes = outputs
    else:
        shapes = [o.dims for o in outputs]
        raise ExportError(
            f"{source}: its outputs {shapes} are neither (B, K, 6) nor ids (B, K, 1), scores (B, K, 1), boxes (B, K, 4)"
        )
    if done.notes.nms.normalized:
        found = g.add("GreaterOrEqual", ids, 0.0)
        boxes = g.add("Where", found, g.add("Mul", boxes, _pixels(g, image)), boxes)
    count = max_detections or detection_limit(graph) or DEFAULT_DETECTIONS
    g.at("output")
    ids, scores, boxes = (_with_rows(g, v, count) for v in (ids, scores, boxes))
    flat = {"boxes": boxes, "scores": g.add("Squeeze", scores, [2]), "class_ids": g.add("Squeeze", ids, [2])}
    return {n: (v, ["batch", count] + ([4] if n == "boxes" else [])) for n, v in flat.items()}


def _with_rows(g: Builder, rows: Value, count: int) -> Value:
    """(B, count, W): the first rows, -1 where there are fewer."""
    if rows.dims[1] == count:
        return rows
    if not isinstance(rows.dims[1], int) or rows.dims[1] < count:
        rows = g.add("Pad", rows, np.array([0, 0, 0, 0, count, 0]), np.array(-1, np.float32))
    return g.add("Slice", rows, [0], [count], [1])


def head_outputs(g: Builder, done: Translation, image: Value) -> dict:
    """{name: (Value, dims)} of logits (B, N, C + 1), background first; offsets (B, N, 4); anchors (1, N, 4), center form, pixels.

    Raises:
        ExportError: a symbol that does not show which of its values they are.
    """
    g.at("heads")
    heads = find_heads(done.graph)
    logits, offsets, anchors = (done.values[key] for key in (heads.logits, heads.boxes.offsets, heads.boxes.anchors))
    if heads.channels_first:
        logits = g.add("Transpose", logits, perm=[0, 2, 1])
    if heads.boxes.flat:
        offsets = g.add("Reshape", offsets, [0, -1, 4])
    anchors = _center_form(g, anchors, heads.boxes.form, image if heads.boxes.normalized else None)
    if [offsets.dims[-1], anchors.dims[-1]] != [4, 4]:
        raise ExportError(
            f"{done.graph.source}: its outputs {[v.dims for v in done.outputs]} are no head outputs: class logits (B, N, C + 1), "
            "box offsets (B, N, 4), anchors (1, N, 4)"
        )
    outputs = {"logits": logits, "offsets": offsets, "anchors": anchors}
    return {n: (v, ["batch" if n != "anchors" else 1, *(d or "anchors" for d in v.dims[1:])]) for n, v in outputs.items()}


def _center_form(g: Builder, anchors: Value, form: str, image: Value | None) -> Value:
    """Anchors (1, N, 4) in center form and pixels.

    Args:
        form: of the given ones, "corner" or "center".
        image: (B, 3, H, W), where they are in normalized coordinates.
    """
    if image is not None:
        anchors = g.add("Mul", anchors, _pixels(g, image))
    if form == "center":
        return anchors
    first, second = g.add("Split", anchors, [2, 2], axis=2, outputs=2)
    return g.add("Concat", g.add("Mul", g.add("Add", first, second), 0.5), g.add("Sub", second, first), axis=2)


def _pixels(g: Builder, image: Value) -> Value:
    """(4,) float32: width, height, width, height of the network's input."""
    height, width = g.size(image, 2), g.size(image, 3)
    return g.add("Cast", g.add("Concat", width, height, width, height, axis=0), to=1)
