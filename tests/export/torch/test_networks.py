"""Whole networks as torch modules, against mxnet."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.export.torch import to_arrays
from ssdzoo.export.torch.builder import Builder
from ssdzoo.export.torch.operations import BatchNorm
from ssdzoo.zoo import find_preset
from tests.export.torch.models import distance, heads, module_of, mxnet_heads, network, noise, parameters, step

SMALL_PYRAMID = replace(find_preset("ssd_512_resnet50_fpn_custom"), name="small_pyramid", backbone="resnet18_v1b_fpn")
# One of each kind, at a size that takes a second or two.
SMALL = {
    "ssd_512_resnet18_v1_voc": (160, 256), "ssd_300_mobilenet0.25_coco": (300, 300),
    SMALL_PYRAMID: (128, 160), "ssd_300_mobilenet1.0_lite_coco": (160, 160),
}  # fmt: skip
STATISTICS = ("running_mean", "running_var", "moving_mean", "moving_var")


def check(name, size, batch):
    """Head outputs in prediction, in float32; in training, and running statistics after a step, in float64 and at the smallest
    size: batch norms over a few values enlarge rounding, so that MXNet's float32 is up to 4e-3 away from its float64, and what it
    keeps in float32, eps and momentum, is worth up to 3e-6."""
    net, images = network(name), noise(batch, size)
    module = module_of(net)
    prediction = distance(mxnet_heads(net, images), heads(module, images))
    arrays, values = to_arrays(module), {n: p.data().asnumpy() for n, p in parameters(net).items()}
    assert list(arrays) == list(values) and all(np.array_equal(arrays[n], values[n]) for n in values)
    net.cast("float64")
    for norm in module.modules():
        if isinstance(norm, BatchNorm):
            norm.eps, norm.momentum = float(np.float32(norm.eps)), float(np.float32(norm.momentum))
    training = distance(*step(net, module.double(), noise(2, smallest(net)).astype(np.float64)))
    arrays, values = (
        {n: np.asarray(t, np.float64) for n, t in module.state_dict().items()},
        {n: p.data().asnumpy() for n, p in parameters(net).items()},
    )
    moving = [n for n in values if n.endswith(STATISTICS)]
    assert all(np.array_equal(values[n], arrays[n]) for n in values.keys() - set(moving))
    moved = statistics_distance(values, arrays, moving)
    print(f"{name} {size}: prediction {prediction:.1e}, training {training:.1e}, statistics {moved:.1e}")
    assert prediction < 1e-4 and training < 1e-6 and moved < 1e-6


def smallest(net):
    """The smallest square input, in steps of 32 pixels, whose last feature map has a pixel."""
    for side in range(64, 513, 32):
        try:
            net.map_sizes(side, side)
            return side, side
        except CallError:
            pass
    raise AssertionError(net)


def statistics_distance(expected, found, names):
    """The largest difference of running means and variances, in parts of the largest value: for a mean also of the root of the
    variance, because the mean of what follows a norm without activation is 0."""
    worst = 0.0
    for name in names:
        scale = np.abs(expected[name]).max()
        if name.endswith("mean"):
            scale = max(scale, expected[f"{name.removesuffix('mean')}var"].max() ** 0.5)
        worst = max(worst, float(np.abs(expected[name] - found[name]).max() / scale))
    return worst


@pytest.mark.parametrize("name", SMALL, ids=lambda name: getattr(name, "name", name))
def test_small_inputs(name, monkeypatch):
    """Nothing but views is run to know its shape: whatever else runs imports torch's compiler, for seconds."""
    ran, run = set(), Builder._run
    monkeypatch.setattr(Builder, "_run", lambda g, function, *a, **k: ran.add(function.__name__) or run(g, function, *a, **k))
    check(name, SMALL[name], 2)
    assert ran == {"permute", "flatten", "reshape", "slice_like"}


@pytest.mark.long
def test_vgg():
    """In prediction; it has no norms, so training is nothing else."""
    net, images = network("ssd_300_vgg16_atrous_custom"), noise(1, (260, 260))
    assert distance(mxnet_heads(net, images), heads(module_of(net), images)) < 1e-5


def test_a_vgg_predicts_alike():
    """Its training at the smallest size takes a minute."""
    net, images = network("ssd_300_vgg16_atrous_voc"), noise(1, (260, 260))
    assert distance(mxnet_heads(net, images), heads(module_of(net), images)) < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("name", ssdzoo.list_models())
def test_every_preset(name):
    check(name, find_preset(name).base_size, 2)


@pytest.mark.parametrize("name, size", [
    pytest.param("ssd_300_vgg16_atrous_custom", (260, 260), marks=pytest.mark.long), ("ssd_512_resnet18_v1_custom", (96, 128)),
    ("ssd_300_mobilenet0.25_custom", (96, 128)),
])  # fmt: skip
def test_gradients(name, size):
    """Of the sum of squares, in float64; MXNet keeps eps and momentum in float32."""
    net = network(name)
    module = module_of(net).double()
    net.cast("float64")
    step(net, module, noise(2, size).astype(np.float64))
    ours, count = dict(module.named_parameters()), 0
    for path, parameter in parameters(net).items():
        if parameter.grad_req == "null":
            assert path not in ours or not ours[path].requires_grad
            continue
        theirs, gradient = parameter.grad().asnumpy(), ours[path].grad
        mine = np.zeros_like(theirs) if gradient is None else gradient.numpy()
        assert np.abs(mine - theirs).max() <= 1e-5 * max(np.abs(theirs).max(), 1e-6), path
        count += 1
    assert count == sum(p.grad_req != "null" for p in parameters(net).values()) > 60
