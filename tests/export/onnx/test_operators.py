"""Operators one by one, against mxnet."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.errors import ExportError
from tests.export.onnx.models import run_symbol
from tests.export.operators import SINGLE, S, X, data_of, rand


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("name", SINGLE)
def test_operator(name, opset):
    symbol, _, arrays = SINGLE[name]
    expected, found = run_symbol(symbol, opset, data=data_of(name), **arrays)
    assert len(expected) == len(found)
    for a, b in zip(expected, found):
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


AVERAGE = S.Pooling(X, kernel=(3, 3), stride=(3, 3), pad=(1, 1), pool_type="avg", pooling_convention="full", name="mean")


def test_an_average_over_padding_and_a_part_of_a_window():
    expected, found = run_symbol(AVERAGE, 19, data=rand(2, 4, 7, 9))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ExportError, match=r"node 'mean' .* a part of a window; export with opset=19 or newer"):
        run_symbol(AVERAGE, 18, data=rand(2, 4, 7, 9))


@pytest.mark.parametrize("name", ["max pool, full", "slice like", "reshape -3", "reshape -4", "flatten", "global pool"])
def test_operator_of_any_size(name):
    symbol, _, arrays = SINGLE[name]
    for size in ((7, 9), (6, 9)):
        expected, found = run_symbol(symbol, dims=["batch", 4, "h", 9], data=rand(2, 4, *size), **arrays)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "symbol, message",
    [
        (S.sin(X, name="wave"), r"node 'wave' \(sin\) with inputs 'data' \(null\): this operator is not known here"),
        (S.Pooling(X, kernel=(2, 2), pool_type="sum", name="p"), r"node 'p' .* pool_type 'sum'; max and avg"),
        (S.Pooling(X, kernel=(1, 1), stride=(2, 2), pad=(1, 1), pool_type="max", pooling_convention="full"), "beyond the image"),
        (S.LeakyReLU(X, act_type="gelu", name="a"), r"node 'a' .* act_type 'gelu'"),
        (S.Convolution(X, S.var("gone"), kernel=(1, 1), num_filter=3, no_bias=True), r"\['data', 'gone'\]|'gone' is missing"),
    ],
)
def test_what_is_not_translated_is_named(symbol, message):
    from ssdzoo.export.onnx.builder import Builder
    from ssdzoo.export.onnx.translate import translate
    from ssdzoo.formats.symbol_file import read_symbol

    g = Builder(17)
    image = g.input("images", ["batch", 4, 8, 9])
    with pytest.raises(ExportError, match=message):
        translate(g, read_symbol(symbol.tojson()), {}, "data", image)
