"""An exported model for other classes: its symbol and its arrays, changed without any framework."""

import json
from collections.abc import Sequence

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.export.heads import head_symbol
from ssdzoo.formats.graph_heads import find_heads
from ssdzoo.formats.symbol_file import Node, SymbolGraph, symbol_text
from ssdzoo.model_source import SymbolSource

_FORMS = (
    "Reshape",
    "transpose",
    "Concat",
    "Flatten",
    "slice_axis",
    "SwapAxis",
    "identity",
    "_copy",
)  # between predictors and logits


def with_classes(source: SymbolSource, classes: Sequence[str]) -> tuple[str, dict, str]:
    """The symbol's JSON and {name: array} of an exported model, for these classes, and a sentence that says which classes kept
    their weights. The weights of a new class begin at 0.

    Raises:
        CallError: other classes, and the symbol does not show where its classes are predicted.
    """
    text, given = head_symbol(source)
    arrays = dict(given)
    old, new = list(source.preset.classes or ()), list(classes)
    kept = [name for name in new if name in old]
    story = f"class weights kept from {source.params}: {', '.join(kept) or 'none'}"
    if old == new:
        return text, arrays, story
    reshapes, predictors = _class_nodes(source.graph, len(old) + 1)
    symbol = json.loads(text)
    for node in reshapes:
        shape = [*node.numbers("shape")[:-1], len(new) + 1]
        symbol["nodes"][node.index]["attrs"]["shape"] = str(tuple(shape))
    for node in predictors:
        depth = int(node.get("num_filter")) // (len(old) + 1)
        symbol["nodes"][node.index]["attrs"]["num_filter"] = str(depth * (len(new) + 1))
        for index, _ in node.inputs[1:]:
            name = source.graph.nodes[index].name
            arrays[name] = _moved(arrays[name], old, new)
            symbol["nodes"][index].get("attrs", {}).pop("__shape__", None)
    return symbol_text(symbol), arrays, story


def _class_nodes(graph: SymbolGraph, width: int) -> tuple[list[Node], list[Node]]:
    """The nodes that give class logits their last axis of `width`, and the convolutions that predict them."""
    waiting, seen = [find_heads(graph).logits[0]], set()
    reshapes, predictors = [], []
    while waiting:
        node = graph.nodes[waiting.pop()]
        if node.index in seen:
            continue
        seen.add(node.index)
        if node.op == "Convolution" and int(node.get("num_filter")) % width == 0:
            predictors.append(node)
        elif node.op in _FORMS:
            if node.op == "Reshape" and node.numbers("shape")[-1] == width:
                reshapes.append(node)
            waiting += [index for index, _ in node.inputs]
        else:
            predictors.clear()
            break
    if not predictors or not reshapes:
        raise CallError(
            f"{graph.source}: its symbol does not show where its {width - 1} classes are predicted, so it can be trained on "
            "data of the same classes only"
        )
    return reshapes, predictors


def _moved(array: np.ndarray, old: list, new: list) -> np.ndarray:
    """Weights or biases of a class predictor, one row in `width` rows per anchor, the background first."""
    rows = array.reshape(-1, len(old) + 1, *array.shape[1:])
    moved = np.zeros((len(rows), len(new) + 1, *array.shape[1:]), array.dtype)
    moved[:, 0] = rows[:, 0]
    for number, name in enumerate(new, 1):
        if name in old:
            moved[:, number] = rows[:, old.index(name) + 1]
    return moved.reshape(-1, *array.shape[1:])
