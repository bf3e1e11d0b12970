"""The preset of an exported SSD without a sidecar, such as GluonCV's: input size, classes and normalization, from its graph."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import CallError, ExportError, WeightsError
from ssdzoo.formats.graph_input import GraphInput, input_of
from ssdzoo.formats.params_file import strip_prefix
from ssdzoo.formats.symbol_file import SymbolGraph
from ssdzoo.preset import Preset
from ssdzoo.zoo import default_class_names

_MAXIMUM_CELLS = 16  # along a side of the last feature map, when the input size is searched


def parse_symbol(graph: SymbolGraph) -> Any:
    """The mxnet Symbol of a graph that `read_symbol` read from a file. A softmax with labels is one without.

    Raises:
        ExportError: it has an operator that mxnet lacks, one with impossible arguments, or an output that its node lacks.
    """
    from ssdzoo.runtime import mx

    try:
        symbol = mx.sym.load_json(_without_labels(graph))
    except mx.base.MXNetError as error:
        raise ExportError(f"{graph.source}: doesn't load: {str(error).strip().splitlines()[-1]}") from None
    names = symbol.get_internals().list_outputs()
    for index, number in graph.outputs:
        node = graph.nodes[index]
        # mxnet reads beyond its memory where it looks for an output that is not there.
        if number and number >= sum(name.startswith(f"{node.name}_output") for name in names):
            raise ExportError(f"{graph.source}: {node} has no output {number}")
    return symbol


def _without_labels(graph: SymbolGraph) -> str:
    """The text of a graph's file. A prediction has no labels, so a SoftmaxOutput over the channels becomes a softmax."""
    text = Path(graph.source).read_text("utf-8")
    losses = [node for node in graph.nodes if node.op in ("SoftmaxOutput", "Softmax") and node.flag("multi_output")]
    if not losses:
        return text
    whole = json.loads(text)
    for node in losses:
        first = whole["nodes"][node.index]["inputs"][:1]
        whole["nodes"][node.index] = {"op": "softmax", "name": node.name, "attrs": {"axis": "1"}, "inputs": first}
    return json.dumps(whole)


def infer_preset(graph: SymbolGraph, arrays: dict, known: dict) -> Preset:
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
    if not anchors and not taken.multi_box:
        raise WeightsError(f"{path}: not an SSD of GluonCV's: no array anchor_0 among its parameters")
    if not any("softmax" in node.op.lower() for node in graph.nodes):
        raise WeightsError(
            f"{path}: its outputs are the head outputs of a training graph, not detections: export it in GluonCV after a call "
            "outside of autograd.record(), or convert its parameter file"
        )
    mean, std = taken.normalization(known.get("mean"), known.get("std"), path)
    fields = {
        "name": Path(path).name.removesuffix("-symbol.json"),
        "backbone": "exported symbol",
        "sizes": (),  # the anchors are among the parameters
        "ratios": (),
        **known,
        "mean": mean,
        "std": std,
    }
    count = _count_classes(graph, len(known.get("classes", ())) if taken.multi_box else 0)
    if len(fields.setdefault("classes", tuple(default_class_names(count)))) != count:
        raise CallError(f"{path}: has {count} classes, its sidecar names {len(fields['classes'])}")
    if "base_size" not in fields:
        fields["base_size"] = _input_size(graph, arrays, [anchors[i] for i in sorted(anchors)], taken)
    return Preset(**fields)


def _count_classes(graph: SymbolGraph, known: int) -> int:
    """Without the background: of the logits (B, N, C + 1), or else `known`. The box offsets are (B, N, 4)."""
    shapes = [node.numbers("shape") for node in graph.nodes if node.op in ("Reshape", "reshape")]
    widths = [shape[2] for shape in shapes if len(shape) == 3 and shape[:2] == [0, -1] and shape[2] > 0]
    others = {width for width in widths if width != 4} or set(widths)
    if len(others) == 1 and min(others) > 1:
        return others.pop() - 1
    if known:
        return known
    raise WeightsError(f"{graph.source}: its classes can't be counted: no class logits (B, N, classes + 1) in it")


def _input_size(graph: SymbolGraph, arrays: dict, anchors: list, taken: GraphInput) -> tuple:
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
    path = Path(graph.source)
    sidecar = path.with_name(path.name.removesuffix("-symbol.json") + ".toml")
    raise WeightsError(
        f"{path}: its input size can't be inferred from its anchors: write base_size = [HEIGHT, WIDTH] into {sidecar}"
    )


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
        _, shapes, _ = maps.infer_shape_partial(**{taken.name: (1, *size, 3) if taken.channels_last else (1, 3, *size)}, **known)
    except mx.base.MXNetError:
        return nothing
    return np.array([shape[2:4] for shape in shapes]) if all(len(shape) == 5 for shape in shapes) else nothing
