"""`pretrained_base=True` and `pretrained=True` alone, from a local server that holds a file in the format and under the name of
its project. Its weights are random, so its hash and its size take the place of the published ones. The tests of the importers
compare more networks, from files that are named."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.nn.expander import FeatureExpander
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.weights import sources
from ssdzoo.zoo import find_preset
from tests.formats.torch_files import write_pth
from tests.weights.importers import keras_files
from tests.weights.importers import test_caffe_mobilenet as caffe
from tests.weights.importers import test_mxnet_onnx as onnx
from tests.weights.importers import test_torchvision_mobilenet as torchvision_mobilenet
from tests.weights.mirror_server import serve
from tests.weights.outputs import pixels, write_safetensors
from tests.weights.wire_format import write_onnx

mx = mxnet()
IMAGE = pixels(96)
X = ((IMAGE / 255 - np.reshape(IMAGENET_MEAN, (3, 1, 1))) / np.reshape(IMAGENET_STD, (3, 1, 1))).astype(np.float32)[None]


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Serves a file under the name of a source; returns what was asked for so far."""
    for variable in ("MXNET_HOME", "TORCH_HOME", "HF_HOME", "KERAS_HOME", "SSDZOO_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    with serve() as (mirror, url):
        monkeypatch.setenv("SSDZOO_REPO", url)

        def put(name, path, at=None):
            table, starts = sources._table()
            source, data = table[name], path.read_bytes()
            digest = hashlib.new(source.algorithm, data).hexdigest() if source.digest else ""
            size = len(data) if source.size else None
            made = replace(source, digest=digest[: len(source.digest)], size=size, mib=None)
            monkeypatch.setattr(sources, "_table", lambda: ({**table, name: made}, starts))
            mirror.files[at or name] = data
            path.unlink()
            return mirror

        yield put


def check(model, expected, maps=lambda features, x: features(x)):
    """Compares the first feature maps of X of a preset that starts from what is published; then from what was kept of it."""
    for _ in range(2):
        net = ssdzoo.get_model(model, classes=["a"], pretrained_base=True)
        for ours, theirs in zip(maps(net.features, mx.nd.array(X)), expected):
            assert theirs.std() > 0.2
            np.testing.assert_allclose(ours[0].asnumpy(), theirs, rtol=0, atol=1e-4)


ONNX = [
    pytest.param("ssd_512_resnet18_v1_custom", "resnet18_v1", "resnetv15_", marks=pytest.mark.long),
    pytest.param("ssd_512_resnet50_v1_custom", "resnet50_v1", "resnetv17_", marks=pytest.mark.long),
    pytest.param("ssd_512_resnet101_v2_custom", "resnet101_v2", "resnetv25_", marks=pytest.mark.long),
    pytest.param("ssd_512_resnet152_v2_custom", "resnet152_v2", "resnetv27_", marks=pytest.mark.long),
    ("ssd_320_mobilenetv2_1.0_lite_custom", "mobilenetv2_1.0", "mobilenetv20_"),
]


@pytest.mark.parametrize("model, network, prefix", ONNX)
def test_onnx(model, network, prefix, publish, tmp_path):
    theirs = onnx.randomized(mx.gluon.model_zoo.vision.get_model(network, prefix=prefix))
    source = sources.other_sources(network)[0]
    publish(source.file, write_onnx(tmp_path / "x", onnx.flat(theirs)))
    expected = FeatureExpander(theirs, find_preset(model).features, [])(mx.nd.array(X))
    check(model, [feature[0].asnumpy() for feature in expected])


def torch_resnet(depth):
    pytest.importorskip("torch", reason="needs the extra `torch`")
    from tests.weights.importers import test_torchvision_resnet
    from tests.weights.importers.torch_networks import run

    net = test_torchvision_resnet.original(depth)
    return net, [feature[0] for feature in run(net, X)]


def test_torchvision_mobilenet(publish, tmp_path):
    """The same weights as from the file itself; its importer's test compares these with the original's."""
    write_pth(tmp_path / "x.pth", torchvision_mobilenet.torchvision())
    expected = ssdzoo.get_model(torchvision_mobilenet.MODEL, classes=["a"], pretrained_base=tmp_path / "x.pth")
    publish("mobilenet_v2-b0353104.pth", tmp_path / "x.pth")
    net = ssdzoo.get_model(torchvision_mobilenet.MODEL, classes=["a"], pretrained_base=True)
    used = [p for p in net.features.backbone_parameters if net.features.backbone_parameters[p]._data is not None]
    assert len(used) > 200
    for name in used:
        ours, theirs = (n.features.backbone_parameters[name].data().asnumpy() for n in (net, expected))
        np.testing.assert_array_equal(ours, theirs, name)


@pytest.mark.long
def test_torchvision(publish, tmp_path):
    """The file that comes second for this backbone; nobody has the first one."""
    net, expected = torch_resnet(18)
    mirror = publish("resnet18-f37072fd.pth", _saved(net, tmp_path / "x.pth"))
    check("ssd_512_resnet18_v1_custom", expected[2:])
    assert next(path for path in mirror.requests if path.endswith((".onnx", ".pth"))) == "resnet18-v1-7.onnx"
    assert mirror.requests.count("resnet18-f37072fd.pth") == 1


@pytest.mark.long
@pytest.mark.parametrize("file", ["resnet34.gluon_in1k.safetensors", "resnet34-b627a593.pth"])
def test_the_same_network_of_timm_and_of_torchvision(file, publish, tmp_path):
    net, expected = torch_resnet(34)
    path = tmp_path / "x"
    if file.endswith(".pth"):
        publish(file, _saved(net, path))
    else:
        write_safetensors(path, {name: array.numpy() for name, array in net.state_dict().items()})
        publish(file, path, at="timm/resnet34.gluon_in1k/resolve/main/model.safetensors")
    check("ssd_300_resnet34_v1b_custom", expected[1:2], lambda features, x: [features.stage1(x)])


def _saved(net, path):
    import torch

    torch.save(net.state_dict(), path)
    return path


@pytest.mark.parametrize(
    "model, file, alpha",
    [
        ("ssd_300_mobilenet0.25_custom", "mobilenet_2_5_224_tf_no_top.h5", 0.25),
        pytest.param("ssd_300_mobilenet0.5_custom", "mobilenet_5_0_224_tf_no_top.h5", 0.5, marks=pytest.mark.long),
        pytest.param("ssd_512_mobilenet1.0_custom", "mobilenet_1_0_224_tf_no_top.h5", 1.0, marks=pytest.mark.long),
    ],
)
def test_keras_mobilenets(model, file, alpha, publish, tmp_path):
    """Equal to a network without a limit at 6, and with MXNet's padding."""
    arrays = keras_files.mobilenet(alpha)
    publish(file, keras_files.write_keras(tmp_path / "x.h5", arrays))
    padding = 2 * np.array(IMAGENET_MEAN) - 1
    expected = keras_files.mobilenet_features(arrays, IMAGE, np.inf, pad=1, padding=padding)
    check(model, [expected[11], expected[13]])


@pytest.mark.long
def test_keras_resnet(publish, tmp_path):
    arrays = keras_files.resnet(keras_files.BLOCKS[50])
    publish("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", keras_files.write_keras(tmp_path / "x.h5", arrays))
    padding = 255 * np.array(IMAGENET_MEAN)[::-1] - keras_files.RESNET_MEAN
    check("ssd_512_resnet50_v1_custom", keras_files.resnet_features(arrays, IMAGE, padding=padding)[2:])


def test_caffe_mobilenet(publish, tmp_path):
    """Equal where the padding stands for the same pixel."""
    size, mean = IMAGE.shape[1], caffe.BGR_MEAN
    model = caffe.mobilenet(size)
    publish("mobilenet.caffemodel", model.save(tmp_path, "x")[0])
    unpadded = caffe.mobilenet(size + 2, pad=0).save(tmp_path, "unpadded")  # the same weights
    pixel = (IMAGE[::-1] - mean[:, None, None]) * 0.017
    border = (255 * np.array(IMAGENET_MEAN)[::-1] - mean) * 0.017
    expected = caffe.original(unpadded, caffe.padded(pixel, 1, border))
    check("ssd_512_mobilenet1.0_custom", expected[1:])


@pytest.mark.long
def test_torchvision_detector(publish, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    from tests.weights.importers.torch_networks import TorchvisionSSD300, randomized, run

    theirs = TorchvisionSSD300()
    randomized(theirs, theirs.backbone.features[0], pixels=70, seed=1)
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    mirror = publish("ssd300_vgg16_coco-b556d3b4.pth", tmp_path / "x.pth")
    image, name = pixels(300, seed=1), "ssd_300_vgg16_atrous_coco"
    mean = np.array([0.48235, 0.45882, 0.40784], np.float32).reshape(3, 1, 1)
    expected = run(theirs, ((image / 255 - mean) * 255)[None])[1][0]
    detector = ssdzoo.load(name)
    assert detector.preset.mean == (0.48235, 0.45882, 0.40784) and detector.preset.std == (1 / 255,) * 3
    net = ssdzoo.get_model(name, pretrained=True)
    assert mirror.requests.count("ssd300_vgg16_coco-b556d3b4.pth") == 1
    x = (image / 255 - np.reshape(IMAGENET_MEAN, (3, 1, 1))) / np.reshape(IMAGENET_STD, (3, 1, 1))
    found = net.head_outputs(mx.nd.array(x[None]))[1].asnumpy()[0]
    inner = np.zeros((38, 38, 4), bool)
    inner[12:26, 12:26] = True  # of the first feature map: what no padding reaches
    inner = np.flatnonzero(inner)
    np.testing.assert_allclose(found[inner], expected[inner], rtol=0, atol=1e-4)
    assert 0 < abs(found - expected).max() < 0.2
    exact = detector.backend.head_outputs(((image / 255 - mean) * 255)[None])[1][0]
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-4)


def test_a_file_of_another_network_is_refused(publish, tmp_path):
    publish("resnet18-v1-7.onnx", write_onnx(tmp_path / "x", {"resnetv10_conv0_weight": np.zeros((8, 3, 7, 7), np.float32)}))
    with pytest.raises(WeightsError, match="resnet18-v1-7.onnx: not of this backbone: parameter"):
        ssdzoo.get_model("ssd_512_resnet18_v1_custom", classes=["a"], pretrained_base=True)
