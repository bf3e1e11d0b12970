"""Batch norms folded into convolutions, against mxnet."""

import json
from collections import Counter

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.errors import ExportError
from ssdzoo.export import to_onnx
from ssdzoo.export.onnx.fold_norms import fold_norms
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.runtime import mxnet
from tests.export.onnx.models import pair, run_onnx, run_symbol, trained_looking

mx = mxnet()
sym = mx.sym
DATA = sym.var("data")


@pytest.fixture(autouse=True)
def no_fusion(monkeypatch):
    """mxnet 1.9.1 fuses norms and convolutions itself, also where the output of a convolution is used again: a wrong answer."""
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")


def arrays_of(symbol, shape=(2, 4, 9, 8), seed=0):
    """Random parameters, and data of that shape."""
    rng = np.random.default_rng(seed)
    arguments, _, auxiliary = symbol.infer_shape(data=shape)
    arrays = {n: rng.normal(0, 1, s).astype(np.float32) for n, s in zip(symbol.list_arguments(), arguments)}
    return {**arrays, **{n: rng.uniform(0.3, 2, s).astype(np.float32) for n, s in zip(symbol.list_auxiliary_states(), auxiliary)}}


def operators(symbol, arrays):
    """How often each operator is used after folding."""
    graph, _ = fold_norms(read_symbol(symbol.tojson()), arrays)
    return Counter(graph.nodes[i].op for i in graph.ancestors())


def conv(x, kernel=(3, 3), **kwargs):
    return sym.Convolution(x, **{"kernel": kernel, "num_filter": 8, **kwargs})


def norm(x, **kwargs):
    return sym.BatchNorm(x, **{"fix_gamma": False, **kwargs})


@pytest.mark.parametrize(
    "symbol",
    [
        norm(conv(DATA)),
        norm(conv(DATA, no_bias=True)),
        norm(conv(DATA, num_group=4, num_filter=4, pad=(1, 1), no_bias=True)),
        norm(conv(DATA, num_group=2, stride=(2, 2))),
        norm(conv(DATA, kernel=(1, 1)), fix_gamma=True),
        norm(conv(DATA, kernel=(1, 1)), eps=0.5, use_global_stats=True),
        sym.BatchNorm(conv(DATA, dilate=(2, 2))),  # whose gamma is fixed unless one says otherwise
        norm(conv(sym.Activation(norm(conv(DATA)), act_type="relu"))),
    ],
    ids=["bias", "no bias", "depthwise", "grouped", "fixed gamma", "eps", "defaults", "two"],
)
def test_folded(symbol):
    arrays = arrays_of(symbol)
    before = {name: array.copy() for name, array in arrays.items()}
    found = operators(symbol, arrays)
    assert found["BatchNorm"] == 0 and found["Convolution"] in (1, 2)
    for name, array in before.items():
        np.testing.assert_array_equal(arrays[name], array)
    (expected,), (answer,) = run_symbol(symbol, fold=True, **arrays)
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def twice():
    """The output of a convolution goes to a norm, and past it."""
    x = conv(DATA)
    return norm(x) + x


def as_output():
    x = conv(DATA)
    return sym.Group([norm(x), x])


def two_norms():
    x = conv(DATA)
    return norm(x) + norm(x)


@pytest.mark.parametrize(
    "symbol, norms",
    [
        (twice(), 1),
        (two_norms(), 2),
        (as_output(), 1),
        (norm(sym.Activation(conv(DATA), act_type="relu")), 1),
        (norm(norm(conv(DATA))), 1),
        (norm(DATA), 1),
        (norm(sym.Deconvolution(DATA, kernel=(2, 2), num_filter=8)), 1),
        (norm(conv(DATA, weight=sym.exp(sym.var("w", shape=(8, 4, 3, 3))))), 1),
    ],
    ids=["used twice", "two norms", "an output", "relu between", "norm of a norm", "of the data", "transposed", "made weight"],
)
def test_not_folded(symbol, norms):
    arrays = arrays_of(symbol)
    assert operators(symbol, arrays)["BatchNorm"] == norms
    for expected, answer in zip(*run_symbol(symbol, fold=True, **arrays), strict=True):
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["weight", "gamma", "beta", "moving_mean"])
def test_shared_parameters_are_not_folded(name):
    """Two convolutions with a norm each."""
    one = {name: sym.var("shared")}
    of_conv, of_norm = (one, {}) if name == "weight" else ({}, one)
    x, y = (norm(conv(data, **of_conv), **of_norm) for data in (DATA, sym.Activation(DATA, act_type="relu")))
    symbol = x + y
    arrays = arrays_of(symbol)
    assert operators(symbol, arrays)["BatchNorm"] == 2
    (expected,), (answer,) = run_symbol(symbol, fold=True, **arrays)
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_two_variables_of_one_name_are_not_folded():
    x, y = (norm(conv(data, weight=sym.var("shared"))) for data in (DATA, sym.Activation(DATA, act_type="relu")))
    assert operators(x + y, arrays_of(x + y))["BatchNorm"] == 2


