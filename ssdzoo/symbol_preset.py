"""The preset of an exported SSD without a sidecar, such as GluonCV's: input size, classes and normalization, from its graph."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.formats.graph_input import MULTI_BOX_DETECTION, NMS_OPERATORS, GraphInput, input_of
from ssdzoo.formats.params_file import strip_prefix
from ssdzoo.formats.symbol_file import Node, SymbolGraph, with_outputs
from ssdzoo.preset import EXPORTED, Preset
from ssdzoo.symbol_mxnet import check_shapes, parse_symbol
from ssdzoo.zoo import default_class_names

_MAX_CLASSES = 10_000
_ON_THE_WAY = ("softmax", "softmaxactivation", "softmaxoutput", "transpose")  # from the logits of mxnet-ssd to its scores
_MAXIMUM_CELLS = 16  # along a side of the last feature map, when the input size is searched


def infer_preset(graph: SymbolGraph, arrays: dict, known: dict, sidecar: Path, names_by: str = "its sidecar names") -> Preset:
    """The Preset of an exported SSD.

    The number of classes is that of the class logits; their names are VOC's for 20 and COCO's for 80, else "class 0" and so
    on. The input size is the one that the feature maps times the distances of their anchors cover. Mean and std are
    ImageNet's, unless the graph normalizes its own input (`ssdzoo.formats.graph_input`). A graph with MultiBoxDetection says
    neither its input size nor its mean and std: `known` must.

    Args:
        graph: of `read_symbol`, read from a file.
        arrays: the parameters, names with or without `arg:`.
        known: {field: value} of the preset, from a sidecar; these are not inferred. A mean and a std are not used where the
            graph normalizes its own input.
        sidecar: where the user may write what can't be inferred.
        names_by: who says the classes that are known, for an error.

    Raises:
        ExportError: several variables may be its input.
        WeightsError: its outputs are not the detections of an SSD; its input size can't be inferred.
        CallError: `known` names another number of classes than the graph has, or lacks the mean and std of a graph with
            MultiBoxDetection.
    """
    path = graph.source
    arrays = {strip_prefix(name): array for name, array in arrays.items()}
    anchors = {int(m[1]): name for name, a in arrays.items() if (m := re.search(r"(?:^|_)anchor_(\d+)$", name)) and a.ndim == 5}
    taken = input_of(graph, arrays)
    detects = any(node.op in NMS_OPERATORS for node in graph.nodes)
    if not anchors and not detects:
        raise WeightsError(
            f"{path}: not an SSD of GluonCV's: no array anchor_0 among its parameters, and no detector of others: neither "
            "box_nms nor MultiBoxDetection in its graph"
        )
    if not detects and not any("softmax" in node.op.lower() for node in graph.nodes):
        raise WeightsError(
            f"{path}: its outputs are the head outputs of a training graph, not detections: export it in GluonCV after a call "
            "outside of autograd.record(), or convert its parameter file"
        )
    mean, std = taken.normalization(known.get("mean"), known.get("std"), path)
    fields = {
        "name": Path(path).name.removesuffix("-symbol.json"),
        "backbone": EXPORTED,
        "sizes": (),  # the anchors are among the parameters
        "ratios": (),
        **known,
        "mean": mean,
        "std": std,
    }
    if "base_size" not in fields:
        fields["base_size"] = _input_size(graph, arrays, [anchors[i] for i in sorted(anchors)], taken, sidecar)
    count = _count_own_classes(graph) if anchors else _count_classes(graph, arrays, known, taken, sidecar)
    if len(fields.setdefault("classes", tuple(default_class_names(count)))) != count:
        raise CallError(f"{path}: has {count} classes, {names_by} {len(fields['classes'])}")
    return Preset(**fields)


def _count_own_classes(graph: SymbolGraph) -> int:
    """Without the background, in a network of GluonCV's or ssdzoo's. Its class logits are reshaped to (B, N, C + 1), and its box
    offsets to (B, N, 4)."""
    widths = _reshaped_widths(graph)
    width = _logits_among(widths - {4} or widths)  # of three classes, both are 4
    if width is None:
        raise WeightsError(f"{graph.source}: its classes can't be counted: no class logits (B, N, classes + 1) in it")
    return width - 1


def _count_classes(graph: SymbolGraph, arrays: dict, known: dict, taken: GraphInput, sidecar: Path) -> int:
    """Without the background, in a network of others: by MultiBoxDetection's scores (B, C + 1, N), by what `known` says, or by
    class logits that are reshaped as in GluonCV's."""
    detection = next((node for node in graph.nodes if node.op in MULTI_BOX_DETECTION), None)
    if detection:
        width = _score_width(graph, detection, arrays, known, taken) or _logit_width(graph, detection)
        if width:
            return width - 1
    named, width = len(known.get("classes") or ()), _logits_among(_reshaped_widths(graph) - {4})
    if named and not (taken.multi_box and width):
        return named
    if width is None:
        raise WeightsError(f"{graph.source}: its classes can't be counted: write classes = [NAMES] into {sidecar}")
    return width - 1


