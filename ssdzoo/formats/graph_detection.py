"""How a graph turns head outputs into detections: which candidates there are, and the limits of its NMS."""

from typing import Any

from ssdzoo.errors import ExportError
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.formats.graph_candidates import Output, joined_rows
from ssdzoo.formats.graph_heads import BOX_DECODE, Heads, find_heads
from ssdzoo.formats.graph_input import BOX_NMS, NMS_OPERATORS
from ssdzoo.formats.symbol_file import Node, SymbolGraph
from ssdzoo.preset import Preset

_SLICES = ("slice_axis", "slice", "SliceChannel", "identity", "_copy")  # what may come after the NMS


def read_rule(graph: SymbolGraph) -> DetectionRule:
    """The rule of a graph that ends in detections: GluonCV's and ssdzoo's networks, and those with MultiBoxDetection.

    Raises:
        ExportError: detections of any other form; says which node is not known.
    """
    needed = graph.ancestors()
    nms = [node for node in graph.nodes if node.op in NMS_OPERATORS and node.index in needed]
    if len(nms) != 1:
        raise _unknown(graph, f"it has {len(nms)} nodes of NMS, and one was expected")
    after = {nms[0].index}
    for node in graph.nodes[nms[0].index + 1 :]:
        if node.index in needed and after & {index for index, _ in node.inputs}:
            after.add(node.index)
            if node.op not in _SLICES:
                raise _unknown(graph, f"{node} comes after its NMS, and slices were expected")
    if any(index not in after for index, _ in graph.outputs):
        raise _unknown(graph, "it has outputs that do not come from its NMS")
    post, heads = detection_limit(graph), find_heads(graph)
    if nms[0].op in BOX_NMS:
        return _box_nms(graph, nms[0], post or -1, heads)
    return _multi_box(nms[0], post or Preset.post_nms, heads.boxes.stds)


def _multi_box(node: Node, post: int, stds: tuple) -> DetectionRule:
    get, flag = node.get, node.flag
    thresh, score = float(get("nms_threshold", 0.5)), float(get("threshold", 0.01))
    by_class = not flag("force_suppress")
    return DetectionRule(thresh, get("nms_topk", -1), post, score, stds, True, by_class, flag("clip", True))


def _box_nms(graph: SymbolGraph, node: Node, post: int, heads: Heads) -> DetectionRule:
    get = node.get
    columns = [get(key, default) for key, default in (("id_index", -1), ("score_index", 1), ("coord_start", 2))]
    forms = [get(key, "corner") for key in ("in_format", "out_format")]
    joined = joined_rows(graph, node)
    if columns != [0, 1, 2] or forms != ["corner"] * 2 or get("background_id", -1) != -1 or not (joined and joined.implied):
        raise _unknown(graph, f"the rows that {node} takes are not those of every class and anchor")
    decoder = graph.nodes[joined.boxes[0]]
    if decoder.op not in BOX_DECODE:
        raise _unknown(graph, f"{decoder} computes its boxes, and box_decode was expected")
    limit = float(decoder.get("clip", -1))
    return DetectionRule(
        float(get("overlap_thresh", 0.5)),
        get("topk", -1),
        post,
        max(_minimum(graph, joined.scores, heads.logits), float(get("valid_thresh", 0))),
        heads.boxes.stds,
        by_class=not node.flag("force_suppress"),
        scale_limit=limit if limit > 0 else None,
    )


def _minimum(graph: SymbolGraph, output: Output, logits: Output) -> float:
    """The limit in scores = where(x > limit, x, zeros), where x is the softmax of the logits without the background."""
    chosen = graph.nodes[output[0]]  # `joined_rows` saw that it is a `where`
    mask, scores = graph.producer(chosen, 0), graph.producer(chosen, 1)
    cut = graph.producer(scores, 0) if scores.op == "transpose" else scores
    classes = (cut.get("axis"), cut.get("begin"), cut.get("end")) if cut.op == "slice_axis" else None
    if classes not in ((-1, 1, None), (2, 1, None)) or graph.producer(cut, 0).inputs[:1] != (logits,):
        raise _unknown(graph, f"{scores} computes its scores, and a softmax without its first class was expected")
    if mask.op not in ("_greater_scalar", "_Greater_Scalar") or mask.inputs[:1] != chosen.inputs[1:2]:
        raise _unknown(graph, f"{mask} says which scores count, and a minimum was expected")
    return float(mask.get("scalar", 0))


def _unknown(graph: SymbolGraph, what: str) -> ExportError:
    return ExportError(
        f"{graph.source}: how it finds its detections is not known to torch: {what}; run it with another backend, or export it "
        "as ONNX"
    )


def detection_limit(graph: SymbolGraph) -> int | None:
    """How many rows a symbol keeps after NMS; None for all."""
    after = {n.index for n in graph.nodes if n.op in NMS_OPERATORS}
    for node in graph.nodes:
        if not after & {i for i, _ in node.inputs}:
            continue
        after.add(node.index)
        end = node.get("end")
        if node.op == "slice_axis" and node.get("axis") == 1:
            return _positive(end)
        if node.op == "slice" and isinstance(end, (tuple, list)) and len(end) > 1 and _positive(end[1]):
            return end[1]
    return None


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
