import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.weights.backbone import read_backbone
from tests.weights.importers import keras_files
from tests.weights.importers.keras_files import mobilenet, mobilenet_features, resnet, resnet_features, write_keras
from tests.weights.outputs import pixels

mx = mxnet()
vision = mx.gluon.model_zoo.vision
MEAN = 255 * np.array(IMAGENET_MEAN)
PADDING = MEAN[::-1] - keras_files.RESNET_MEAN  # with it, Keras's first convolution is padded as MXNet's
IMAGE = np.concatenate([pixels(64), pixels(64, seed=1)], 2)[:, :, :96]


def filled(features, path):
    """Outputs of each layer of a classifier's features, filled from a file, for IMAGE."""
    features.initialize()
    mean, std = (np.reshape(v, (3, 1, 1)) for v in (IMAGENET_MEAN, IMAGENET_STD))
    x = mx.nd.array(((IMAGE / 255 - mean) / std)[None])
    features(x)
    parameters = {f"features.{name}": p for name, p in features._collect_params_with_prefix().items()}
    backbone = read_backbone(path, parameters)
    assert backbone.keys() == parameters.keys()
    for name, parameter in parameters.items():
        assert backbone[name].dtype == np.float32
        parameter.set_data(mx.nd.array(backbone[name]))
    outputs = []
    for layer in features:
        x = layer(x)
        outputs.append(x[0].asnumpy())
    return outputs


def small_resnet(blocks, width=8):
    channels = [width, *(4 * width << stage for stage in range(4))]
    return vision.ResNetV1(vision.BottleneckV1, list(blocks), channels).features[:-1]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A ResNet with fewer blocks and channels than Keras's, in Keras's layout, and its file."""
    arrays = resnet((2, 1, 2, 1), width=8)
    return arrays, write_keras(tmp_path_factory.mktemp("keras") / "small.h5", arrays)


def test_resnet(small):
    """Equal where the padding stands for the same pixel as in MXNet. Keras's padding stands for its own mean."""
    arrays, path = small
    got = filled(small_resnet((2, 1, 2, 1)), path)[4:]
    exact = resnet_features(arrays, IMAGE, padding=PADDING)
    for ours, theirs, same in zip(got, resnet_features(arrays, IMAGE), exact, strict=True):
        assert 0.5 < same.std() < 5
        np.testing.assert_allclose(ours, same, rtol=0, atol=1e-4)
        assert abs(ours - theirs).max() < 0.02


def mobilenet_maps(path, alpha=0.25):
    outputs = filled(vision.get_mobilenet(alpha).features[:-2], path)
    return {i: outputs[6 * i + 2] for i in (5, 11, 13)}


RESNET = [f"features.{i}.{j}.body.{k}.weight" for i, n in ((4, 2), (5, 1), (6, 2), (7, 1)) for j in range(n) for k in (0, 3, 6)]


@pytest.mark.parametrize("wanted, message", [
    (["layer1.0.conv1.weight"], "Keras's ResNet, for backbones resnet50_v1, resnet101_v1 and resnet152_v1; this backbone begins"),
    (["features.0.weight", "features.4.0.body.0.weight"], "Keras's ResNet, for backbones resnet50_v1"),  # resnet18_v1
    ([*RESNET, "features.0.weight", "features.5.1.body.0.weight"],
     r"Keras's ResNet has \(2, 1, 2, 1\) blocks, this backbone \(2, 2, 2, 1\)"),
])  # fmt: skip
def test_another_backbone_than_the_resnet(wanted, message, small):
    with pytest.raises(WeightsError, match=f"small.h5: {message}"):
        read_backbone(small[1], wanted)


@pytest.mark.parametrize("layer, part, array, message", [
    ("conv1_conv", "kernel", np.zeros((7, 7, 4, 8), np.float32), r"is \(7, 7, 4, 8\); expected \(rows, columns, 3, outputs\)"),
    ("conv3_block1_2_conv", "kernel", np.zeros(8, np.float32), r"is \(8,\); expected \(rows, columns, inputs, outputs\)"),
    ("conv3_block1_2_conv", "kernel", None, "without 'conv3_block1_2_conv.kernel'; is the file complete"),
    ("conv3_block1_2_bn", "moving_mean", np.zeros(3, np.float32), r"is \(3,\); expected \(16,\)"),
    ("conv2_block1_1_bn", "gamma", np.full(8, np.nan, np.float32), "'conv2_block1_1_bn.gamma' holds values that are not finite"),
])  # fmt: skip
def test_damaged_resnets(layer, part, array, message, small, tmp_path):
    arrays = {**small[0], f"{layer}/{layer}/{part}:0": array}
    path = write_keras(tmp_path / "x.h5", {name: a for name, a in arrays.items() if a is not None})
    with pytest.raises(WeightsError, match=f"x.h5: Keras's ResNet .*{message}"):
        read_backbone(path, ["features.0.weight", *RESNET])


def test_names_of_data_sets(small, tmp_path):
    """Below model_weights where the whole model was saved, and with numbers where names were taken."""
    arrays, path = small
    renamed = {f"model_weights/{name[:-2]}_2:0": array for name, array in arrays.items()}
    renamed["optimizer_weights/conv1_conv/kernel/momentum:0"] = np.zeros((7, 7, 3, 8), np.float32)
    wanted = ["features.0.weight", *RESNET]
    other = read_backbone(write_keras(tmp_path / "x.h5", renamed), wanted)
    for name, array in read_backbone(path, wanted).items():
        np.testing.assert_array_equal(other[name], array)


def test_other_files_of_keras(tmp_path):
    path = write_keras(tmp_path / "x.h5", {"bn2a_branch2a/bn2a_branch2a/gamma:0": np.ones(3, np.float32)})
    with pytest.raises(WeightsError, match="x.h5: no backbone of .*Keras's ResNets, .*: its first array is 'bn2a_branch2a/bn"):
        read_backbone(path, ["features.0.weight"])


def test_mobilenet(tmp_path):
    """Equal to a network without a limit at 6, and with MXNet's padding."""
    arrays = mobilenet()
    got = mobilenet_maps(write_keras(tmp_path / "x.h5", arrays))
    same = mobilenet_features(arrays, IMAGE, np.inf, pad=1, padding=MEAN / 127.5 - 1)
    for i, ours in got.items():
        assert 0.3 < same[i].std() < 5
        np.testing.assert_allclose(ours, same[i], rtol=0, atol=1e-4)


def test_another_backbone_than_the_mobilenet(tmp_path):
    path = write_keras(tmp_path / "x.h5", mobilenet())
    for wanted in (["features.0.weight", "features.4.0.body.0.weight"], ["features.0.weight", "features.0.bias"]):
        with pytest.raises(WeightsError, match=r"x.h5: Keras's MobileNet, for backbones mobilenet\*; this backbone begins with"):
            read_backbone(path, wanted)
    with pytest.raises(WeightsError, match=r"'features.0.weight' is \(8, 3, 3, 3\) in the file, \(16, 3, 3, 3\) in the model"):
        ssdzoo.get_model("ssd_300_mobilenet0.5_custom", classes=["a"], pretrained_base=str(path))