def _reshaped_widths(graph: SymbolGraph) -> set[int]:
    """W of all values that are reshaped to (B, N, W)."""
    shapes = [node.numbers("shape") for node in graph.nodes if node.op in ("Reshape", "reshape")]
    return {int(shape[2]) for shape in shapes if len(shape) == 3 and shape[:2] == [0, -1] and shape[2] > 0}


def _logits_among(widths: set[int]) -> int | None:
    """C + 1, if there is one width and it can be that."""
    width = next(iter(widths), 0)
    return width if len(widths) == 1 and 1 < width <= _MAX_CLASSES else None


def _score_width(graph: SymbolGraph, detection: Node, arrays: dict, known: dict, taken: GraphInput) -> int | None:
    """C + 1 of MultiBoxDetection's scores (B, C + 1, N), which mxnet infers from the input size; None where one of these is
    missing."""
    if "base_size" not in known or not importlib.util.find_spec("mxnet"):
        return None
    scores = graph.producer(detection, 0), detection.inputs[0][1]
    shape = _shape_of(graph, scores, arrays, known["base_size"], taken)
    return shape[1] if shape and len(shape) == 3 and shape[1] > 1 else None


def _logit_width(graph: SymbolGraph, detection: Node) -> int | None:
    """C + 1, where the scores of MultiBoxDetection are the softmax of logits that are reshaped to (B, N, C + 1), as in
    mxnet-ssd; else None."""
    node = graph.producer(detection, 0)
    while node.op.lower() in _ON_THE_WAY and node.inputs:
        node = graph.producer(node, 0)
    shape = node.numbers("shape") if node.op in ("Reshape", "reshape") else []
    return int(shape[2]) if len(shape) == 3 and 1 < shape[2] <= _MAX_CLASSES else None


def _shape_of(graph: SymbolGraph, output: tuple, arrays: dict, size: tuple, taken: GraphInput) -> tuple | None:
    """The shape of an output (node, number) for one image of `size`; None where it can't be told."""
    node, number = output
    part = with_outputs(graph, [(node.index, number)])
    symbol = parse_symbol(part)
    known = {name: arrays[name].shape for name in symbol.list_inputs() if name in arrays}
    return check_shapes(symbol, graph.source, **known, **{taken.name: image_shape(size, taken)})[0]


def _input_size(graph: SymbolGraph, arrays: dict, anchors: list, taken: GraphInput, sidecar: Path) -> tuple:
    """(H, W) pixels: the size at which the steps of the anchors times the sizes of the feature maps agree best with the input.

    Tried are the sizes that the last feature map covers exactly; of equally good ones the smallest is taken. No anchors, which
    MultiBoxPrior computes in the graph, say nothing.
    """
    grids = [arrays[name][0, 0].astype(np.float64) for name in anchors]
    cut = {graph.producer(node, 0).name: node.name for node in graph.nodes if node.op == "slice_like" and node.inputs}
    slices = [cut.get(name) for name in anchors]
    if anchors and all(slices) and all(min(grid.shape[:2]) > 1 for grid in grids):
        steps = np.array([(grid[1, 0, 1] - grid[0, 0, 1], grid[0, 1, 0] - grid[0, 0, 0]) for grid in grids])
        best = [(np.inf, 0), (np.inf, 0)]
        for cells in range(1, _MAXIMUM_CELLS + 1):
            sides = np.round(steps[-1] * cells)
            maps = _map_sizes(graph, slices, arrays, [int(s) if 0 < s < 1 << 14 else 0 for s in sides], taken)
            for axis in (0, 1):
                error = np.abs(maps[:, axis] * steps[:, axis] / max(sides[axis], 1) - 1).sum()
                if maps[-1, axis] == cells and error < best[axis][0] - 1e-4:
                    best[axis] = error, int(sides[axis])
        if all(side for _, side in best):
            return best[0][1], best[1][1]
    wanted = f"write base_size = [HEIGHT, WIDTH] into {sidecar}"
    raise WeightsError(f"{graph.source}: its input size can't be inferred from its anchors: {wanted}")


def _map_sizes(graph: SymbolGraph, slices: list, arrays: dict, size: list, taken: GraphInput) -> np.ndarray:
    """(L, 2): H and W of each of L feature maps for an input of `size` (H, W) pixels; zeros where one would be empty."""
    from ssdzoo.runtime import mx

    nothing = np.zeros((len(slices), 2))
    if not all(size):
        return nothing
    internals = parse_symbol(graph).get_internals()
    maps = mx.sym.Group([internals[f"{name}_output"] for name in slices])
    known = {name: arrays[name].shape for name in maps.list_inputs() if name in arrays}
    try:
        _, shapes, _ = maps.infer_shape_partial(**{taken.name: image_shape(size, taken)}, **known)
    except mx.base.MXNetError:
        return nothing
    return np.array([shape[2:4] for shape in shapes]) if all(len(shape) == 5 for shape in shapes) else nothing


def image_shape(size: Sequence[int], taken: GraphInput) -> tuple:
    """The shape of one image of `size` (H, W), as a graph takes it."""
    return (1, *size, 3) if taken.channels_last else (1, 3, *size)
