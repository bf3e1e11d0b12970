"""Every line of the table of sources by `pretrained_base=True` and `pretrained=True` alone, from a local server that holds a file
in the format and at the path of its project. Its weights are random, so its hash and its size take the place of the published
ones; `test_sources.py` and `test_refused_files.py` test that other hashes are refused."""

import hashlib
import shutil
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.weights import sources
from ssdzoo.zoo import list_models
from tests.weights.mirror_server import serve
from tests.weights.originals import WEIGHTS, build, features_of, find_original, write_original
from tests.weights.outputs import pixels
from tests.weights.wire_format import write_onnx

mx = mxnet()
STARTS = [(name, file) for name, files in sources._table()[1].items() for file in files]
DETECTORS = {"ssd300_vgg16_coco-b556d3b4.pth"}
# One of each format, and of the readers without a small network of their own in `importers`; the others take seconds to minutes.
QUICK = {
    ("resnet18_v1b", "resnet18.gluon_in1k.safetensors"),
    ("mobilenet0.25", "mobilenet_2_5_224_tf_no_top.h5"),
    ("mobilenet1.0", "mobilenet.caffemodel"),
    ("mobilenetv2_1.0", "mobilenetv2-7.onnx"),
    ("mobilenetv2_1.0", "mobilenet_v2-b0353104.pth"),
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of the published weights on a machine that has none."""
    for variable in ("MXNET_HOME", "TORCH_HOME", "HF_HOME", "KERAS_HOME", "SSDZOO_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path / "MXNET_HOME" / "models"


@pytest.fixture
def publish(root, monkeypatch):
    """Serves a file as that of a source, at the path that it has on its own server; returns the server and the path."""
    with serve() as (mirror, url):
        monkeypatch.setenv("SSDZOO_REPO", url)

        def put(file, path):
            table, starts = sources._table()
            source, data = table[file], path.read_bytes()
            digest = hashlib.new(source.algorithm, data).hexdigest() if source.digest else ""
            size = len(data) if source.size else None
            made = replace(source, digest=digest[: len(source.digest)], size=size, mib=None)
            monkeypatch.setattr(sources, "_table", lambda: ({**table, file: made}, starts))
            place = urlsplit(source.url).path.lstrip("/")
            mirror.files[place] = data
            path.unlink()
            return mirror, place

        yield put


def test_every_source_has_a_test():
    assert {name for name, _ in STARTS if name.startswith("ssd_")} == set(list_models()) & {name for name, _ in STARTS}
    assert {file for name, file in STARTS if name.startswith("ssd_")} == DETECTORS
    for source in sources.all_sources():
        assert source.file in DETECTORS or find_original(source.file)
    assert set(STARTS) >= QUICK and {urlsplit(file).path.rpartition(".")[2] for _, file in QUICK} == {
        source.file.rpartition(".")[2] for source in sources.all_sources()
    }


BACKBONES = [
    pytest.param(name, file, id=f"{name}-{file}", marks=[] if (name, file) in QUICK else pytest.mark.long)
    for name, file in STARTS
    if file not in DETECTORS
]


@pytest.mark.parametrize("name, file", BACKBONES)
def test_a_backbone(name, file, publish, root, tmp_path):
    """Equal features; then again from what was kept, without the server and without the file."""
    (tmp_path / "original").mkdir()
    expected = write_original(file, tmp_path / "original" / file)
    mirror, place = publish(file, tmp_path / "original" / file)
    # No preset has a bare v1b but that of 34 layers; under a pyramid all start from the same files.
    backbone = f"{name}_fpn" if name.endswith("_v1b") and name != "resnet34_v1b" else name
    for again in (False, True):
        found = features_of(backbone, build(backbone, pretrained_base=True))
        compared = found.keys() & expected.keys()
        assert compared and compared in (found.keys(), expected.keys())
        for layer in compared - WEIGHTS:
            assert 0.1 < expected[layer].std() < 50, layer
            np.testing.assert_allclose(found[layer], expected[layer], rtol=0, atol=1e-4, err_msg=layer)
        for layer in compared & WEIGHTS:
            np.testing.assert_array_equal(found[layer], expected[layer], layer)
        assert mirror.requests.count(place) == 1
        if not again:
            mirror.files.clear()
            shutil.rmtree(root)
    assert not root.exists()


@pytest.mark.long
def test_a_detector(publish, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    from tests.weights.importers.torch_networks import TorchvisionSSD300, randomized, run

    theirs = TorchvisionSSD300()
    randomized(theirs, theirs.backbone.features[0], pixels=70, seed=1)
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    mirror, place = publish("ssd300_vgg16_coco-b556d3b4.pth", tmp_path / "x.pth")
    image, name = pixels(300, seed=1), "ssd_300_vgg16_atrous_coco"
    mean = np.array([0.48235, 0.45882, 0.40784], np.float32).reshape(3, 1, 1)
    expected = run(theirs, ((image / 255 - mean) * 255)[None])[1][0]
    detector = ssdzoo.load(name)
    assert detector.preset.mean == (0.48235, 0.45882, 0.40784) and detector.preset.std == (1 / 255,) * 3
    net = ssdzoo.get_model(name, pretrained=True)
    assert mirror.requests.count(place) == 1
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
    write_onnx(tmp_path / "x", {"resnetv10_conv0_weight": np.zeros((8, 3, 7, 7), np.float32)})
    publish("resnet18-v1-7.onnx", tmp_path / "x")
    with pytest.raises(WeightsError, match="resnet18-v1-7.onnx: not of this backbone: parameter"):
        build("resnet18_v1", pretrained_base=True)
