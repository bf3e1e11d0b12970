"""Batch norms with fixed statistics, folded into the convolutions before them."""

from collections import Counter
from dataclasses import replace

import numpy as np

from ssdzoo.formats.symbol_file import Node, SymbolGraph

_CONVOLUTIONS = ("Convolution", "Convolution_v1")
_NORMS = ("BatchNorm", "BatchNorm_v1")


def fold_norms(graph: SymbolGraph, params: dict) -> tuple:
    """(graph, params) of an equal network for prediction, in which each batch norm that alone takes the output of a convolution
    is part of that convolution: weight * s and (bias - mean) * s + beta, where s = gamma / sqrt(variance + eps).

    The convolution moves into the place of the norm, and has the norm's beta for its bias. A norm stays where the output of its
    convolution has other readers, where one of the two shares its parameters, and where they don't fit each other.

    Args:
        graph: a symbol; it is not changed.
        params: {name: array} without `arg:` and `aux:`; it is not changed.
    """
    needed = graph.ancestors()
    readers = Counter(_key(graph, source) for node in graph.nodes if node.index in needed for source in node.inputs)
    readers.update(_key(graph, output) for output in graph.outputs)
    nodes, params = list(graph.nodes), dict(params)
    for norm in graph.nodes:
        conv = norm.index in needed and _foldable(graph, norm, readers, params)
        if conv:
            beta = norm.inputs[2]
            nodes[norm.index] = replace(
                conv, index=norm.index, attrs={**conv.attrs, "no_bias": "False"}, inputs=(*conv.inputs[:2], beta)
            )
            weight, bias = graph.producer(conv, 1).name, graph.nodes[beta[0]].name
            params[weight], params[bias] = _folded(graph, conv, norm, params)
    return replace(graph, nodes=nodes), params


def _foldable(graph: SymbolGraph, norm: Node, readers: Counter, params: dict) -> Node | None:
    """The convolution that a node is folded into, or None."""
    if norm.op not in _NORMS or len(norm.inputs) not in (3, 5) or any((norm.index, i) in readers for i in (1, 2)):
        return None
    if norm.get("axis", 1) != 1 or not isinstance(norm.get("eps", 1e-3), (int, float)):
        return None
    conv = graph.producer(norm, 0)
    if conv.op not in _CONVOLUTIONS or len(conv.inputs) not in (2, 3) or readers[norm.inputs[0]] > 1:
        return None
    own = [*conv.inputs[1:], *norm.inputs[1:]]
    if any(graph.nodes[source[0]].op != "null" or readers[_key(graph, source)] > 1 for source in own):
        return None
    names = [*_names(graph, conv), *_names(graph, norm)]
    if not all(name in params for name in names):
        return None
    weight, *vectors = (np.shape(params[name]) for name in names)
    return conv if len(weight) > 2 and all(shape == weight[:1] for shape in vectors) else None


def _key(graph: SymbolGraph, source: tuple) -> str | tuple:
    """What tells an output of a node from others; variables of one name hold one array."""
    node = graph.nodes[source[0]]
    return node.name if node.op == "null" else source


def _names(graph: SymbolGraph, node: Node) -> list:
    """Names of a node's parameters; those of MXNet 0.8 and older don't list the running mean and variance."""
    names = [graph.nodes[index].name for index, _ in node.inputs[1:]]
    return names + [f"{node.name}_moving_{what}" for what in ("mean", "var")] if node.op in _NORMS and len(names) == 2 else names


def _folded(graph: SymbolGraph, conv: Node, norm: Node, params: dict) -> tuple:
    """Weight and bias, float32; computed in float64."""
    weight, *bias = (np.asarray(params[name], np.float64) for name in _names(graph, conv))
    gamma, beta, mean, variance = (np.asarray(params[name], np.float64) for name in _names(graph, norm))
    scale = (1 if norm.flag("fix_gamma", True) else gamma) / np.sqrt(variance + float(norm.get("eps", 1e-3)))
    shift = ((bias[0] if bias else 0) - mean) * scale + beta
    return (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32), shift.astype(np.float32)
