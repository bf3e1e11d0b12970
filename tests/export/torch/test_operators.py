"""Operators one by one, against mxnet: what comes out, and the gradients of what goes in."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from ssdzoo.export.torch.builder import Builder, shape_of
from ssdzoo.export.torch.translate import translate
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.runtime import mxnet
from tests.export.operators import BN, IMAGE, SINGLE, S, X, data_of, rand

mx = mxnet()

MORE = {
    "batch norm with global statistics": (S.BatchNorm(X, fix_gamma=False, use_global_stats=True, name="g"), IMAGE, BN),
    "padding": (S.pad(X, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)), IMAGE, {}),
    "padding with a number": (S.pad(X, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=2), IMAGE, {}),
    "split at indices": (S.split_v2(X, (1, 3), axis=1), IMAGE, {}),
    "elu": (S.LeakyReLU(X, act_type="elu", slope=0.3), IMAGE, {}),
    "softsign": (S.Activation(X, act_type="softsign"), IMAGE, {}),
    "slice like a product": (S.slice_like(S.var("big"), X * 0, axes=(2, 3)), IMAGE, {"big": rand(1, 2, 12, 12)}),
    "like": (S.Group([S.broadcast_like(S.sum(X, axis=1, keepdims=True), X), S.reshape_like(X, S.transpose(X))]), IMAGE, {}),
    "broadcast to": (S.broadcast_to(S.sum(X, axis=1, keepdims=True), shape=(0, 3, 0, 0)), IMAGE, {}),
    "squeeze": (S.Group([S.squeeze(X), S.squeeze(X, axis=1)]), (2, 1, 5), {}),
    "constants": (S.broadcast_add(X, S.zeros((1, 4, 1, 1)) + S.full((1, 4, 1, 1), 3)), IMAGE, {}),
    "argmax": (S.Group([S.argmax(X, axis=1), S.argmin(X, axis=2, keepdims=True)]), IMAGE, {}),
    "more unary": (S.Group([S.rsqrt(S.abs(X)), S.floor(X), S.ceil(X), S.reciprocal(X), S.relu(X), S.sigmoid(X), -X]), IMAGE, {}),
    "anchors": (S.contrib.MultiBoxPrior(X, sizes=(0.2, 0.4), ratios=(1, 2, 0.5)), IMAGE, {}),
    "anchors with steps": (S.contrib.MultiBoxPrior(X, sizes=(0.9,), ratios=(2, 1), steps=(0.1, 0.2), offsets=(0.3, 0.6),
                                                   clip=True), IMAGE, {}),
    "image": (S.image.normalize(S.image.to_tensor(X), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)), (2, 5, 6, 3), {}),
}  # fmt: skip
CASES = {**SINGLE, **MORE}
# mxnet has none of these, or another one: that of SoftmaxActivation is of all axes together.
NO_GRADIENT = {
    "casts",
    "argmax",
    "comparisons",
    "anchors",
    "anchors with steps",
    "softmax over the last axis",
    "softmax with labels",
    "softmax over all, with labels",
    "image",
}


def run(name, symbol, data, arrays, training):
    """Outputs and {name: gradient} of the sum of their squares, in mxnet and in torch."""
    given = {n: mx.nd.array(a) for n, a in {"data": data, **arrays}.items()}
    auxiliary = {n: given.pop(n) for n in symbol.list_auxiliary_states()}
    bound = symbol.bind(mx.cpu(), given, {n: mx.nd.zeros_like(a) for n, a in given.items()}, aux_states=auxiliary)
    expected = [o.asnumpy() for o in bound.forward(is_train=training)]
    graph, g = read_symbol(symbol.tojson()), Builder()
    image = g.input("images", data.shape)
    tensors = {n: g.tensor(n, torch.from_numpy(np.float32(a)), None if n in auxiliary else True) for n, a in arrays.items()}
    values = translate(g, graph, {**tensors, "data": image}, image)
    known = [shape_of(values[key]) for key in graph.outputs]
    module = g.finish(tuple(values[key] for key in graph.outputs)).train(training)
    images = torch.from_numpy(data.copy()).requires_grad_()
    found = module(images)
    assert [tuple(f.shape) for f in found] == known
    if name in NO_GRADIENT:
        return expected, found, {}, {}
    if training:
        bound.backward([mx.nd.array(2 * e) for e in expected])
        sum((f.float() ** 2).sum() for f in found if f.requires_grad).backward()
    mine = {"data": images, **dict(module.named_parameters())}
    theirs = {n: a.asnumpy() for n, a in bound.grad_dict.items()}
    states = {n: a.asnumpy() for n, a in auxiliary.items()}, {n: b.numpy() for n, b in module.named_buffers()}
    return expected, found, *(dict(theirs, **states[0]), {**{n: t.grad for n, t in mine.items()}, **states[1]})


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_operator(name, training):
    symbol, shape, arrays = CASES[name]
    data = data_of(name) if name in SINGLE else rand(*shape)
    expected, found, theirs, mine = run(name, symbol, data, arrays, training)
    assert len(expected) == len(found)
    for a, b in zip(expected, found):
        assert a.shape == tuple(b.shape)
        np.testing.assert_allclose(b.detach().numpy(), a, rtol=1e-4, atol=1e-5)
    for key in theirs if training else ():
        gradient = np.zeros_like(theirs[key]) if mine[key] is None else np.asarray(mine[key])
        np.testing.assert_allclose(gradient, theirs[key], rtol=1e-3, atol=1e-4 * max(np.abs(theirs[key]).max(), 1), err_msg=key)
