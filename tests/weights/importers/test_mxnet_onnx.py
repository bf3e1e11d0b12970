"""Classifiers that MXNet exported to ONNX, as the ONNX model zoo has them: initializers with Gluon's flat names."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.nn.expander import FeatureExpander
from ssdzoo.runtime import mxnet
from ssdzoo.weights.backbone import read_backbone
from ssdzoo.weights.matching import load_backbone
from tests.weights.originals import flat, randomized
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


VGG_LAYERS = [*(f"conv{i}_{part}" for i in range(13) for part in ("weight", "bias")), "dense0_weight"]
VGG_NORMS = [f"batchnorm{i}_{part}" for i in range(13) for part in ("gamma", "beta", "running_mean", "running_var")]


@pytest.mark.parametrize("names, model, message", [
    (VGG_LAYERS, "ssd_300_vgg16_atrous_custom", r"MXNet vgg16: 'vgg_conv0_weight' is \(1,\); expected \(64, 3, 3, 3\)"),
    (VGG_LAYERS + VGG_NORMS, "ssd_300_vgg16_bn_atrous_custom", r"MXNet vgg16_bn: 'conv0_weight' is \(1,\); expected \(64, 3"),
])  # fmt: skip
def test_vggs_are_read_as_those_of_parameter_files(names, model, message, tmp_path):
    """Their dense layers become convolutions; the tests of the importers compare every element."""
    path = write_onnx(tmp_path / "x.onnx", {f"vgg0_{name}": np.zeros(1, np.float32) for name in names})
    with pytest.raises(WeightsError, match=f"x.onnx: {message}"):
        read_backbone(path, ssdzoo.get_model(model, classes=["a"]).features.backbone_parameters)


def test_another_network_is_refused(tmp_path):
    path = write_onnx(tmp_path / "x.onnx", flat(randomized(NETWORKS["v1"][0]("resnetv15_"))))
    with pytest.raises(WeightsError, match="x.onnx: not of this backbone: parameter 'resnetv1#_stage1_conv0_"):
        load_backbone(Model(NETWORKS["v1, bottlenecks"][0]("resnetv13_"), ["stage4_activation0"]), path)
    ours = Model(vision.ResNetV1(vision.BasicBlockV1, [1] * 4, [8, 16, 32, 48, 96], prefix="resnetv13_"), ["stage4_activation0"])
    with pytest.raises(WeightsError, match=r"'resnetv1#_stage4_conv0_weight' is \(64, 48, 3, 3\) in the file, \(96, 48"):
        load_backbone(ours, path)
