import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.runtime import mxnet
from ssdzoo.weights.backbone import read_backbone
from ssdzoo.weights.importers.vgg_bn import vgg_bn_backbone
from tests.weights.originals import VGG_COUNTS
from tests.weights.outputs import write_safetensors

mx = mxnet()
DENSE = {"0.weight": (4096, 25088), "0.bias": (4096,), "3.weight": (4096, 4096), "3.bias": (4096,), "6.bias": (1000,)}
NORM = ("weight", "bias", "running_mean", "running_var")


def torchvision(depth):
    """{name: array} of vgg*_bn; each array is filled with a number of its own. Those of the classifier take no memory."""
    arrays, place, channels = {}, 0, 3
    for count, width in zip(VGG_COUNTS[depth], (64, 128, 256, 512, 512)):
        for _ in range(count):
            number = 100 * place
            arrays[f"features.{place}.weight"] = np.full((width, channels, 3, 3), number + 1, np.float32)
            arrays[f"features.{place}.bias"] = np.full(width, number + 2, np.float32)
            for i, part in enumerate(NORM, 3):
                arrays[f"features.{place + 1}.{part}"] = np.full(width, number + i, np.float32)
            place, channels = place + 3, width
        place += 1
    for i, (name, shape) in enumerate(DENSE.items()):
        arrays[f"classifier.{name}"] = np.broadcast_to(np.float32(9000 + i), shape)
    return arrays


def model(depth, **kwargs):
    return ssdzoo.get_model(f"ssd_300_vgg{depth}_bn_atrous_custom", classes=["a"], **kwargs)


# Number of the last convolution in torchvision's list: 25 (VGG-11), 31, 40, 49.
@pytest.mark.parametrize("depth, last, last_path", [(11, 25, "4.3"), (13, 31, "4.3"), (16, 40, "4.6"), (19, 49, "4.9")])
def test_names(depth, last, last_path):
    backbone = vgg_bn_backbone("x.pth", torchvision(depth), depth)
    assert len(backbone) == 6 * (sum(VGG_COUNTS[depth]) + 2)
    assert {backbone["stages.0.1.gamma"][0], backbone["stages.0.1.running_var"][0]} == {3, 6}
    assert backbone["stages.0.0.bias"][0] == 2
    norm = last_path.replace(last_path[2:], str(int(last_path[2:]) + 1))
    assert backbone[f"stages.{last_path}.weight"][0, 0, 0, 0] == 100 * last + 1
    assert [backbone[f"stages.{norm}.{part}"][0] - 100 * last for part in ("gamma", "beta", "running_mean", "running_var")] == [
        3,
        4,
        5,
        6,
    ]
    assert backbone["stages.5.0.weight"].shape == (1024, 512, 3, 3) and backbone["stages.5.0.weight"][0, 0, 0, 0] == 9000
    assert backbone["stages.5.3.weight"].shape == (1024, 1024, 1, 1) and backbone["stages.5.3.bias"][0] == 9003
    # The first convolution takes pixels 0..255; the first channel's std is 0.229 * 255.
    assert backbone["stages.0.0.weight"][0, 0, 0, 0] == pytest.approx(1 / (0.229 * 255))
    for norm in ("5.1", "5.4"):
        gamma, variance = backbone[f"stages.{norm}.gamma"], backbone[f"stages.{norm}.running_var"]
        np.testing.assert_allclose(gamma / np.sqrt(variance + 1e-5), 1, rtol=0, atol=1e-7)


@pytest.mark.parametrize("naming", ["paths", "flat"])
def test_mxnet(naming):
    zoo = mx.gluon.model_zoo.vision.vgg11_bn()
    names = {name: name if naming == "paths" else parameter.name for name, parameter in zoo._collect_params_with_prefix().items()}
    theirs = torchvision(11)
    renamed = {"gamma": "weight", "beta": "bias"}
    arrays = {}
    for path, name in names.items():
        layer, part = path.rsplit(".", 1)
        layer = {"features.29": "classifier.0", "features.31": "classifier.3", "output": "classifier.6"}.get(layer, layer)
        arrays[name] = theirs.get(f"{layer}.{renamed.get(part, part)}", np.zeros((1000, 4096)))
    expected, got = vgg_bn_backbone("x.pth", theirs, 11), vgg_bn_backbone("x.params", arrays, 11)
    assert list(got) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)


def test_what_does_not_fit(tmp_path):
    arrays = {name: np.zeros(1, np.float32) for name in torchvision(13)}
    write_safetensors(tmp_path / "x.safetensors", arrays)
    message = "x.safetensors: a VGG of 10 convolutions with batch norm, for ssd_.*_vgg13_bn_atrous models; this backbone"
    with pytest.raises(WeightsError, match=f"{message} is VGG-11 with batch norm"):
        read_backbone(tmp_path / "x.safetensors", model(11).features.backbone_parameters)
    with pytest.raises(WeightsError, match=f"{message} begins with 'layer1.0.conv1.weight'"):
        read_backbone(tmp_path / "x.safetensors", ["layer1.0.conv1.weight"])
    del arrays["features.4.running_mean"], arrays["features.31.weight"]
    write_safetensors(tmp_path / "x.safetensors", arrays)
    with pytest.raises(WeightsError, match="a VGG of 9 convolutions with batch norm, for no model"):
        read_backbone(tmp_path / "x.safetensors", model(11).features.backbone_parameters)
