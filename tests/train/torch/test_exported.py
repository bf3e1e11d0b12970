"""Trainings that start from symbols of others: GluonCV's exports, and checkpoints of mxnet-ssd."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.export import to_torch
from ssdzoo.formats.params_file import read_params
from ssdzoo.model_source import SymbolSource, resolve
from ssdzoo.preset import EXPORTED, read_preset
from ssdzoo.runtime import gluoncv, mxnet
from tests import mxnet_ssd
from tests.command import ssdzoo as command
from tests.export.onnx.models import assert_same_detections
from tests.networks import small_network
from tests.train.jobs import train

mx = mxnet()
BACKENDS = ("mxnet", "onnxruntime", "torch")


def found_alike(folder, image):
    """What each backend finds in an image with a run, which must be the same."""
    first, *others = (ssdzoo.load(folder, backend)(image, 0.0)[0] for backend in BACKENDS)
    assert len(first) > 10
    expected = tuple(array[None] for array in (first.class_ids, first.scores, first.boxes))
    for other in others:
        found = {"class_ids": other.class_ids[None], "scores": other.scores[None], "boxes": other.boxes[None]}
        assert_same_detections(expected, found, pixels=0.01, score=1e-5)
    return first


@pytest.mark.parametrize("origin", ["ssdzoo", pytest.param("gluoncv", marks=pytest.mark.long)])
def test_an_export_without_a_table_is_trained_and_its_run_used_everywhere(origin, job, data, tmp_path):
    net = small_network(["circle", "star"])
    if origin == "gluoncv":
        net.save_parameters(str(tmp_path / "ours.params"))
        net = gluoncv().model_zoo.get_model("ssd_300_mobilenet0.25_custom", classes=["circle", "star"], pretrained_base=False)
        net.load_parameters(str(tmp_path / "ours.params"))
    net.set_nms(0.3, 200, 50)
    net.hybridize()
    net(mx.nd.zeros((1, 3, 96, 96)))
    net.export(str(tmp_path / "theirs"))
    (tmp_path / "theirs.toml").write_text('base_size = 96\nclasses = ["circle", "star"]\n')
    progress, result = train(job(engine="torch", model=tmp_path / "theirs", base_weights=None, epochs=1, lr=1e-9))
    assert "class weights kept from" in progress.lines[-1] and ": circle, star; torch" in progress.lines[-1]
    preset = read_preset(result.folder / "model.toml")
    assert (preset.backbone, preset.sizes, preset.base_size) == (EXPORTED, (), (96, 96))
    assert (preset.nms_thresh, preset.nms_topk, preset.post_nms) == (0.3, 200, 50) and len(preset.classes) == 5
    before, after = read_params(tmp_path / "theirs-0000.params"), read_params(result.folder / "best.params")
    assert {n.split(":")[1] for n in before} == set(after)  # the names of their file
    source = resolve(result.folder)
    assert isinstance(source, SymbolSource) and source.name == "run"
    image = sorted((data / "JPEGImages").iterdir())[0]
    first = found_alike(result.folder, image)
    out, _ = command("export", result.folder, "--out", tmp_path / "symbol")
    assert out == f"{tmp_path}/symbol/run-symbol.json, run-0000.params, run.toml\n"
    np.testing.assert_allclose(ssdzoo.load(tmp_path / "symbol")(image, 0.0)[0].boxes, first.boxes, atol=1e-3)
    for given in ({"mean": 0, "std": 1}, {"classes": ["a"]}):
        with pytest.raises(CallError, match="run has its own .*: leave .* out"):
            resolve(result.folder, **given)


def test_a_checkpoint_of_mxnet_ssd_is_trained_further(job, data, tmp_path):
    """Its anchors are normalized corners, and its logits lie channels first; those of the run are as all others."""
    built, names = mxnet_ssd.build("resnet50", 128, classes=5, divisor=16), ["circle", "cross", "square", "star", "triangle"]
    built.write(tmp_path / "theirs", "ssd_resnet50_128", hyperparams=False)
    (tmp_path / "theirs" / "ssd_resnet50_128.toml").write_text(f"classes = {names}\nmean = [123, 117, 104]\nstd = [1, 1, 1]\n")
    source = resolve(tmp_path / "theirs")
    assert source.preset.base_size == (128, 128)  # as its name says
    _, result = train(job(engine="torch", model=tmp_path / "theirs", base_weights=None, epochs=1, lr=1e-9))
    image = sorted((data / "JPEGImages").iterdir())[0]
    found_alike(result.folder, image)
    images = torch.zeros(1, 3, 128, 128)
    np.testing.assert_allclose(*(to_torch(model)(images)[2].numpy() for model in (result.folder, source)), atol=1e-4)
    before, after = source.arrays, read_params(result.folder / "best.params")
    for name in after:  # norms of these files have no momentum
        assert name.endswith(("moving_mean", "moving_var")) or np.abs(after[name] - before[name]).max() < 1e-5, name
