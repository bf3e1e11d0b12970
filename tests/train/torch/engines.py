"""Both engines with the same weights on the same batches."""

from functools import cache

import numpy as np
import torch

import ssdzoo
from ssdzoo.data.loading.loader import Batch
from ssdzoo.export.heads import network_heads
from ssdzoo.export.torch.translate import head_module
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.nn.parameters import Fixed
from ssdzoo.nn.vgg_atrous import VGGAtrousExtractor
from ssdzoo.preset import check_preset
from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.engine import MXNetEngine
from ssdzoo.train.settings import Settings
from ssdzoo.train.torch.engine import TorchEngine
from ssdzoo.train.torch.freeze import freeze
from ssdzoo.train.torch.processes import Processes

mx = mxnet()
CLASSES = ("circle", "cross", "square", "star", "triangle")
COMMON = {
    "name": "small", "base_size": 64, "sizes": [12, 24, 40, 60], "ratios": [[1, 2, 0.5]] * 3, "classes": CLASSES,
}  # fmt: skip
ROWS = {
    "mobilenet": {**COMMON, "backbone": "mobilenet0.25", "features": ["relu10_fwd", "relu22_fwd"], "filters": [32]},
    "resnet": {
        **COMMON, "backbone": "resnet18_v1", "features": ["stage2_activation1", "stage3_activation1"], "filters": [32],
    },
    "vgg": {**COMMON, "backbone": "vgg"},
}  # fmt: skip


def small_vgg():
    return VGGAtrousExtractor([1, 1, 1, 1, 1], [8, 8, 16, 16, 16], [((16, 1, 1, 0), (16, 3, 2, 1))])


def preset_of(kind):
    return check_preset(ROWS[kind], "here")


def network(kind, seed=0):
    """A small SSD of one of the three architectures, with random weights."""
    net, arrays = untouched(kind), drawn(kind, seed)
    for name, parameter in net._collect_params_with_prefix().items():
        parameter.initialize(Fixed(arrays[name]))
    return net, preset_of(kind)


def untouched(kind):
    if kind == "vgg":
        return ssdzoo.get_ssd("vgg", 64, small_vgg(), None, COMMON["sizes"], COMMON["ratios"], None, CLASSES)
    return ssdzoo.get_model(preset_of(kind))


@cache
def drawn(kind, seed):
    """{attribute path: NDArray}; MXNet takes as long to draw these as to train a step or two with them."""
    net = untouched(kind)
    mx.random.seed(seed)
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    return {name: parameter.data() for name, parameter in net._collect_params_with_prefix().items()}


@cache
def heads_of(kind):
    """The symbol of `network(kind)`, as text, and its arrays."""
    return network_heads(network(kind)[0])


def translated(kind):
    """`network(kind)` as a torch module."""
    symbol, arrays = heads_of(kind)
    return head_module(read_symbol(symbol), arrays, preset_of(kind).base_size)


def torch_engine(kind, settings):
    module, preset = translated(kind), preset_of(kind)
    if settings.freeze or settings.freeze_norm:
        freeze(module, preset.base_size, settings.freeze, settings.freeze_norm)
    return TorchEngine(module, preset, settings, Processes(torch.device("cpu")))


def both(kind, **settings):
    """The two engines."""
    net, preset = network(kind)
    settings = Settings(**settings).completed(preset)
    ours = torch_engine(kind, settings)
    return MXNetEngine(net, preset, settings), ours


def batch(size=4, objects=3, seed=0):
    """Noise, and boxes in it; the last image has none."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 40, (size, objects, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 40, (size, objects, 2))], 2).astype(np.float32)
    ids = rng.integers(0, len(CLASSES), (size, objects)).astype(np.float32)
    boxes[-1], ids[-1] = -1, -1
    images = rng.integers(0, 256, (size, 8, 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    return Batch(images, boxes, ids, np.arange(size))
