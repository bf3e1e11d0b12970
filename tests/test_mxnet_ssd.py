"""Checkpoints of mxnet-ssd's train.py with its other backbones: mxnet's own detections against those of every backend."""

import pytest

pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.model_source import installed_backends, resolve
from tests import mxnet_ssd
from tests.command import ssdzoo as command
from tests.mxnet_ssd_backbones import BACKBONES
from tests.test_sagemaker import MEAN, PHOTOS, assert_finds

LOOKS_LIKE = {"mobilenet": "a MobileNet", "inceptionv3": "an Inception-v3", "densenet121": "a DenseNet"}


LONG = [pytest.param(name, marks=() if name == "mobilenet" else pytest.mark.long) for name in BACKBONES]


@pytest.mark.parametrize("network", LONG)
def test_every_backend_finds_what_mxnet_finds(network, tmp_path):
    """The graph of the training, as train.py saves it: no hyperparams.json, the size at the end of its name."""
    built = mxnet_ssd.build(network, 160)
    name = f"ssd_{network}_160"
    folder = built.write(tmp_path / "model", name, hyperparams=False, epoch=240)
    expected = built.detections(ssdzoo.load(folder, mean=MEAN, std=1).prepare(PHOTOS[0])[1])
    assert len(expected) > 100
    for backend in installed_backends():
        detector = ssdzoo.load(folder, backend, mean=MEAN, std=1, precision="f32")
        assert detector.size == (160, 160)
        assert_finds(expected, detector(PHOTOS[0], 0.0)[0])
    _, errors = command("convert", folder, tmp_path / "x.params", "--mean", "0", "--std", "1", status=1)
    assert f"this one looks like {LOOKS_LIKE[network]}. It runs, is exported, and with engine=torch is trained" in errors


@pytest.mark.parametrize("name, size", [("ssd_vgg16_reduced_300", 300), ("deploy_ssd_resnet50_512", 512), ("ssd_300", 300)])
def test_the_size_at_the_end_of_a_name(name, size, tmp_path):
    built = mxnet_ssd.build("mobilenet", 160, divisor=16, calibrated=False)
    folder = built.write(tmp_path / "model", name, hyperparams=False)
    assert resolve(folder, mean=0, std=1).preset.base_size == (size, size)
    (folder / f"{name}.toml").write_text("base_size = [160, 200]\n")
    assert resolve(folder, mean=0, std=1).preset.base_size == (160, 200)


@pytest.mark.parametrize("name", ["mine_300", "ssd_mobilenet", "ssd_mobilenet_20000", "ssd_mobilenet-300"])
def test_other_names_say_no_size(name, tmp_path):
    built = mxnet_ssd.build("mobilenet", 160, divisor=16, calibrated=False)
    folder = built.write(tmp_path / "model", name, hyperparams=False)
    with pytest.raises(WeightsError, match=f"its input size can't be inferred .*base_size = .* into .*model/{name}.toml"):
        resolve(folder, mean=0, std=1).preset.base_size.count(160)
