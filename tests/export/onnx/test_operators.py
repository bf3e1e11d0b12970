"""Operators one by one, against mxnet."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.errors import ExportError
from ssdzoo.runtime import mxnet
from tests.export.onnx.models import run_symbol

mx = mxnet()
S = mx.sym
X = S.var("data")
RNG = np.random.default_rng(0)


def rand(*shape):
    return RNG.normal(size=shape).astype(np.float32)


BN = {"g_gamma": rand(4), "g_beta": rand(4), "g_moving_mean": rand(4), "g_moving_var": np.abs(rand(4)) + 0.1}
IMAGE = (2, 4, 7, 9)

SINGLE = {
    "conv": (S.Convolution(X, S.var("w"), S.var("b"), kernel=(3, 3), stride=(2, 2), pad=(1, 1), dilate=(2, 2), num_filter=6),
             IMAGE, {"w": rand(6, 4, 3, 3), "b": rand(6)}),
    "grouped conv without bias": (S.Convolution(X, S.var("w"), kernel=(3, 3), num_filter=4, num_group=4, no_bias=True),
                                  IMAGE, {"w": rand(4, 1, 3, 3)}),
    "deconv": (S.Deconvolution(X, S.var("w"), kernel=(4, 4), stride=(2, 2), pad=(1, 1), adj=(1, 1), num_filter=3),
               IMAGE, {"w": rand(4, 3, 4, 4)}),
    "dense": (S.FullyConnected(X, S.var("w"), S.var("b"), num_hidden=5), IMAGE, {"w": rand(5, 252), "b": rand(5)}),
    "dense of the last axis": (S.FullyConnected(X, S.var("w"), num_hidden=5, no_bias=True, flatten=False),
                               IMAGE, {"w": rand(5, 9)}),
    "batch norm": (S.BatchNorm(X, fix_gamma=False, eps=1e-5, name="g"), IMAGE, BN),
    "batch norm by default": (S.BatchNorm(X, name="g"), IMAGE, BN),
    "max pool": (S.Pooling(X, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max"), IMAGE, {}),
    "max pool, full": (S.Pooling(X, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full"), IMAGE, {}),
    "max pool of stride 1, full": (S.Pooling(X, kernel=(3, 3), pad=(1, 1), pool_type="max", pooling_convention="full"),
                                   IMAGE, {}),
    "avg pool": (S.Pooling(X, kernel=(3, 2), stride=(2, 1), pad=(1, 0), pool_type="avg"), IMAGE, {}),
    "avg pool without its padding": (S.Pooling(X, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg",
                                               count_include_pad=False), IMAGE, {}),
    "avg pool, full": (S.Pooling(X, kernel=(3, 3), stride=(2, 2), pool_type="avg", pooling_convention="full"), IMAGE, {}),
    "global pool": (S.Pooling(X, kernel=(1, 1), global_pool=True, pool_type="avg"), IMAGE, {}),
    "l2 over channels": (S.L2Normalization(X, mode="channel", eps=1e-5), IMAGE, {}),
    "l2 over all": (S.L2Normalization(X), IMAGE, {}),
    "lrn": (S.LRN(X, nsize=3, alpha=0.1, beta=0.7, knorm=1.5), IMAGE, {}),
    "up": (S.UpSampling(X, scale=2, sample_type="nearest"), IMAGE, {}),
    "leaky": (S.LeakyReLU(X, slope=0.1), IMAGE, {}),
    "prelu": (S.LeakyReLU(X, S.var("p"), act_type="prelu"), IMAGE, {"p": rand(4)}),
    "softrelu": (S.Activation(X, act_type="softrelu"), IMAGE, {}),
    "softmax": (S.softmax(X, axis=1, temperature=2.0), IMAGE, {}),
    "softmax over channels": (S.SoftmaxActivation(X, mode="channel"), IMAGE, {}),
    "softmax over the last axis": (S.SoftmaxActivation(X), (2, 4, 3), {}),
    "log softmax": (S.log_softmax(X, axis=1), IMAGE, {}),
    "softmax with labels": (S.SoftmaxOutput(X, S.var("cls_label"), multi_output=True),
                            (2, 4, 3), {"cls_label": np.zeros((2, 3))}),
    "softmax over all, with labels": (S.SoftmaxOutput(X, S.var("cls_label")), (2, 4, 3), {"cls_label": np.zeros((2, 4))}),
    "flatten": (S.Flatten(X), IMAGE, {}),
    "reshape -3": (S.reshape(X, shape=(0, -3, 9)), IMAGE, {}),
    "reshape -2": (S.reshape(X, shape=(0, -2)), IMAGE, {}),
    "reshape -4": (S.reshape(X, shape=(0, -4, 2, -1, -2)), IMAGE, {}),
    "reshape 0 and -1": (S.reshape(X, shape=(0, -1, 9)), IMAGE, {}),
    "reshape all": (S.reshape(X, shape=(-1, 9)), IMAGE, {}),
    "transpose": (S.transpose(X, axes=(0, 2, 3, 1)), IMAGE, {}),
    "swap": (S.SwapAxis(X, dim1=1, dim2=3), IMAGE, {}),
    "slice": (S.slice(X, begin=(None, 1, None, 0), end=(None, 3, -1, None), step=(None, 1, 2, 1)), IMAGE, {}),
    "slice of an axis": (S.slice_axis(X, axis=-1, begin=-4, end=None), IMAGE, {}),
    "slice like": (S.slice_like(S.var("big"), X, axes=(2, 3)), IMAGE, {"big": rand(1, 2, 12, 12)}),
    "split": (S.SliceChannel(X, num_outputs=2, axis=1), IMAGE, {}),
    "split and squeeze": (S.SliceChannel(X, num_outputs=4, axis=1, squeeze_axis=True), IMAGE, {}),
    "concat": (S.concat(X, X * 2, S.identity(X), dim=1), IMAGE, {}),
    "stack": (S.stack(X, X + 1, axis=1), IMAGE, {}),
    "tile": (S.tile(X, reps=(1, 2, 1, 3)), IMAGE, {}),
    "broadcast": (S.broadcast_axis(S.expand_dims(X, axis=1), axis=1, size=3), IMAGE, {}),
    "where": (S.where(X > 0.2, X, S.zeros_like(X) - S.ones_like(X)), IMAGE, {}),
    "comparisons": (S.Group([X >= 0, X < 0.5, X <= 0.5, X == 0, X != 0, S.broadcast_greater(X, X * X)]), IMAGE, {}),
    "scalars": (S.Group([1 - X, 2 / (X + 9), X**2, S.maximum(X, 0.1), S.minimum(X, 0.1), X / 3]), IMAGE, {}),
    "arange": (S.broadcast_add(X, S.reshape(S.arange(9), shape=(1, 1, 1, 9))), IMAGE, {}),
    "unary": (S.Group([S.exp(X), S.abs(X), S.square(X), S.sqrt(S.abs(X)), S.clip(X, -0.5, 0.5), S.BlockGrad(X)]), IMAGE, {}),
    "reductions": (S.Group([S.mean(X, axis=(2, 3)), S.sum(X, axis=1, keepdims=True), S.max(X, axis=0, exclude=True)]), IMAGE, {}),
    "add_n": (S.add_n(X, X, X * 3), IMAGE, {}),
    "casts": (S.cast(S.amp_cast(X, dtype="float16"), dtype="float32") * 1, (1, 2), {}),
}  # fmt: skip


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("name", SINGLE)
def test_operator(name, opset):
    symbol, shape, arrays = SINGLE[name]
    data = np.float32([[0.5, -2]]) if name == "casts" else rand(*shape)
    expected, found = run_symbol(symbol, opset, data=data, **arrays)
    assert len(expected) == len(found)
    for a, b in zip(expected, found):
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


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