def test_parameters_that_do_not_fit_are_left_to_the_translator():
    symbol = norm(conv(DATA, name="c"), name="n")
    arrays = arrays_of(symbol)
    for name, array in (("n_gamma", np.ones(3)), ("c_weight", np.zeros((3, 3))), ("n_moving_var", None)):
        wrong = {**arrays, name: array} if array is not None else {k: v for k, v in arrays.items() if k != name}
        graph, params = fold_norms(read_symbol(symbol.tojson()), wrong)
        assert graph.nodes[graph.outputs[0][0]].op == "BatchNorm" and params == wrong


@pytest.mark.parametrize(
    "change", [{"inputs": []}, {"inputs": [[0, 0, 0]] * 7}, {"attrs": {"eps": "x"}}, {"attrs": {"axis": "3"}}]
)
def test_damaged_norms_are_left_to_the_translator(change, tmp_path):
    symbol = norm(conv(DATA, name="c"), name="n")
    data = json.loads(symbol.tojson())
    data["nodes"][-1].update(change)
    graph, _ = fold_norms(read_symbol(json.dumps(data)), arrays_of(symbol))
    assert graph.nodes[graph.outputs[0][0]].op == "BatchNorm"
    with pytest.raises(ExportError, match=r"node 'n' \(BatchNorm\)|one, `data`, was expected"):
        to_onnx(json.dumps(data), {k: v for k, v in arrays_of(symbol).items() if k != "data"}, tmp_path / "x.onnx")


def test_statistics_that_the_file_does_not_list():
    """As in files of MXNet 0.8."""
    symbol = norm(conv(DATA), name="n")
    arrays = arrays_of(symbol)
    data = json.loads(symbol.tojson())
    for node in data["nodes"]:
        node["inputs"] = node["inputs"][:3]
    graph, params = fold_norms(read_symbol(json.dumps(data)), arrays)
    _, expected = fold_norms(read_symbol(symbol.tojson()), arrays)
    assert graph.nodes[graph.outputs[0][0]].op == "Convolution"
    for name in expected:
        np.testing.assert_array_equal(params[name], expected[name])


@pytest.mark.parametrize(
    "name, left",
    [
        ("ssd_300_mobilenet0.25_custom", 0),
        ("ssd_300_resnet18_v1_custom", 0),
        # A v2 norms what goes into its blocks: the image, what the first block begins with, and each sum.
        pytest.param("ssd_512_resnet101_v2_custom", 32, marks=pytest.mark.long),
        pytest.param("ssd_300_resnet50_fpn_custom", 0, marks=pytest.mark.long),
    ],
)
def test_raw_heads_stay_what_they_were(name, left, tmp_path, monkeypatch):
    size = 160 if "512" in name else 128
    images = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    net = trained_looking(name, images)
    net.export(str(tmp_path / "net"))
    folded = onnx.load(to_onnx(*pair(tmp_path / "net"), tmp_path / "folded.onnx", raw=True))
    monkeypatch.setattr("ssdzoo.export.onnx.export.fold_norms", lambda graph, params: (graph, params))
    plain = onnx.load(to_onnx(*pair(tmp_path / "net"), tmp_path / "plain.onnx", raw=True))
    counts = [Counter(node.op_type for node in model.graph.node) for model in (plain, folded)]
    norms = counts[0]["BatchNormalization"]
    assert counts[1]["BatchNormalization"] == left < norms and counts[0]["Conv"] == counts[1]["Conv"]
    assert len(plain.graph.node) - len(folded.graph.node) == norms - left
    expected, found = run_onnx(plain, images), run_onnx(folded, images)
    for output in expected:
        np.testing.assert_allclose(found[output], expected[output], rtol=1e-4, atol=1e-4)
