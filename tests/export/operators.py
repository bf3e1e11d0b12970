"""Symbols of one operator each, with the shape of `data` and arrays for their parameters."""

import numpy as np

from ssdzoo.runtime import mxnet

S = mxnet().sym
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
    "avg pool, full, its last window cut off": (S.Pooling(X, kernel=(2, 2), stride=(2, 2), pool_type="avg",
                                                          pooling_convention="full"), IMAGE, {}),
    "avg pool with padding, full": (S.Pooling(X, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg",
                                              pooling_convention="full"), IMAGE, {}),
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


def data_of(name):
    """The array that a symbol of SINGLE is run with."""
    return np.float32([[0.5, -2]]) if name == "casts" else rand(*SINGLE[name][1])
