"""Boxes that older exports of GluonCV's decode in arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest

from ssdzoo.formats.detection_graph import read_detection
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.formats.graph_detection import read_rule
from ssdzoo.formats.spelled_decoding import with_box_decode
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.symbol_mxnet import parse_symbol
from tests.networks import as_numpy, images
from tests.test_gluoncv_parity import gluoncv_network

mx = mxnet()
FOLDER = Path(gluoncv().__file__).parent / "model_zoo" / "quantized"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The path of an export whose decoding is arithmetic, its input and the network's outputs."""
    net, x = gluoncv_network("ssd_300_mobilenet0.25_voc"), images(1)
    net.bbox_decoder._minimal_opset = True
    net.hybridize()
    path = tmp_path_factory.mktemp("exported") / "old"
    expected = as_numpy(net(x))
    net.export(str(path))
    return path, x, expected


def test_it_becomes_one_operator_of_equal_results(exported):
    path, x, expected = exported
    symbol = f"{path}-symbol.json"
    assert "box_decode" not in Path(symbol).read_text()
    graph = read_detection(symbol)
    (decode,) = [node for node in graph.nodes if node.op == "_contrib_box_decode"]
    assert decode.attrs == {"std0": "0.1", "std1": "0.1", "std2": "0.2", "std3": "0.2", "clip": "-1", "format": "center"}
    assert not any(node.op in ("exp", "SliceChannel") for node in graph.nodes)
    assert read_rule(graph) == DetectionRule(0.45, 400, 100, 0.01, (0.1, 0.1, 0.2, 0.2))
    block = mx.gluon.SymbolBlock(parse_symbol(graph), [mx.sym.var("data")])
    block.collect_params().load(f"{path}-0000.params")
    for a, b in zip(expected, as_numpy(block(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["ssd_300_vgg16_atrous", "ssd_512_vgg16_atrous", "ssd_512_resnet50_v1", "ssd_512_mobilenet1.0"])
def test_the_detections_of_graphs_of_mxnet_1_5_are_known(name):
    graph = read_detection(FOLDER / f"{name}_voc_int8-symbol.json")
    assert read_rule(graph) == DetectionRule(0.45, 200, 100, 0.01, (0.1, 0.1, 0.2, 0.2))


@pytest.mark.parametrize(
    "op, change",
    [
        ("exp", {"op": "tanh"}),
        ("SliceChannel", {"attrs": {"axis": "1", "num_outputs": "4"}}),
        ("elemwise_sub", {"op": "elemwise_add"}),
        ("broadcast_add", {"op": "broadcast_mul"}),
        ("_mul_scalar", {"inputs": []}),
        ("broadcast_mul", {"inputs": []}),
    ],
)
def test_other_arithmetic_stays_as_it_is(op, change, exported):
    data = json.loads(Path(f"{exported[0]}-symbol.json").read_text())
    decoder = [node for node in data["nodes"] if node["op"] == op and "decoder" in node["name"]]
    decoder[-1].update(change)
    graph = read_symbol(json.dumps(data))
    assert with_box_decode(graph) is graph
