"""What of a symbol a prediction needs."""

import json

import pytest

from ssdzoo.errors import CallError
from ssdzoo.formats.detection_graph import cut_to_detection, read_detection, with_suppression
from ssdzoo.formats.symbol_file import read_symbol


def symbol(*nodes, heads) -> str:
    """JSON of a symbol of (operator, name, attributes, numbers of the nodes that it reads)."""
    listed = [
        {"op": op, "name": name, "attrs": attrs, "inputs": [[i, 0, 0] for i in inputs]} for op, name, attrs, inputs in nodes
    ]
    variables = [i for i, node in enumerate(listed) if node["op"] == "null"]
    return json.dumps({"nodes": listed, "arg_nodes": variables, "heads": [[i, 0, 0] for i in heads]})


LABELED = {"multi_output": "True", "use_ignore": "True"}
TRAINING = (
    ("null", "data", {}, ()), ("null", "label", {}, ()), ("null", "w", {}, ()), ("Convolution", "logits", {}, (0, 2)),
    ("_contrib_MultiBoxTarget", "target", {}, (0, 1, 3)), ("SoftmaxOutput", "cls_prob", LABELED, (3, 4)),
    ("MakeLoss", "loc_loss", {}, (4,)), ("_contrib_MultiBoxDetection", "detection", {"nms_topk": "400"}, (5, 3, 0)),
    ("MakeLoss", "det_out", {}, (7,)),
)  # fmt: skip


def test_of_a_training_the_detection_is_left():
    whole = read_symbol(symbol(*TRAINING, heads=(5, 6, 8)))
    cut = cut_to_detection(whole)
    assert [(n.index, n.op, n.name) for n in cut.nodes] == [
        (0, "null", "data"), (1, "null", "w"), (2, "Convolution", "logits"), (3, "softmax", "cls_prob"),
        (4, "_contrib_MultiBoxDetection", "detection"),
    ]  # fmt: skip
    assert cut.nodes[3].attrs == {"axis": "1"} and cut.nodes[3].inputs == ((2, 0),) and cut.outputs == [(4, 0)]
    assert cut.raw["heads"] == [[4, 0, 0]] and cut.raw["arg_nodes"] == [0, 1]
    again = read_symbol(json.dumps(cut.raw))  # the JSON says the same
    assert again.nodes == cut.nodes and again.outputs == cut.outputs
    assert len(whole.nodes) == 9 and cut_to_detection(cut) is cut


@pytest.mark.parametrize("attributes, expected", [({"preserve_shape": "1"}, {"axis": "-1"}), ({}, None)])
def test_which_axis_a_softmax_with_labels_goes_over(attributes, expected):
    nodes = ("null", "data", {}, ()), ("null", "softmax_label", {}, ()), ("SoftmaxOutput", "softmax", attributes, (0, 1))
    graph = read_detection(symbol(*nodes, heads=(2,)))
    assert [n.op for n in graph.nodes] == (["null", "softmax"] if expected else ["null", "null", "SoftmaxOutput"])
    assert expected in (None, graph.nodes[-1].attrs)


def test_detections_apart_stay_apart():
    nodes = (
        ("null", "data", {}, ()),
        ("_contrib_box_nms", "nms", {}, (0,)),
        ("slice_axis", "a", {}, (1,)),
        ("slice_axis", "b", {}, (1,)),
    )
    graph = read_symbol(symbol(*nodes, heads=(2, 3)))
    assert cut_to_detection(graph) is graph


def test_suppression():
    graph = read_detection(symbol(*TRAINING, heads=(5, 6, 8)))
    for suppress, value in (("across", "True"), ("per-class", "False")):
        changed = with_suppression(graph, suppress)
        assert changed.nodes[4].attrs == {"nms_topk": "400", "force_suppress": value}
        assert changed.raw["nodes"][4]["attrs"] == changed.nodes[4].attrs and changed.nodes[:4] == graph.nodes[:4]
    assert "force_suppress" not in graph.nodes[4].attrs and "force_suppress" not in graph.raw["nodes"][4]["attrs"]
    with pytest.raises(CallError, match="suppress=all: expected per-class or across"):
        with_suppression(graph, "all")
    with pytest.raises(CallError, match="it has no NMS: leave suppress= out"):
        with_suppression(read_symbol(symbol(("null", "data", {}, ()), heads=(0,))), "across")
    blind = read_symbol(symbol(("null", "data", {}, ()), ("_contrib_box_nms", "nms", {}, (0,)), heads=(1,)))
    with pytest.raises(CallError, match="node 'nms' .* does not know the classes of its boxes"):
        with_suppression(blind, "per-class")


def test_suppression_in_a_file_of_an_older_mxnet():
    """Its attributes lie in `attr`."""
    text = symbol(*TRAINING, heads=(8,)).replace('"attrs"', '"attr"')
    changed = with_suppression(read_detection(text), "across")
    assert changed.raw["nodes"][-1]["attr"] == {"nms_topk": "400", "force_suppress": "True"}
