"""Classifiers that MXNet exported to ONNX, as the ONNX model zoo has them: initializers with Gluon's flat names."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.nn.expander import FeatureExpander
from ssdzoo.runtime import mxnet
from ssdzoo.weights.backbone import read_backbone
from ssdzoo.weights.importers.vgg16 import vgg16_backbone
from ssdzoo.weights.importers.vgg_layers import backbone_layers
from ssdzoo.weights.matching import load_backbone
from ssdzoo.zoo import find_preset
from tests.weights.wire_format import write_onnx

mx = mxnet()
vision = mx.gluon.model_zoo.vision
X = np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)
CHANNELS = [8, 16, 32, 48, 64]
NETWORKS = {  # how it is built, its prefix in the ONNX model zoo, and the layers that are compared
    "v1": (lambda p: vision.ResNetV1(vision.BasicBlockV1, [1] * 4, CHANNELS, prefix=p), "resnetv15_", ["stage4_activation0"]),
    "v1, bottlenecks": (
        lambda p: vision.ResNetV1(vision.BottleneckV1, [2, 1, 1, 1], CHANNELS, prefix=p), "resnetv17_",
        ["stage2_activation0", "stage4_activation0"],
    ),
    "v2": (lambda p: vision.ResNetV2(vision.BottleneckV2, [1] * 4, CHANNELS, prefix=p), "resnetv27_", ["stage4_activation0"]),
    "mobilenetv2": (lambda p: vision.MobileNetV2(0.25, prefix=p), "mobilenetv20_", ["features_relu61_relu6"]),
}  # fmt: skip


def randomized(net):
    """With values as a training leaves them, statistics included."""
    rng = np.random.default_rng(0)
    net.initialize(mx.init.MSRAPrelu())
    net(mx.nd.array(X))
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
        elif name.endswith(("beta", "mean", "bias")):
            parameter.set_data(mx.nd.array(rng.normal(0, 0.2, parameter.shape)))
    return net


def flat(net) -> dict:
    return {name: parameter.data().asnumpy() for name, parameter in net.collect_params().items()}


class Model:
    """As much of an SSD as `load_backbone` needs."""

    def __init__(self, classifier, layers):
        self.features = FeatureExpander(classifier, layers, [])
        self.features.initialize()
        self.features(mx.nd.array(X))


@pytest.mark.parametrize("network", NETWORKS)
def test_features_are_equal(network, tmp_path):
    build, prefix, layers = NETWORKS[network]
    theirs = randomized(build(prefix))
    path = write_onnx(tmp_path / "weights", {**flat(theirs), "reshape_attr_tensor5": np.array([0, -1])})
    ours = Model(build(prefix.replace(prefix.strip("_")[-1], "3")), layers)
    load_backbone(ours, path)
    expected = FeatureExpander(theirs, layers, [])(mx.nd.array(X))
    for a, b in zip(ours.features(mx.nd.array(X)), expected, strict=True):
        assert b.asnumpy().std() > 0.2
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


@pytest.mark.long
@pytest.mark.parametrize(
    "model, network, prefix",
    [
        ("ssd_512_resnet18_v1_custom", "resnet18_v1", "resnetv15_"),
        ("ssd_512_resnet50_v1_custom", "resnet50_v1", "resnetv17_"),
        ("ssd_512_resnet101_v2_custom", "resnet101_v2", "resnetv28_"),
        ("ssd_320_mobilenetv2_1.0_lite_custom", "mobilenetv2_1.0", "mobilenetv20_"),
    ],
)
def test_presets(model, network, prefix, tmp_path):
    theirs = randomized(vision.get_model(network, prefix=prefix))
    path = write_onnx(tmp_path / "weights.onnx", flat(theirs))
    net = ssdzoo.get_model(model, classes=["a"], pretrained_base=str(path))
    expected = FeatureExpander(theirs, find_preset(model).features, [])(mx.nd.array(X))
    for a, b in zip(net.features(mx.nd.array(X)), expected):
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def test_vgg16_becomes_the_backbone_of_an_ssd(tmp_path):
    """Its dense layers become convolutions, as those of a `.params` file: the tests of that compare every element."""
    path = write_onnx(tmp_path / "x.onnx", {"vgg0_conv0_weight": np.zeros((32, 3, 3, 3), np.float32)})
    wanted = [f"{layer}.{part}" for layer in backbone_layers() for part in ("weight", "bias")]
    with pytest.raises(WeightsError, match=r"x.onnx: MXNet vgg16: 'vgg_conv0_weight' is \(32, 3, 3, 3\); expected"):
        read_backbone(path, wanted)


@pytest.mark.long
def test_vgg16_of_full_size(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {f"conv{i}": shape for i, shape in enumerate(list(backbone_layers().values())[:13])}
    shapes.update(dense0=(4096, 25088), dense1=(4096, 4096), dense2=(1000, 4096))
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"vgg0_{name}_weight"] = rng.random(shape, np.float32)
        arrays[f"vgg0_{name}_bias"] = rng.random(shape[0], np.float32)
    net = ssdzoo.get_model("ssd_300_vgg16_atrous_custom", classes=["a"], pretrained_base=str(write_onnx(tmp_path / "x", arrays)))
    for name, array in vgg16_backbone("x", arrays).items():
        np.testing.assert_array_equal(net.features.backbone_parameters[name].data().asnumpy(), array)


def test_another_network_is_refused(tmp_path):
    path = write_onnx(tmp_path / "x.onnx", flat(randomized(NETWORKS["v1"][0]("resnetv15_"))))
    with pytest.raises(WeightsError, match="x.onnx: not of this backbone: parameter 'resnetv1#_stage1_conv0_"):
        load_backbone(Model(NETWORKS["v1, bottlenecks"][0]("resnetv13_"), ["stage4_activation0"]), path)
    ours = Model(vision.ResNetV1(vision.BasicBlockV1, [1] * 4, [8, 16, 32, 48, 96], prefix="resnetv13_"), ["stage4_activation0"])
    with pytest.raises(WeightsError, match=r"'resnetv1#_stage4_conv0_weight' is \(64, 48, 3, 3\) in the file, \(96, 48"):
        load_backbone(ours, path)
