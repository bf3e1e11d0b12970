"""How the detections of a model are found outside of its graph: its rule."""

from ssdzoo.detections import SCORE_THRESHOLD
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.formats.graph_detection import read_rule
from ssdzoo.formats.graph_heads import STDS
from ssdzoo.formats.graph_input import NMS_OPERATORS
from ssdzoo.model_source import ModelSource, SymbolSource
from ssdzoo.preset import Preset


def rule_of(source: ModelSource) -> DetectionRule:
    """How the detections of a model are found: as its graph says, if that ends in detections, or else as its preset says.

    Raises:
        ExportError: a graph whose detections are of no known form.
    """
    if isinstance(source, SymbolSource) and any(node.op in NMS_OPERATORS for node in source.graph.nodes):
        return read_rule(source.graph)
    return preset_rule(source.preset)


def preset_rule(preset: Preset) -> DetectionRule:
    """How the detections of a preset's network are found."""
    by_class = preset.suppress == "per-class"
    return DetectionRule(preset.nms_thresh, preset.nms_topk, preset.post_nms, SCORE_THRESHOLD, STDS, by_class=by_class)
