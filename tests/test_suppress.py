"""`suppress=` of runs, of exports of GluonCV's form, and of ONNX files, with every backend."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.model_source import installed_backends, resolve
from ssdzoo.preset import read_preset
from ssdzoo.zoo import find_preset
from tests import mxnet_ssd
from tests.command import ssdzoo as command
from tests.networks import small_network

PHOTOS = mxnet_ssd.photos(2)


def test_an_onnx_file_keeps_its_nms_and_its_names(tmp_path):
    for given, message in (
        ({"classes": ["a"]}, "x.onnx holds its class names: leave classes= out, and give it when the model is exported"),
        ({"suppress": "across"}, "x.onnx holds its NMS: leave suppress= out, and give it when the model is exported to ONNX"),
    ):
        with pytest.raises(CallError, match=message):
            resolve(tmp_path / "x.onnx", **given)


@pytest.mark.parametrize("backend", installed_backends())
def test_the_nms_of_a_run_across_classes(backend, run):
    """Its table says per-class; the graph of another NMS finds the same by itself."""
    own, across = (ssdzoo.load(run, backend, suppress=s, precision="f32")(PHOTOS[0], 0.0)[0] for s in (None, "across"))
    first = own.class_ids == 0  # which hides the other class everywhere
    assert set(own.class_ids) == {0, 1} and (across.class_ids == 0).all() and len(across) == first.sum()
    np.testing.assert_allclose(across.boxes, own.boxes[first], atol=0.01)
    assert ssdzoo.load(run, backend, precision="f32")(PHOTOS[0], 0.0)[0].class_ids.max() == 1  # no cache of the other


def test_a_run_exported_with_another_nms(run, tmp_path):
    command("export", run, "--out", tmp_path, "--suppress", "across")
    for model in (tmp_path / "run", run):
        found = ssdzoo.load(model, suppress=None if model != run else "across")(PHOTOS[0], 0.0)[0]
        assert (found.class_ids == 0).all() and len(found) > 0
    assert read_preset(tmp_path / "run.toml").suppress == "across"
    assert (ssdzoo.load(tmp_path / "run", suppress="per-class")(PHOTOS[0], 0.0)[0].class_ids == 1).any()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with two classes at each place, the second of which scores less."""
    net, folder = two_classes_at_each_place(), tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    net.save_parameters(str(folder / "best.params"))
    preset = replace(find_preset("ssd_300_mobilenet0.25_custom"), base_size=(96, 96)).with_classes(net.classes)
    (folder / "model.toml").write_text(preset.to_toml())
    return folder


def two_classes_at_each_place():
    net = small_network()
    for predictor in net.class_predictors:
        bias = predictor.predictor.bias
        bias.set_data(np.tile([0, 3, 2.9, 0], bias.shape[0] // 4))
    return net


def test_an_nms_of_gluoncv_across_classes(tmp_path):
    net = two_classes_at_each_place()
    net.export(str(tmp_path / "x"))
    (tmp_path / "x.toml").write_text("base_size = 96")
    own, other, across = (ssdzoo.load(tmp_path / "x", suppress=s)(PHOTOS[0], 0.0)[0] for s in (None, "per-class", "across"))
    np.testing.assert_array_equal(own.boxes, other.boxes)
    assert set(own.class_ids) == {0, 1}
    first = own.class_ids == 0  # which hides the other one everywhere
    np.testing.assert_array_equal(across.class_ids, 0)
    np.testing.assert_array_equal(across.boxes, own.boxes[first])
    found = ssdzoo.load(tmp_path / "x", "onnxruntime", suppress="across")(PHOTOS[0], 0.0)[0]
    np.testing.assert_allclose(found.scores, across.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, across.boxes, atol=0.01)
