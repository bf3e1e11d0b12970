"""An exported SSD without a sidecar, as GluonCV leaves it: its input size, its classes and its normalization from its graph."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.formats.params_file import strip_prefix
from ssdzoo.preset import Preset
from ssdzoo.zoo import default_class_names

_LARGEST_MAP = 16  # pixels of the last feature map, by which the input size is looked for
_RAW_MEAN, _RAW_STD = (0.0,) * 3, (1 / 255,) * 3  # of a network that takes pixels 0..255 and normalizes them itself


def read_graph(path) -> list:
    """The nodes of a `-symbol.json`: dicts with op, name, attrs (str -> str) and inputs (numbers of earlier nodes).

    Raises:
        WeightsError: not such a file. mxnet would read beyond its memory where a node names one that is not there.
    """
    try:
        graph = json.loads(Path(path).read_text("utf-8"))
        nodes = [
            {
                "op": str(node["op"]),
                "name": str(node["name"]),
                "attrs": dict(node.get("attrs") or node.get("param") or node.get("attr") or {}),
                "inputs": [int(entry[0]) for entry in node["inputs"]],
            }
            for node in graph["nodes"]
        ]
        heads = [int(entry[0]) for entry in graph["heads"]]
        earlier = all(0 <= i < at for at, node in enumerate(nodes) for i in node["inputs"])
        if not earlier or not all(0 <= head < len(nodes) for head in heads) or not heads:
            raise ValueError("a node takes its input from one that does not come before it")
        if any(not 0 <= int(i) < len(nodes) for i in graph.get("arg_nodes", [])):
            raise ValueError("an argument is no node of it")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a symbol of MXNet ({type(error).__name__}: {error})") from None
    return nodes


def parse_symbol(path):
    """The mxnet Symbol of a file that `read_graph` accepts.

    Raises:
        WeightsError: it has an operator that mxnet lacks, or one with impossible arguments.
    """
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    try:
        return mx.sym.load(str(path))
    except mx.base.MXNetError as error:
        raise WeightsError(f"{path}: doesn't load: {str(error).strip().splitlines()[-1]}") from None


class GraphInput(NamedTuple):
    name: str
    channels_last: bool
    normalizes: bool
    mean = _RAW_MEAN
    std = _RAW_STD


def input_of(graph, arrays):
    nodes = [{"op": n.op, "name": n.name, "attrs": n.attrs, "inputs": [i for i, _ in n.inputs]} for n in graph.nodes]
    normalizes, channels_last = _input(nodes)
    return GraphInput("data", channels_last, normalizes)


def infer_preset(path, graph, arrays: dict, known: dict):
    """The Preset of an exported SSD, and whether its input is (B, H, W, 3).

    The number of classes is that of the class logits; their names are VOC's for 20 and COCO's for 80, else "class 0" and so
    on. The input size is the one that the feature maps times the distances of their anchors cover. Mean and std are
    ImageNet's, unless the graph begins with a normalization of its own (`gluoncv.utils.export_block`).

    Args:
        path: the symbol file.
        nodes: of `read_graph`.
        arrays: the parameters, names with or without `arg:`.
        known: fields of the preset that somebody wrote down; they are not looked for.

    Raises:
        WeightsError: not the detections of an SSD; its input size can't be told.
        CallError: `known` names another number of classes than the graph has.
    """
    arrays = {strip_prefix(name): array for name, array in arrays.items()}
    anchors = {int(m[1]): name for name, a in arrays.items() if (m := re.search(r"(?:^|_)anchor_(\d+)$", name)) and a.ndim == 5}
    if not anchors:
        raise WeightsError(f"{path}: not an SSD of GluonCV's: no array anchor_0 among its parameters")
    nodes = [{"op": n.op, "name": n.name, "attrs": n.attrs, "inputs": [i for i, _ in n.inputs]} for n in graph.nodes]
    if not any("softmax" in node["op"].lower() for node in nodes):
        raise WeightsError(
            f"{path}: gives the raw heads of a training graph, not detections: export it in GluonCV after a call outside of "
            "autograd.record(), or convert its parameter file with `ssdzoo convert`"
        )
    normalizes, channels_last = _input(nodes)
    fields = {
        "name": Path(path).name.removesuffix("-symbol.json"),
        "backbone": "exported symbol",
        "sizes": (),  # the anchors are among the parameters
        "ratios": (),
        **({"mean": _RAW_MEAN, "std": _RAW_STD} if normalizes else {}),
        **known,
    }
    count = _count_classes(path, nodes)
    if len(fields.setdefault("classes", tuple(default_class_names(count)))) != count:
        raise CallError(f"{path}: has {count} classes, its sidecar names {len(fields['classes'])}")
    if "base_size" not in fields:
        fields["base_size"] = _input_size(path, arrays, [anchors[i] for i in sorted(anchors)], nodes, channels_last)
    return Preset(**fields)


def _input(nodes: list) -> tuple:
    """Whether the graph subtracts a mean from its input itself, and whether it takes (B, H, W, 3)."""
    normalizes = channels_last = False
    at = next((i for i, node in enumerate(nodes) if node["name"] == "data"), None)
    while at is not None:
        users = [i for i, node in enumerate(nodes) if at in node["inputs"]]
        if len(users) != 1 or nodes[users[0]]["op"] == "Convolution":
            break
        at = users[0]
        normalizes |= nodes[at]["op"] == "broadcast_sub"
        channels_last |= nodes[at]["op"] == "transpose" and nodes[at]["attrs"].get("axes") == "(0, 3, 1, 2)"
    return normalizes, channels_last


def _count_classes(path, nodes: list) -> int:
    """Without the background: of the logits (B, N, C + 1). The box offsets are (B, N, 4)."""
    shapes = [node["attrs"].get("shape", "") for node in nodes if node["op"] == "Reshape"]
    widths = [int(m[1]) for shape in shapes if (m := re.fullmatch(r"\(0, ?-1, ?(\d{1,6})\)", shape))]
    others = {width for width in widths if width != 4} or set(widths)
    if len(others) != 1 or min(others) < 2:
        raise WeightsError(f"{path}: not an SSD of GluonCV's: no class logits (B, N, classes + 1) in it")
    return others.pop() - 1


def _input_size(path, arrays: dict, anchors: list, nodes: list, channels_last: bool) -> tuple:
    """(H, W) pixels: of the sizes at which the last map times its step is the input, the one that fits the other maps best, and
    of equals the least."""
    grids = [arrays[name][0, 0].astype(np.float64) for name in anchors]
    places = {node["name"]: i for i, node in enumerate(nodes)}
    slices = [next((n["name"] for n in nodes if n["op"] == "slice_like" and places.get(a) in n["inputs"]), None) for a in anchors]
    if all(slices) and all(min(grid.shape[:2]) > 1 for grid in grids):
        steps = np.array([(grid[1, 0, 1] - grid[0, 0, 1], grid[0, 1, 0] - grid[0, 0, 0]) for grid in grids])
        best = [(np.inf, 0), (np.inf, 0)]
        for cells in range(1, _LARGEST_MAP + 1):
            sides = np.round(steps[-1] * cells)
            maps = _map_sizes(path, slices, arrays, [int(s) if 0 < s < 1 << 14 else 0 for s in sides], channels_last)
            for axis in (0, 1):
                error = np.abs(maps[:, axis] * steps[:, axis] / max(sides[axis], 1) - 1).sum()
                if maps[-1, axis] == cells and error < best[axis][0] - 1e-4:
                    best[axis] = error, int(sides[axis])
        if all(side for _, side in best):
            return best[0][1], best[1][1]
    sidecar = Path(path).with_name(Path(path).name.removesuffix("-symbol.json") + ".toml")
    raise WeightsError(f"{path}: its input size can't be told from its anchors: write base_size = [HEIGHT, WIDTH] into {sidecar}")


def _map_sizes(path, slices: list, arrays: dict, size: list, channels_last: bool) -> np.ndarray:
    """(maps, 2): H and W of each map for an input of `size` (H, W); zeros where one would vanish."""
    from ssdzoo.runtime import mxnet

    mx, nothing = mxnet(), np.zeros((len(slices), 2))
    if not all(size):
        return nothing
    internals = parse_symbol(path).get_internals()
    maps = mx.sym.Group([internals[f"{name}_output"] for name in slices])
    known = {name: arrays[name].shape for name in maps.list_inputs() if name in arrays}
    try:
        _, shapes, _ = maps.infer_shape_partial(data=(1, *size, 3) if channels_last else (1, 3, *size), **known)
    except mx.base.MXNetError:
        return nothing
    return np.array([shape[2:4] for shape in shapes]) if all(len(shape) == 5 for shape in shapes) else nothing
