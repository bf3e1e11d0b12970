"""Small networks and weights that several tests share."""

from functools import cache

import numpy as np

import ssdzoo
from ssdzoo.runtime import mxnet

mx = mxnet()


def small_network(classes=("a", "b", "c"), seed=0, **kwargs):
    """A mobilenet0.25 SSD with random weights, which takes 20 ms."""
    mx.random.seed(seed)
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=list(classes), **kwargs)
    net.initialize(mx.init.Xavier())
    return net


@cache
def _normals():
    """(1048583,) float32, a prime number of them, so that no two rows of a weight that repeats them are equal."""
    return np.random.default_rng(0).standard_normal(1048583, np.float32)


class HeNormal(mx.init.Initializer):
    """Weights as of `Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)` in a tenth of the time: MXNet draws each number,
    while these are parts of one array that is drawn once."""

    def __init__(self, seed=0):
        super().__init__()
        self._rng = np.random.default_rng(seed)

    def _init_weight(self, _, array):
        pool, scale = _normals(), (2 / np.prod(array.shape[1:])) ** 0.5
        array[:] = np.resize(np.roll(pool, self._rng.integers(len(pool))) * np.float32(scale), array.shape)


def initialize(net, seed=0):
    """Random weights as of `HeNormal` for all layers, also for those that have an initializer of their own."""
    start = HeNormal(seed)
    for name, parameter in net.collect_params().items():
        parameter.initialize(start if name.endswith("weight") else None, default_init=start)


def images(batch=2, height=96, width=96, seed=0):
    """(batch, 3, height, width) normalized noise."""
    return mx.nd.array(np.random.default_rng(seed).normal(size=(batch, 3, height, width)))


def as_numpy(outputs):
    return [output.asnumpy() for output in outputs]


def network_anchors(net):
    """(N, 4) float32: the anchors that an SSD stores, for an input of its base size, center form, pixels."""
    maps = zip(net.anchor_generators, net.map_sizes(*net.base_size))
    return np.concatenate([g._stored()[:, :, :h, :w].reshape(-1, 4) for g, (h, w) in maps]).astype(np.float32)
