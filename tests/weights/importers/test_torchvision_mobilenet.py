from functools import partial

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.weights.backbone import read_backbone
from tests.formats.torch_files import write_pth
from tests.weights.importers.torchvision_names import add_conv_and_norm
from tests.weights.originals import MOBILENET_V2

BLOCKS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))


def torchvision():
    """{name: array} of mobilenet_v2 with random numbers."""
    arrays: dict = {}
    layer = partial(add_conv_and_norm, arrays, np.random.default_rng(0))
    layer("features.0.0", "features.0.1", (32, 3, 3, 3))
    number, channels = 0, 32
    for expansion, out, count in BLOCKS:
        for _ in range(count):
            number, wide = number + 1, channels * expansion
            names = [f"features.{number}.conv.{name}" for name in (("0", "1") if expansion > 1 else ("0",))]
            if expansion > 1:
                layer(f"{names[0]}.0", f"{names[0]}.1", (wide, channels, 1, 1))
            layer(f"{names[-1]}.0", f"{names[-1]}.1", (wide, 1, 3, 3))
            layer(f"features.{number}.conv.{len(names)}", f"features.{number}.conv.{len(names) + 1}", (out, wide, 1, 1))
            channels = out
    layer("features.18.0", "features.18.1", (1280, 320, 1, 1))
    return {**arrays, "classifier.1.weight": np.zeros((10, 1280), np.float32), "classifier.1.bias": np.zeros(10, np.float32)}


@pytest.fixture(scope="module")
def wanted():
    features = ssdzoo.get_model(MOBILENET_V2, classes=["a"]).features
    used = {id(p) for p in features.collect_params().values()}
    return [name for name, p in features.backbone_parameters.items() if id(p) in used]


def test_names(wanted, tmp_path):
    theirs = torchvision()
    write_pth(tmp_path / "x.pth", theirs)
    backbone = read_backbone(tmp_path / "x.pth", wanted)
    assert backbone.keys() == set(wanted)
    for ours, name in {
        "features.0.weight": "features.0.0.weight", "features.1.beta": "features.0.1.bias",
        "features.3.out.3.weight": "features.1.conv.0.0.weight", "features.3.out.7.gamma": "features.1.conv.2.weight",
        "features.4.out.0.weight": "features.2.conv.0.0.weight", "features.21.gamma": "features.18.1.weight",
        "features.4.out.4.running_var": "features.2.conv.1.1.running_var",
        "features.19.out.6.weight": "features.17.conv.2.weight",
        "features.19.out.7.running_mean": "features.17.conv.3.running_mean",
    }.items():  # fmt: skip
        np.testing.assert_array_equal(backbone[ours], theirs[name])


def test_the_first_expansion_is_an_identity(wanted, tmp_path):
    """Also about one in a training: its mean and variance are those of normally distributed numbers that ReLU6 has cut."""
    theirs = torchvision()
    write_pth(tmp_path / "x.pth", theirs)
    backbone = read_backbone(tmp_path / "x.pth", wanted)
    np.testing.assert_array_equal(backbone["features.3.out.0.weight"][:, :, 0, 0], np.eye(32))
    gamma, beta, mean, variance = (backbone[f"features.3.out.1.{p}"] for p in ("gamma", "beta", "running_mean", "running_var"))
    x = np.linspace(0, 6, 7, dtype=np.float32)[:, None]
    np.testing.assert_allclose(gamma * (x - mean) / np.sqrt(variance + np.float32(1e-5)) + beta, np.repeat(x, 32, 1), atol=2e-6)
    normal = np.random.default_rng(0).normal(size=(200_000, 1))
    values = (theirs["features.0.1.bias"] + normal * theirs["features.0.1.weight"]).clip(0, 6)
    np.testing.assert_allclose(mean, values.mean(0), atol=0.02)
    np.testing.assert_allclose(variance, values.var(0), atol=0.02)


def test_what_does_not_fit(wanted, tmp_path):
    theirs = torchvision()
    write_pth(tmp_path / "x.pth", {name: array for name, array in theirs.items() if name != "features.9.conv.1.0.weight"})
    with pytest.raises(WeightsError, match="x.pth: torchvision mobilenet_v2 without 'features.9.conv.1.0.weight'"):
        read_backbone(tmp_path / "x.pth", wanted)
    with pytest.raises(
        WeightsError, match="torchvision's mobilenet_v2, for mobilenetv2_1.0; this backbone has 'layer1.0.conv1.weight'"
    ):
        read_backbone(tmp_path / "x.pth", ["layer1.0.conv1.weight"])
    with pytest.raises(WeightsError, match="for mobilenetv2_1.0; this backbone has 'features.0.weight'"):
        read_backbone(tmp_path / "x.pth", ["features.0.weight", "features.1.gamma"])  # of a MobileNet v1
