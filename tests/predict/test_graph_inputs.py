"""Graphs that normalize their own input, or not: the same detections from every backend, and from the plain network."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.data.images import read_image
from ssdzoo.export import to_onnx
from ssdzoo.model_source import installed_backends
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.zoo import find_preset
from tests.export.onnx.models import pair, photos, trained_looking
from tests.shared import BCCD
from tests.test_gluoncv_parity import gluoncv_network

mx = mxnet()
MEAN, STD = 255 * np.array(IMAGENET_MEAN), 255 * np.array(IMAGENET_STD)
PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])


class Preprocess(mx.gluon.HybridBlock):
    """The first block of an exported network: `function(F, images)`."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def hybrid_forward(self, F, x):
        return self.function(F, x)


class Normalize(mx.gluon.HybridBlock):
    """(x - mean) / std with parameters of this shape, and a transposition if there are axes."""

    def __init__(self, shape, axes=None):
        super().__init__()
        self.axes = axes
        self.mean = self.params.get_constant("mean", MEAN.reshape(shape))
        self.std = self.params.get_constant("std", STD.reshape(shape))

    def hybrid_forward(self, F, x, mean, std):
        x = F.broadcast_div(F.broadcast_sub(x, mean), std)
        return x if self.axes is None else F.transpose(x, axes=self.axes)


# Name: the preprocess block, the layout, and mean and std that it has for images in 0..1.
IMAGENET = IMAGENET_MEAN, IMAGENET_STD
GRAPHS = {
    "CHW, own block": (Normalize((1, 3, 1, 1)), "CHW", *IMAGENET),
    "HWC, default": (True, "HWC", *IMAGENET),
    "HWC, axes written without spaces": (Normalize((1, 1, 1, 3), (0, 3, 1, 2)), "HWC", *IMAGENET),
    "HWC, a scalar for a mean": (
        Preprocess(lambda F, x: F.transpose((x - 120) / 57, axes=(0, 3, 1, 2))), "HWC", (120 / 255,) * 3, (57 / 255,) * 3,
    ),
    "CHW, a divisor": (Preprocess(lambda F, x: x / 255), "CHW", (0, 0, 0), (1, 1, 1)),
    "CHW, of images 0..1": (Preprocess(lambda F, x: (x - 0.45) / 0.225), "CHW", (0.45,) * 3, (0.225,) * 3),
    "HWC, Gluon's transforms": (
        Preprocess(lambda F, x: F.image.normalize(F.image.to_tensor(x), IMAGENET_MEAN, IMAGENET_STD)), "HWC", *IMAGENET,
    ),
    "HWC, not normalized": (Preprocess(lambda F, x: F.transpose(x, axes=(0, 3, 1, 2))), "HWC", *IMAGENET),
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """GluonCV's network with weights that look trained."""
    net = trained_looking(PRESET.name, photos((300, 300), 2))
    path = tmp_path_factory.mktemp("weights") / "net.params"
    net.save_parameters(str(path))
    theirs = gluoncv_network(PRESET.name, PRESET.classes)
    theirs.load_parameters(str(path))
    return theirs


@pytest.fixture(scope="module")
def photo():
    return read_image(BCCD / "JPEGImages" / "BloodImage_00065.jpg")


def assert_same(expected, found):
    assert len(expected) == len(found) > 20
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0, atol=0.05)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_backend_finds_what_the_plain_network_finds(name, network, photo, tmp_path):
    block, layout, mean, std = GRAPHS[name]
    plain = Detector(MXNetBackend(network), replace(PRESET, mean=mean, std=std))
    expected = plain(photo, 0.02)[0]
    shape = (300, 300, 3) if layout == "HWC" else (3, 300, 300)
    gluoncv().utils.export_block(str(tmp_path / "net"), network, data_shape=shape, preprocess=block, layout=layout)
    if "without spaces" in name:
        path = tmp_path / "net-symbol.json"
        text = path.read_text()
        assert '"(0, 3, 1, 2)"' in text
        path.write_text(text.replace('"(0, 3, 1, 2)"', '"(0,3,1,2)"'))
    (tmp_path / "net.toml").write_text('base_size = 300\nclasses = ["a", "b", "c"]\n')
    for backend in installed_backends():
        assert_same(expected, ssdzoo.load(tmp_path / "net", backend, precision="f32")(photo, 0.02)[0])
    # The file that takes uint8 images.
    to_onnx(*pair(tmp_path / "net"), tmp_path / "net.onnx", size=(300, 300), with_preprocess=True)
    assert_same(expected, ssdzoo.load(tmp_path / "net.onnx", "onnxruntime")(photo, 0.02)[0])
