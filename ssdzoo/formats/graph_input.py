"""What the images that a symbol takes must look like: layout and range of values, read from its graph and its parameters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssdzoo.errors import CallError, ExportError
from ssdzoo.formats.symbol_file import Node, SymbolGraph
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD, in_unit
from ssdzoo.quote import brief

_BINARY = re.compile(r"(?:broadcast_|elemwise_|_)(r?)(add|plus|sub|minus|mul|div)(_?scalar)?")
_KEEPS_VALUES = {"Cast", "cast", "amp_cast", "identity", "_copy", "BlockGrad", "stop_gradient"}
_KEEPS_PARAMETER = _KEEPS_VALUES | {
    "Reshape", "reshape", "expand_dims", "broadcast_like", "broadcast_to", "broadcast_axis", "broadcast_axes",
}  # fmt: skip
MULTI_BOX_DETECTION = ("_contrib_MultiBoxDetection", "MultiBoxDetection")
BOX_NMS = ("_contrib_box_nms", "_contrib_box_non_maximum_suppression")
NMS_OPERATORS = (*BOX_NMS, *MULTI_BOX_DETECTION)
# What pixels are multiplied by at most, 1 / 58 or 1 / 255 in practice; normalized values are not made so small.
_PIXEL_FACTOR = 0.1


@dataclass(frozen=True)
class GraphInput:
    """The input of a symbol.

    Attributes:
        name: of the variable that takes the images.
        channels_last: it takes (B, H, W, 3), else (B, 3, H, W).
        white: the value of a white pixel, 255 or 1, where the graph takes images from 0 to that and normalizes them itself; None
            where it takes images that are normalized already.
        multi_box: its detections come from MultiBoxDetection. Such graphs are of projects that do not share one normalization.
    """

    name: str
    channels_last: bool
    white: float | None
    multi_box: bool = False

    @property
    def needs_normalization(self) -> bool:
        """Whether nothing but the user knows the mean and the std of its images."""
        return self.multi_box and self.white is None

    def normalization(self, mean: Sequence[float] | None, std: Sequence[float] | None, source: str = "the symbol") -> tuple:
        """(mean, std) that prepare RGB images in 0..1 for the graph as (image - mean) / std: the given ones, unless it normalizes
        images itself; of those that are None ImageNet's.

        Args:
            mean, std: three numbers each, in 0..1, or both of pixels 0..255 (`ssdzoo.preset.in_unit`). For a graph with
                MultiBoxDetection a std of 1 is of pixels, because no such project scales them to 0..1.
            source: of the graph, for messages.

        Raises:
            CallError: a graph with MultiBoxDetection of which one of them is not given; numbers of two units.
        """
        if self.white is not None:
            return (0.0,) * 3, (1 / self.white,) * 3
        if self.multi_box and (mean is None or std is None):
            raise CallError(
                f"{source}: a graph with MultiBoxDetection does not say how images are normalized: give mean= and std=, or write "
                "both into its .toml. Models of mxnet-ssd take mean 123,117,104 and std 1, SageMaker's samples mean 0 and std 1; "
                "`ssdzoo compare MODEL --data DATA --try-normalizations` finds out which is right"
            )
        pixels = self.multi_box and max(std or (0,)) >= 1
        return in_unit(mean or IMAGENET_MEAN, std or IMAGENET_STD, source, pixels)


def input_of(graph: SymbolGraph, params: dict) -> GraphInput:
    """The input of a symbol.

    It is the variable `data`, or the only one without a parameter. What its images look like is read from the arithmetic before
    the first layer, y = factor * x + offset on average over the channels. The first step that settles the range of x counts:

    - There is an offset. Then x = -offset / factor, which becomes 0, is the mean of the images: above 1 of pixels 0..255, from 0
      to 1 of images 0..1. A negative one undoes a normalization, so that x is normalized.
    - There is none, but the factor is at most 0.1: x are pixels 0..255, divided by 255 or by a standard deviation of about 58.
      The VGG of GluonCV multiplies its normalized input by 255 * std instead (`init_scale`), and imported ones by 1.

    Where no step settles it, x is normalized.

    Args:
        graph: of `read_symbol`.
        params: {name: array} of the parameters, without `arg:` and `aux:`.

    Raises:
        ExportError: several variables have no parameter, and none of them is `data`.
    """
    needed = [graph.nodes[index] for index in sorted(graph.ancestors())]
    name = _data_variable(graph, needed, params)
    node = next(node for node in needed if node.op == "null" and node.name == name)
    factor, offset, axes, white = 1.0, 0.0, [0, 1, 2, 3], None
    settled, readers = False, _readers(needed)
    while len(found := readers.get(node.index, [])) == 1:  # one that is read twice has two ranges
        reader = found[0]
        order = [0, 3, 1, 2] if reader.op == "_image_to_tensor" else reader.numbers("axes") if reader.op == "transpose" else []
        if sorted(order) == [0, 1, 2, 3]:
            axes = [axes[i] for i in order]
        if reader.op not in _KEEPS_VALUES and reader.op != "transpose":
            step = _step(graph, reader, node, params)
            if step is None:
                break
            factor, offset = factor * step[0], offset * step[0] + step[1]
            if not settled:
                settled, white = _range(factor, offset)
        node = reader
    multi_box = any(node.op in MULTI_BOX_DETECTION for node in needed)
    return GraphInput(name, axes == [0, 3, 1, 2], white, multi_box)


def is_label(node: Node) -> bool:
    """Whether a variable is the label of a training symbol, which needs no value for prediction."""
    return node.op == "null" and node.name.endswith("label")


def _data_variable(graph: SymbolGraph, needed: list, params: dict) -> str:
    free = [n.name for n in needed if n.op == "null" and n.name not in params and not is_label(n)]
    if "data" in free:
        return "data"
    if len(free) != 1:
        raise ExportError(f"{graph.source}: the inputs without parameters are {_some(free)}; one, `data`, was expected")
    return free[0]


def _some(names: list) -> str:
    """The first of some names."""
    return f"[{', '.join(map(brief, names[:5]))}{f' and {len(names) - 5} more' if len(names) > 5 else ''}]"


def _readers(needed: list) -> dict[int, list]:
    """{index of a node: the nodes that read it}."""
    readers: dict[int, list] = {}
    for node in needed:
        for index, _ in node.inputs:
            readers.setdefault(index, []).append(node)
    return readers


def _step(graph: SymbolGraph, node: Node, before: Node, params: dict) -> tuple | None:
    """(factor, offset) of one step of arithmetic, y = factor * x + offset, averaged over the channels; None where it is none.

    Args:
        before: the node that computes x.
    """
    if node.op == "_image_to_tensor":
        return 1 / 255, 0.0
    if node.op == "_image_normalize":
        mean, std = (float(np.mean(node.numbers(key, default))) for key, default in (("mean", 0), ("std", 1)))
        return (1 / std, -mean / std) if std else None
    match = _BINARY.fullmatch(node.op.lower())
    if not match:
        return None
    reverse, kind, scalar = match.groups()
    if scalar:
        value, turned = node.get("scalar"), bool(reverse)
    else:
        if len(node.inputs) != 2:
            return None
        turned = node.inputs[1][0] == before.index
        value = _parameter(graph, graph.producer(node, 0 if turned else 1), params)
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        return None
    if kind in ("add", "plus"):
        return 1.0, value
    if kind in ("sub", "minus"):
        return (-1.0, value) if turned else (1.0, -value)
    if value == 0 or (kind == "div" and turned):
        return None
    return (value, 0.0) if kind == "mul" else (1 / value, 0.0)


def _parameter(graph: SymbolGraph, node: Node, params: dict) -> float | None:
    """The average of a parameter, which may be reshaped on its way; None where the node is none."""
    while node.op in _KEEPS_PARAMETER and node.inputs:
        node = graph.producer(node, 0)
    array = params.get(node.name) if node.op == "null" else None
    return None if array is None or not np.size(array) else float(np.mean(array, dtype=np.float64))


def _range(factor: float, offset: float) -> tuple:
    """Whether y = factor * x + offset settles what range x has, and the value of a white pixel in it; see `input_of`."""
    if offset:
        zero = -offset / factor
        return True, None if zero < 0 else 1.0 if zero <= 1 else 255.0
    return (True, 255.0) if abs(factor) <= _PIXEL_FACTOR else (False, None)
