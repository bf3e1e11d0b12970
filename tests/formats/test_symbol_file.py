"""Symbols that are damaged or hostile: one clear error, soon, and before mxnet sees them."""

import json
import resource
import time

import pytest

from ssdzoo.errors import ExportError
from ssdzoo.formats.symbol_file import read_symbol, symbol_text
from tests.hostile import limits  # noqa: F401

CONV = {"kernel": "(3, 3)", "num_filter": "8", "num_group": "1"}
DATA = {"op": "null", "name": "data", "inputs": []}


def symbol(*nodes, heads=None, **more):
    return {"nodes": [DATA, *nodes], "heads": heads or [[len(nodes), 0, 0]], **more}


def conv(name="conv", inputs=((0, 0, 0),), **attrs):
    return {"op": "Convolution", "name": name, "attrs": {**CONV, **attrs}, "inputs": [list(i) for i in inputs]}


def test_a_good_symbol():
    graph = read_symbol(json.dumps(symbol(conv())))
    assert [node.op for node in graph.nodes] == ["null", "Convolution"] and graph.outputs == [(1, 0)]
    assert graph.nodes[1].numbers("kernel") == [3, 3]


@pytest.mark.parametrize("damage, message", [
    (symbol(conv(num_group="0")), r"node 'conv' \(Convolution\): attribute 'num_group' is 0; expected 1 to 65536"),
    (symbol(conv(kernel="(0, 3)")), r"attribute 'kernel' is \(0, 3\); expected 1 to 65536"),
    (symbol(conv(stride=[-1, 1])), r"attribute 'stride' is \[-1, 1\]"),
    (symbol(conv(stride="(-1, 1)")), r"attribute 'stride' is \(-1, 1\)"),
    (symbol(conv(pad="(99999999, 0)")), r"attribute 'pad' is \(99999999, 0\); expected 0 to 65536"),
    (symbol(conv(num_filter=str(1 << 63))), "attribute 'num_filter' is 9223372036854775808"),
    (symbol(conv(num_filter="1" * 400)), "attribute 'num_filter' is 111.*; numbers have at most 64 bits"),
    (symbol(conv(inputs=[(8, 8)])), "takes its input from node 8, which is not before it"),
    (symbol(conv(inputs=[(0, 8)])), "takes output 8 of node 'data'"),
    (symbol(conv(inputs=[(0, -1)])), "there is no output -1 of a node"),
    (symbol(conv(inputs=[("0", 0)])), "'0' stands where a number of a node or an output was expected"),
    (symbol(conv(inputs=[(1e400, 0)])), "inf stands where a number"),
    (symbol(conv(inputs=[(10**30, 0)])), "a number of 100 bits stands where"),
    (symbol(conv(), heads=[[8, 8]]), "its outputs .* are not among its 2 nodes"),
    (symbol(conv(name="a\x1b[2J")), r"'a\\x1b\[2J' stands where a name or an attribute was expected"),
    (symbol(conv(name="a\0b")), r"'a\\x00b' stands where a name or an attribute was expected"),
    (symbol(conv(name=5)), "5 stands where a name"),
    (symbol({**DATA, "name": "x", "inputs": [[0, 0, 0]]}), "is a variable with inputs"),
    ({"heads": [[0, 0, 0]]}, "it has no 'nodes'"),
    (symbol(*[DATA] * 20_000), "it has 20001 nodes; at most 20000 are read"),
])  # fmt: skip
def test_damage_is_named(damage, message):
    with pytest.raises(ExportError, match=message) as caught:
        read_symbol(json.dumps(damage))
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


@pytest.mark.parametrize("value, text", [(5, "5"), (None, "None"), ([1, 2], "[1, 2]"), (1e400, "inf"), (True, "True")])
def test_attributes_of_another_type(value, text):
    """They are texts to all who read them."""
    assert read_symbol(json.dumps(symbol(conv(layout=value)))).nodes[-1].attrs["layout"] == text


@pytest.mark.parametrize("text", ['{"nodes": ' + "[" * 100_000, '{"nodes": ' + "9" * 5_000 + "}"])
def test_text_that_python_itself_stumbles_over(text):
    with pytest.raises(ExportError, match="not a symbol of MXNet"):
        read_symbol(text)


def test_a_long_chain_takes_no_time(tmp_path):
    """The whole way of an image through 10,000 nodes is followed once, not once for each node."""
    from ssdzoo.formats.graph_input import input_of

    nodes = [{"op": "_plus_scalar", "name": "x", "attrs": {"scalar": "0"}, "inputs": [[i, 0, 0]]} for i in range(10_000)]
    since = time.process_time()
    assert input_of(read_symbol(json.dumps(symbol(*nodes))), {}).name == "data"
    assert time.process_time() - since < 3


def test_a_sparse_file_is_refused_at_once(tmp_path):
    path = tmp_path / "x-symbol.json"
    with open(path, "wb") as file:
        file.truncate(40 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ExportError, match="x-symbol.json: cannot be read as a symbol: not UTF-8 text"):
        read_symbol(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_a_symbol_as_text_has_a_line_for_each_node():
    raw = {
        "nodes": [{"op": "null", "name": name, "inputs": []} for name in ("data", "\u00e9\n")],
        "heads": [[1, 0, 0]],
        "attrs": {},
    }
    text = symbol_text(raw)
    assert json.loads(text) == raw and len(text.splitlines()) == 8
    assert text.splitlines()[2] == '{"op": "null", "name": "data", "inputs": []},'
