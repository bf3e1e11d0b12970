import re

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.weights.backbone import read_backbone
from ssdzoo.weights.importers.vgg16 import fold_input, sample_fc6, sample_fc7, vgg16_backbone
from ssdzoo.weights.importers.vgg_layers import backbone_layers
from tests.weights.outputs import pixels, write_safetensors

mx = mxnet()
FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
MEAN, STD = (255 * np.array(v, np.float32).reshape(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))


@pytest.fixture(scope="module")
def vgg16():
    """The 15 layers of a classifier that are used: weight (out, in, rows, columns) or (out, in), and bias."""
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32), rng.normal(size=shape[0]).astype(np.float32))
        for shape in list(backbone_layers().values())[:13]
    ]
    fc6 = np.arange(4096 * 25088, dtype=np.float32).reshape(4096, 25088)
    fc7 = rng.normal(size=(4096, 4096)).astype(np.float32)
    return [*layers, (fc6, np.arange(4096, dtype=np.float32)), (fc7, np.arange(4096, dtype=np.float32))]


def conv1_1(weight, bias, x):
    """A 3x3 convolution, padded by a zero, of (3, H, W)."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2)).astype(np.float64)
    return np.einsum("ocij,chwij->ohw", weight.astype(np.float64), windows) + bias[:, None, None]


def test_fc6_and_fc7_give_every_third_pixel_and_every_fourth_channel():
    fc6 = np.arange(4096 * 25088, dtype=np.int32).reshape(4096, 512, 7, 7)
    conv6 = sample_fc6(fc6)
    o, c, i, j = np.indices((1024, 512, 3, 3), np.int32, sparse=True)
    np.testing.assert_array_equal(conv6, ((4 * o * 512 + c) * 7 + 3 * i) * 7 + 3 * j)
    # Written out: output 4 of fc6, channel 2, row 3, column 6.
    assert conv6[1, 2, 1, 2] == 4 * 25088 + 2 * 49 + 3 * 7 + 6
    conv7 = sample_fc7(np.arange(4096 * 4096, dtype=np.int32).reshape(4096, 4096))
    assert conv7.shape == (1024, 1024, 1, 1) and conv7[1, 2, 0, 0] == 4 * 4096 + 8
    np.testing.assert_array_equal(conv7[:, :, 0, 0], 4 * np.arange(1024)[:, None] * 4096 + 4 * np.arange(1024))


def torchvision(layers):
    names = [f"features.{i}" for i in FEATURES] + ["classifier.0", "classifier.3"]
    return {f"{n}.{part}": array for n, layer in zip(names, layers) for part, array in zip(("weight", "bias"), layer)}


def keras(layers):
    """Kernels (rows, columns, in, out), fc1's rows in the order rows, columns, channels; conv1_1's channels are BGR."""
    names = [f"block{b}_conv{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)] + ["fc1", "fc2"]
    arrays = {}
    for layer, (weight, bias) in zip(names, layers):
        if layer == "block1_conv1":
            weight = weight[:, ::-1]
        if layer == "fc1":
            weight = weight.reshape(4096, 512, 7, 7).transpose(2, 3, 1, 0).reshape(25088, 4096)
        else:
            weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        arrays[f"{layer}/{layer}/kernel:0"], arrays[f"{layer}/{layer}/bias:0"] = weight, bias
    return arrays


def expected_base(layers):
    o, c, i, j = np.indices((1024, 512, 3, 3), np.int32, sparse=True)
    conv6 = (((4 * o * 512 + c) * 7 + 3 * i) * 7 + 3 * j).astype(np.float32)
    (_, fc6_bias), (fc7, fc7_bias) = layers[13:]
    return [*layers[:13], (conv6, fc6_bias[::4]), (fc7[::4, ::4].reshape(1024, 1024, 1, 1), fc7_bias[::4])]


def check_layers(base, layers, first=1):
    assert list(base) == [f"{path}.{part}" for path in backbone_layers() for part in ("weight", "bias")]
    for path, (weight, bias) in list(zip(backbone_layers(), expected_base(layers)))[first:]:
        np.testing.assert_array_equal(base[f"{path}.weight"], weight)
        np.testing.assert_array_equal(base[f"{path}.bias"], bias)


def test_torchvision(vgg16):
    base = vgg16_backbone("vgg.pth", torchvision(vgg16))
    check_layers(base, vgg16)
    image = pixels(40)
    expected = conv1_1(*vgg16[0], (image - MEAN) / STD)
    got = conv1_1(base["stages.0.0.weight"], base["stages.0.0.bias"], image - MEAN)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)  # at the border too
    np.testing.assert_array_equal(base["stages.0.0.bias"], vgg16[0][1])


@pytest.mark.parametrize("naming", ["paths", "flat"])
def test_mxnet(naming, vgg16):
    zoo = mx.gluon.model_zoo.vision.vgg16()
    parameters = zoo._collect_params_with_prefix()
    names = list(parameters) if naming == "paths" else [p.name for p in parameters.values()]
    arrays = dict(zip(names, [array for layer in vgg16 for array in layer] + [np.zeros((1000, 4096)), np.zeros(1000)]))
    base, expected = vgg16_backbone("vgg.params", arrays), vgg16_backbone("vgg.pth", torchvision(vgg16))
    check_layers(base, vgg16)
    for name, array in expected.items():
        np.testing.assert_array_equal(base[name], array)


def test_keras(vgg16):
    arrays = keras(vgg16)
    base = vgg16_backbone("vgg.h5", arrays)
    other = vgg16_backbone("vgg.h5", {re.sub(r"/(\w+):0", r"_\1_1:0", name): array for name, array in arrays.items()})
    for name, array in base.items():
        np.testing.assert_array_equal(other[name], array)
    check_layers(base, vgg16)
    np.testing.assert_array_equal(base["stages.0.0.weight"], vgg16[0][0])
    image = pixels(40)
    expected = conv1_1(*vgg16[0], image - np.reshape([123.68, 116.779, 103.939], (3, 1, 1)))
    got = conv1_1(base["stages.0.0.weight"], base["stages.0.0.bias"], image - MEAN.astype(np.float64))
    assert abs(expected).max() > 100
    np.testing.assert_allclose(got[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=0, atol=1e-5)
    border = abs(got - expected).max()
    assert 1e-3 < border < 1.5  # of activations of some hundreds: the zeros of the padding stand for another mean


def test_the_base_of_ssd_pytorch(vgg16):
    names = [*FEATURES, 31, 33]
    reduced = expected_base(vgg16)
    arrays = {f"{n}.{part}": a for n, layer in zip(names, reduced) for part, a in zip(("weight", "bias"), layer)}
    base = vgg16_backbone("vgg16_reducedfc.pth", arrays)
    check_layers(base, vgg16)
    image = pixels(40)
    expected = conv1_1(*vgg16[0], image - np.reshape([123, 117, 104], (3, 1, 1)))
    got = conv1_1(base["stages.0.0.weight"], base["stages.0.0.bias"], image - MEAN.astype(np.float64))
    np.testing.assert_allclose(got[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("classifier", ["NaN", "none"])
def test_the_features_of_amdegroot(classifier, vgg16):
    """torchvision's IMAGENET1K_FEATURES: its pixels are RGB less Caffe's mean, and its classifier is NaN."""
    arrays = {name: array for name, array in torchvision(vgg16).items() if name.startswith("features.")}
    if classifier == "NaN":
        for name, shape in {"0.weight": (4096, 25088), "0.bias": (4096,), "3.weight": (4096, 4096), "3.bias": (4096,)}.items():
            arrays[f"classifier.{name}"] = np.broadcast_to(np.float32(np.nan), shape)
    base = vgg16_backbone("vgg16_features-amdegroot.pth", arrays)
    assert list(base) == [f"{path}.{part}" for path in backbone_layers() for part in ("weight", "bias")]
    for path, (weight, bias) in list(zip(backbone_layers(), vgg16))[1:13]:
        np.testing.assert_array_equal(base[f"{path}.weight"], weight)
        np.testing.assert_array_equal(base[f"{path}.bias"], bias)
    image = pixels(40)
    expected = conv1_1(*vgg16[0], image - np.reshape([123, 117, 104], (3, 1, 1)))
    got = conv1_1(base["stages.0.0.weight"], base["stages.0.0.bias"], image - MEAN.astype(np.float64))
    np.testing.assert_allclose(got[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=0, atol=1e-4)
    # conv6 and conv7 are noise of the deviation sqrt(2 / (outputs * rows * columns)).
    assert base["stages.5.0.weight"].std() == pytest.approx((2 / (1024 * 9)) ** 0.5, rel=0.01)
    assert base["stages.5.2.weight"].std() == pytest.approx((2 / 1024) ** 0.5, rel=0.01)
    assert not base["stages.5.0.bias"].any() and base["stages.5.2.bias"].shape == (1024,)


def test_a_base_from_a_file_fills_a_network(vgg16, tmp_path):
    path = tmp_path / "vgg16.safetensors"
    write_safetensors(path, torchvision(vgg16[:13]), zeros={
        "classifier.3.weight": (4096, 4096), "classifier.3.bias": (4096,),
        "classifier.0.weight": (4096, 25088), "classifier.0.bias": (4096,),
    })  # fmt: skip
    net = ssdzoo.get_model("ssd_300_vgg16_atrous_voc", classes=["a"], pretrained_base=str(path))
    for layer, (weight, bias) in list(zip(backbone_layers(), vgg16))[1:13]:
        stage, i = map(int, layer.split(".")[1:])
        np.testing.assert_array_equal(net.features.stages[stage][i].weight.data().asnumpy(), weight)
        np.testing.assert_array_equal(net.features.stages[stage][i].bias.data().asnumpy(), bias)
    x = np.random.default_rng(1).normal(size=(3, 32, 32)).astype(np.float32)
    got = net.features.stages[0][0](net.features.init_scale.data() * mx.nd.array(x[None]))[0].asnumpy()
    np.testing.assert_allclose(got, conv1_1(*vgg16[0], x), rtol=0, atol=1e-4)
    with pytest.raises(WeightsError, match="vgg16.safetensors: a VGG-16, for ssd_.*_vgg16_atrous models; this backbone begins"):
        read_backbone(path, ["features.0.weight"])


@pytest.mark.parametrize("change, message", [
    ({"features.24.weight": None}, r"torchvision vgg16 without 'features.24.weight' \(512, 512, 3, 3\)"),
    ({"features.28.weight": np.zeros((512, 512, 1, 1))}, r"'features.28.weight' is \(512, 512, 1, 1\); expected \(512,"),
    ({"classifier.0.weight": np.zeros((4096, 100))}, r"'classifier.0.weight' is \(4096, 100\); expected \(4096, 25088\)"),
    ({"classifier.0.bias": np.array([np.nan, *range(4095)])}, "'classifier.0.bias' holds values that are not finite"),
])  # fmt: skip
def test_other_networks_are_refused(change, message, vgg16):
    arrays = {k: v for k, v in {**torchvision(vgg16), **change}.items() if v is not None}
    with pytest.raises(WeightsError, match=f"x.pth: .*{message}"):
        vgg16_backbone("x.pth", arrays)


@pytest.mark.parametrize("backbone", ["vgg16_bn_atrous", "vgg11_atrous", "vgg19_atrous"])
def test_another_vgg_as_the_backbone_is_refused(backbone, tmp_path):
    names = ("features.0.weight", "classifier.0.weight")
    write_safetensors(tmp_path / "x.safetensors", {name: np.zeros(1, np.float32) for name in names})
    net = ssdzoo.get_ssd(backbone, 300, None, None, [30, 60, 111, 162, 213, 264, 315], [[1, 2]] * 6, None, ["a"])
    with pytest.raises(WeightsError, match="x.safetensors: a VGG-16 without batch norm; this backbone is another VGG"):
        read_backbone(tmp_path / "x.safetensors", net.features.backbone_parameters)


def test_folding_one_number():
    """Weight 2 on red at the center, mean 100 and std 4 there: 2 (p - 100) / 4 = 0.5 (p - 123.675) + 11.8375."""
    weight = np.zeros((1, 3, 3, 3), np.float32)
    weight[0, 0, 1, 1] = 2
    folded, bias = fold_input(weight, np.array([0.0]), mean=(100, 116.28, 103.53), std=(4, 1, 1))
    assert folded[0, 0, 1, 1] == 0.5 and bias[0] == pytest.approx(11.8375)
    swapped, _ = fold_input(weight, np.array([0.0]), mean=(0, 0, 0), bgr=True)
    assert swapped[0, 2, 1, 1] == 2 and swapped.sum() == 2


def test_what_is_no_backbone(tmp_path):
    write_safetensors(tmp_path / "x.safetensors", {"a.b": np.zeros(1, np.float32)})
    with pytest.raises(WeightsError, match="x.safetensors: no backbone of torchvision's .*, VGG-16.*: its first array is 'a.b'"):
        read_backbone(tmp_path / "x.safetensors", ["stages.5.0.weight"])
