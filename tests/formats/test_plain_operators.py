"""What mxnet's quantization made of a network is undone: the int8 symbols that gluoncv comes with, with random weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import ExportError
from ssdzoo.formats.detection_graph import read_detection
from ssdzoo.formats.plain_operators import with_plain_operators
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.symbol_mxnet import parse_symbol
from tests.networks import as_numpy, images
from tests.test_gluoncv_parity import gluoncv_network

mx = mxnet()
FOLDER = Path(gluoncv().__file__).parent / "model_zoo" / "quantized"


def exported(name, x, folder):
    """An int8 model as GluonCV exports it, and what the float32 network of its weights gives."""
    symbol = FOLDER / f"{name}_int8-symbol.json"
    net = gluoncv_network(name, prefix="ssd0_")
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), force_reinit=True)
    nms = next(node for node in read_symbol(symbol).nodes if node.op == "_contrib_box_nms")
    net.set_nms(nms.get("overlap_thresh"), nms.get("topk"))
    net.hybridize()
    expected = as_numpy(net(x))
    net.export(str(folder / "float"))
    # In GluonCV's process the network is the first one.
    arrays = {
        re.sub(r"(resnetv1|mobilenet)\d+_", r"\g<1>0_", k): a for k, a in mx.nd.load(str(folder / "float-0000.params")).items()
    }
    mx.nd.save(str(folder / "int8-0000.params"), arrays)
    (folder / "int8-symbol.json").write_text(symbol.read_text())
    return expected


@pytest.mark.parametrize(
    "name, size",
    [
        ("ssd_512_mobilenet1.0_voc", 128),
        pytest.param("ssd_512_resnet50_v1_voc", 128, marks=pytest.mark.long),
        pytest.param("ssd_300_vgg16_atrous_voc", 300, marks=pytest.mark.long),
        pytest.param("ssd_512_vgg16_atrous_voc", 512, marks=pytest.mark.long),
    ],
)
def test_the_float_network_of_an_int8_symbol_is_what_it_was_made_from(name, size, tmp_path):
    x = images(1, size, size)
    expected = exported(name, x, tmp_path)
    graph = read_detection(tmp_path / "int8-symbol.json")
    assert not any("quantize" in node.op or node.partitioned for node in graph.nodes)
    block = mx.gluon.SymbolBlock(parse_symbol(graph), [mx.sym.var("data")])
    block.collect_params().load(str(tmp_path / "int8-0000.params"))
    for a, b in zip(expected, as_numpy(block(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-3 if a.shape[-1] == 4 else 1e-6)


@pytest.mark.long
def test_an_int8_model_is_a_model(tmp_path, capfd):
    exported("ssd_512_mobilenet1.0_voc", images(1, 128, 128), tmp_path)
    detector = ssdzoo.load(tmp_path / "int8")
    assert (detector.preset.base_size, len(detector.names)) == ((512, 512), 20)
    photo = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    found, same = detector(photo, score=0)[0], ssdzoo.load(tmp_path / "float")(photo, score=0)[0]
    assert len(found) == len(same) > 50
    assert "upgrade" not in capfd.readouterr().err  # mxnet says it of each file of an older version
    np.testing.assert_allclose(found.scores, same.scores, rtol=0, atol=1e-6)


def changed(change):
    """The text of a graph with a quantized convolution, after a change."""
    inner = [
        {"op": "null", "name": "x0", "inputs": []}, {"op": "null", "name": "w0", "inputs": []},
        {"op": "Convolution", "name": "conv", "attrs": {"kernel": "(1, 1)", "num_filter": "2", "no_bias": "True"},
         "inputs": [[0, 0, 0], [1, 0, 0]]},
    ]  # fmt: skip
    data = {
        "nodes": [
            {"op": "null", "name": "data", "inputs": []}, {"op": "null", "name": "w", "inputs": []},
            {"op": "_contrib_quantize_v2", "name": "q", "attrs": {"out_type": "auto"}, "inputs": [[0, 0, 0]]},
            {"op": "_sg_mkldnn_conv", "name": "fused", "attrs": {"quantized": "true"},
             "inputs": [[2, 0, 0], [1, 0, 0], [2, 1, 0], [2, 2, 0]],
             "subgraphs": [{"nodes": inner, "arg_nodes": [0, 1], "heads": [[2, 0, 0]]}]},
            {"op": "_contrib_quantized_flatten", "name": "flat", "inputs": [[3, 0, 0], [3, 1, 0], [3, 2, 0]]},
            {"op": "_contrib_dequantize", "name": "d", "inputs": [[4, 0, 0], [4, 1, 0], [4, 2, 0]]},
        ],
        "arg_nodes": [0, 1], "heads": [[5, 0, 0]],
    }  # fmt: skip
    change(data)
    return json.dumps(data)


def test_nodes():
    graph = with_plain_operators(read_symbol(changed(lambda data: None)))
    assert [(node.op, node.name, node.inputs) for node in graph.nodes] == [
        ("null", "data", ()), ("null", "w", ()), ("Convolution", "conv", ((0, 0), (1, 0))), ("Flatten", "flat", ((2, 0),)),
    ]  # fmt: skip
    assert graph.outputs == [(3, 0)] and graph.raw["heads"] == [[3, 0, 0]]
    assert with_plain_operators(graph) is graph


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data: data["nodes"][3].update(inputs=[[2, 0, 0]]), "has 1 inputs, which its own graph does not fit"),
        (lambda data: data.update(heads=[[4, 1, 0]]), "the minimum or the maximum that node 'flat' .* gives is used as a value"),
        (lambda data: data["nodes"][3]["subgraphs"][0].update(heads=[]), "not a symbol of MXNet"),
        (
            lambda data: data["nodes"][4].update(op="_contrib_quantized_concat", attrs={"num_args": "many"}),
            "attribute 'num_args' is 'many'; numbers were expected",
        ),
        (lambda data: data["nodes"][2].update(inputs=[]), "node 'q' .* has 0 inputs; at least 1 were expected"),
    ],
)
def test_damaged_graphs(change, message):
    with pytest.raises(ExportError, match=message):
        with_plain_operators(read_symbol(changed(change)))
