import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.weights.backbone import read_backbone
from tests.weights.importers.caffe_files import MOBILENET_MEAN, mobilenet, mobilenet_features, mobilenet_ssd
from tests.weights.importers.numpy_layers import padded
from tests.weights.outputs import pixels

mx = mxnet()
SIZE = 64
MOBILENET = [f"features.{i}.weight" for i in range(0, 81, 3)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return mobilenet(SIZE).save(tmp_path_factory.mktemp("caffe"), "mobilenet")


def test_features_are_equal(files, tmp_path):
    """Equal where the padding stands for the same pixel as in MXNet. Caffe's padding stands for its own mean."""
    unpadded = mobilenet(SIZE + 2, pad=0).save(tmp_path)  # the same weights
    image = pixels(SIZE)
    x = (image[::-1] - MOBILENET_MEAN[:, None, None]) * 0.017
    same = mobilenet_features(unpadded, padded(x, 1, (255 * np.array(IMAGENET_MEAN)[::-1] - MOBILENET_MEAN) * 0.017))
    (tmp_path / "alone").write_bytes(files[0].read_bytes())  # without a prototxt, and without a name that says what it is
    net = ssdzoo.get_ssd(
        "mobilenet1.0", SIZE, ["relu10_fwd", "relu22_fwd", "relu26_fwd"], [], [10, 20, 30, 40], [[1, 2]] * 3, None, ["a"],
        pretrained_base=str(tmp_path / "alone"),
    )  # fmt: skip
    mean, std = (np.reshape(v, (3, 1, 1)) for v in (IMAGENET_MEAN, IMAGENET_STD))
    got = [m[0].asnumpy() for m in net.features(mx.nd.array(((image / 255 - mean) / std)[None]))]
    for ours, exact, theirs in zip(got, same, mobilenet_features(files, x), strict=True):
        assert 0.2 < exact.std() < 5
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-4)
        assert abs(ours - theirs).max() < 0.01


@pytest.mark.parametrize("name, message", [
    ("conv5_3/dw", r"Caffe MobileNet without 'conv5_3/dw.weight' \(512, 1, 3, 3\)"),
    ("conv2_1/sep/scale", r"Caffe MobileNet without 'conv2_1/sep/scale.weight' \(64,\)"),
    ("conv1", "convert it first"),
])  # fmt: skip
def test_an_incomplete_file(name, message, tmp_path):
    model = mobilenet(SIZE)
    del model.blobs[name]
    with pytest.raises(WeightsError, match=f"net.caffemodel: {message}"):
        read_backbone(model.save(tmp_path)[0], MOBILENET)


def test_other_networks(files, tmp_path):
    with pytest.raises(WeightsError, match="Caffe's MobileNet, for the backbone mobilenet1.0; this backbone begins with 'layer1"):
        read_backbone(files[0], ["layer1.0.conv1.weight"])
    with pytest.raises(WeightsError, match=r"'features.0.weight' is \(32, 3, 3, 3\) in the file, \(16, 3, 3, 3\) in the model"):
        ssdzoo.get_model("ssd_300_mobilenet0.5_custom", classes=["a"], pretrained_base=str(files[0]))
    with pytest.raises(WeightsError, match="net.caffemodel: convert it first"):
        read_backbone(mobilenet_ssd(True).save(tmp_path)[0], MOBILENET)
