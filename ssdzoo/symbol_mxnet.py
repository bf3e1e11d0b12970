"""Symbols of files in mxnet: checked before it runs them, because it reads beyond its memory where a graph is wrong."""

import ctypes
import json
from typing import Any

import numpy as np

from ssdzoo.errors import ExportError
from ssdzoo.formats.symbol_file import SymbolGraph
from ssdzoo.machine import without_lines
from ssdzoo.quote import brief, short

_MAX_BYTES = 16 << 30  # of all values of a graph together, for one image


def parse_symbol(graph: SymbolGraph) -> Any:
    """The mxnet Symbol of a graph that `read_symbol` read.

    Raises:
        ExportError: it has an operator that mxnet lacks, one with impossible arguments, a node with another number of inputs than
            its operator has, or an output that its node lacks.
    """
    from ssdzoo.runtime import mx

    try:
        with without_lines(b"legacy_json_util"):  # that it brings a file of an older version up to date, as it always does
            symbol = mx.sym.load_json(json.dumps(graph.raw))
        whole = json.loads(symbol.tojson(remove_amp_cast=False))  # of an old file, as mxnet brought it up to date
    except (mx.base.MXNetError, ValueError) as error:
        raise ExportError(f"{graph.source}: doesn't load: {reason(error)}") from None
    arity: dict = {}
    for node in whole["nodes"]:
        if node["op"] == "null":
            continue
        wanted, _ = _arity(node, arity, graph.source)
        if len(node["inputs"]) != wanted:
            counts = f"{len(node['inputs'])} inputs; its operator has {wanted}"
            raise ExportError(f"{graph.source}: node {brief(node['name'])} ({node['op']}) has {counts}")
    for index, number, *_ in [entry for node in whole["nodes"] for entry in node["inputs"]] + whole["heads"]:
        node = whole["nodes"][index]
        if number and number >= (1 if node["op"] == "null" else _arity(node, arity, graph.source)[1]):
            raise ExportError(f"{graph.source}: node {brief(node['name'])} ({node['op']}) has no output {number}")
    return symbol


def _arity(node: dict, known: dict, source: str) -> tuple[int, int]:
    """How many inputs and outputs the operator of a node has, given its attributes: mxnet says it of a node by itself.

    Args:
        node: of a symbol's JSON.
        known: {operator and attributes: (inputs, outputs)} of nodes before; this one is entered.
        source: of the graph, for messages.
    """
    from mxnet.base import _LIB, MXNetError, SymbolHandle, c_str, c_str_array, check_call

    from ssdzoo.runtime import mx

    attrs = {k: v for k, v in node.get("attrs", {}).items() if not k.startswith("__")}
    key = (node["op"], *sorted(attrs.items()))
    if key not in known:
        creator, handle = ctypes.c_void_p(), SymbolHandle()
        try:
            check_call(_LIB.NNGetOpHandle(c_str(node["op"]), ctypes.byref(creator)))
            arrays = c_str_array(list(attrs)), c_str_array(list(attrs.values()))
            check_call(_LIB.MXSymbolCreateAtomicSymbol(creator, len(attrs), *arrays, ctypes.byref(handle)))
            alone = mx.sym.Symbol(handle)
            if not node.get("subgraphs"):
                alone._compose(name="alone")  # makes a variable of each input
            known[key] = len(alone.list_inputs()) if not node.get("subgraphs") else len(node["inputs"]), len(alone)
        except (MXNetError, ValueError) as error:
            raise ExportError(f"{source}: node {brief(node['name'])} ({node['op']}): {reason(error)}") from None
    return known[key]


def check_shapes(symbol: Any, source: str, **known: tuple) -> list:
    """The shapes of the outputs of a symbol, [(B, ...)].

    Args:
        known: {name of a variable: shape}.

    Raises:
        ExportError: shapes that don't fit each other, or values of many gigabytes.
    """
    from ssdzoo.runtime import mx

    try:
        _, shapes, _ = symbol.get_internals().infer_shape_partial(**known)
        _, outputs, _ = symbol.infer_shape_partial(**known)
    except (mx.base.MXNetError, ValueError) as error:
        raise ExportError(f"{source}: {reason(error)}") from None
    _check_sizes(symbol, shapes, source)
    total = 4 * sum(float(np.prod([float(max(n, 0)) for n in shape])) for shape in shapes if shape)
    if total > _MAX_BYTES:
        raise ExportError(
            f"{source}: its values take {total / 1e9:.3g} GB for one image; at most {_MAX_BYTES >> 30} GiB are tried"
        )
    return outputs


def _check_sizes(symbol: Any, shapes: list, source: str) -> None:
    """What mxnet's own shape inference lets pass, and its operators then read or write beyond their memory for.

    Args:
        shapes: of all values of the symbol, in the order of its internals.
    """
    arity: dict = {}
    places, known = [], iter(shapes or ())
    for node in json.loads(symbol.tojson(remove_amp_cast=False))["nodes"]:  # all of the nodes that have shapes
        count = 1 if node["op"] == "null" else _arity(node, arity, source)[1]
        places.append([next(known, ()) for _ in range(count)])
        taken = [places[index][number] for index, number, *_ in node["inputs"]]
        if not all(shape and min(shape) > 0 for shape in (*taken, *places[-1])):
            continue  # not known yet
        sizes = [int(np.prod(shape, dtype=object)) for shape in (*taken, *places[-1])]
        if node["op"] in ("Reshape", "reshape") and sizes[0] != sizes[1]:
            raise ExportError(f"{source}: node {brief(node['name'])} (Reshape) makes {places[-1][0]} of {taken[0]}")
        if node["op"] == "where" and taken[0] not in (taken[1], taken[1][:1]):
            raise ExportError(f"{source}: node {brief(node['name'])} (where) chooses by {taken[0]} between values {taken[1]}")


def reason(error: Exception) -> str:
    """The line of one of mxnet's errors that says what was wrong, without the place in its source."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return short((lines or [type(error).__name__])[-1].strip(), 300)
