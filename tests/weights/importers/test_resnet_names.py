"""torchvision's ResNet-18 and ResNet-FPN by their names, without torch."""

from functools import partial

import numpy as np
import pytest

from ssdzoo.weights.backbone import read_backbone, read_pyramid
from tests.formats.torch_files import write_pth
from tests.weights.importers.torchvision_names import add_conv_and_norm


def resnet18():
    """{name: array} of torchvision's resnet18 with random numbers."""
    arrays: dict = {}
    layer = partial(add_conv_and_norm, arrays, np.random.default_rng(0))
    layer("conv1", "bn1", (64, 3, 7, 7))
    channels = 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            prefix = f"layer{stage}.{block}"
            layer(f"{prefix}.conv1", f"{prefix}.bn1", (width, channels, 3, 3))
            layer(f"{prefix}.conv2", f"{prefix}.bn2", (width, width, 3, 3))
            if width != channels:
                layer(f"{prefix}.downsample.0", f"{prefix}.downsample.1", (width, channels, 1, 1))
            channels = width
    return {**arrays, "fc.weight": np.zeros((10, 512), np.float32), "fc.bias": np.zeros(10, np.float32)}


def v1b(names):
    """The same names in GluonCV's v1b."""
    norms = {"weight": "gamma", "bias": "beta"}
    renamed = {n: n for n in names if not n.endswith("tracked") and not n.startswith("fc.")}
    for name in renamed:
        layer, part = name.rsplit(".", 1)
        if "bn" in layer or "downsample.1" in layer:
            renamed[name] = f"{layer}.{norms.get(part, part)}"
    return renamed


@pytest.mark.parametrize("prefix", ["", "backbone.body."])
def test_v1b(prefix, tmp_path):
    theirs = resnet18()
    arrays = {f"{prefix}{name}": array for name, array in theirs.items()}
    if prefix:
        arrays["backbone.fpn.inner_blocks.0.0.weight"] = np.ones((256, 64, 1, 1), np.float32)
    write_pth(tmp_path / "x.pth", arrays)
    names = v1b(theirs)
    backbone = read_backbone(tmp_path / "x.pth", list(names.values()))
    assert len(backbone) == 100 and backbone.keys() == set(names.values())
    for name, ours in names.items():
        np.testing.assert_array_equal(backbone[ours], theirs[name])


def test_v1(tmp_path):
    theirs = resnet18()
    write_pth(tmp_path / "x.pth", theirs)
    expected = {
        "features.0.weight": "conv1.weight", "features.1.gamma": "bn1.weight",
        "features.4.0.body.0.weight": "layer1.0.conv1.weight",
        "features.4.1.body.4.running_var": "layer1.1.bn2.running_var",
        "features.5.0.downsample.1.beta": "layer2.0.downsample.1.bias",
        "features.6.1.body.3.weight": "layer3.1.conv2.weight",
        "features.7.0.downsample.0.weight": "layer4.0.downsample.0.weight",
    }  # fmt: skip
    others = [f"features.{4 + i}.{block}.body.0.weight" for i in range(4) for block in range(2)]
    backbone = read_backbone(tmp_path / "x.pth", [*expected, *others])
    for ours, name in expected.items():
        np.testing.assert_array_equal(backbone[ours], theirs[name])


def test_a_pyramid(tmp_path):
    blocks = {"inner": (256, 64, 1, 1), "layer": (256, 256, 3, 3)}
    arrays = {f"backbone.fpn.{kind}_blocks.0.0.weight": np.full(shape, len(kind), np.float32) for kind, shape in blocks.items()}
    for name, shape in {"p6.weight": (256, 256, 3, 3), "p6.bias": (256,)}.items():
        arrays[f"backbone.fpn.extra_blocks.{name}"] = np.full(shape, 6, np.float32)
    write_pth(tmp_path / "x.pth", {**arrays, "backbone.body.conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    wanted = {"lateral.0.weight": (256, 64, 1, 1), "smooth.0.weight": (256, 256, 3, 3), "extra.0.weight": (256, 256, 3, 3)}
    pyramid = read_pyramid(tmp_path / "x.pth", wanted)
    assert {name: array.shape for name, array in pyramid.items()} == wanted
    assert [array.flat[0] for array in pyramid.values()] == [5, 5, 6]
