"""What the tests of the torch translation share: networks, a step of training on both sides, and how far results are apart."""

import numpy as np
import torch

import ssdzoo
from ssdzoo.export.heads import network_heads
from ssdzoo.export.torch import to_torch
from ssdzoo.preset import Preset
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset
from tests.networks import as_numpy, initialize

mx = mxnet()


def network(name, seed=1):
    """A network of random weights, of a name or a Preset, of three classes where it has none."""
    preset = name if isinstance(name, Preset) else find_preset(name)
    net = ssdzoo.get_model(preset, classes=["a", "b", "c"] if preset.classes is None else None)
    initialize(net, seed)
    net.hybridize()
    return net


def module_of(net):
    return to_torch(*network_heads(net))


def noise(batch, size, seed=0):
    """(batch, 3, H, W) float32."""
    return np.random.default_rng(seed).normal(size=(batch, 3, *size)).astype(np.float32)


def heads(module, images):
    with torch.no_grad():
        return [output.numpy() for output in module(torch.from_numpy(images))]


def mxnet_heads(net, images):
    return as_numpy(net.head_outputs(mx.nd.array(images)))


def distance(expected, found):
    """The largest difference of two lists of arrays, in parts of the largest value of each."""
    assert [np.shape(a) for a in expected] == [np.shape(b) for b in found]
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-6)) for a, b in zip(expected, found))


def step(net, module, images):
    """The head outputs of both sides in training, after a backward pass of the sum of squares of logits and offsets: two lists.
    MXNet moves its running statistics in the backward pass."""
    with mx.autograd.record():
        outputs = net.head_outputs(mx.nd.array(images, dtype=images.dtype))
        loss = sum((o * o).sum() for o in outputs[:2])
    loss.backward()
    found = module.train()(torch.from_numpy(images))
    sum((o * o).sum() for o in found[:2]).backward()
    return as_numpy(outputs), [o.detach().numpy() for o in found]


def parameters(net):
    """{attribute path: Parameter}."""
    return net._collect_params_with_prefix()
