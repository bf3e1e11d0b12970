"""Small networks and weights that several tests share."""

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


def images(batch=2, height=96, width=96, seed=0):
    """(batch, 3, height, width) normalized noise."""
    return mx.nd.array(np.random.default_rng(seed).normal(size=(batch, 3, height, width)))


def as_numpy(outputs):
    return [output.asnumpy() for output in outputs]


def network_anchors(net):
    """(N, 4) float32: the anchors that an SSD stores, for an input of its base size, center form, pixels."""
    maps = zip(net.anchor_generators, net.map_sizes(*net.base_size))
    return np.concatenate([g._stored()[:, :, :h, :w].reshape(-1, 4) for g, (h, w) in maps]).astype(np.float32)
