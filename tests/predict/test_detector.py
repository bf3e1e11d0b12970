import cv2
import numpy as np
import pytest

import ssdzoo
from ssdzoo.data.record import Dataset, Record
from ssdzoo.errors import CallError, DataError, ExportError, WeightsError
from ssdzoo.export.symbol import export_model
from ssdzoo.measure.evaluate import evaluate
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.zoo import find_preset
from tests.networks import small_network

PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])


class Fixed:
    """A backend that always finds the same two boxes, in pixels of the 300x300 input."""

    def __call__(self, batch):
        self.batch = batch
        count = len(batch)
        ids = np.tile(np.array([[1], [0], [-1]], np.float32), (count, 1, 1))
        scores = np.tile(np.array([[0.9], [0.3], [-1]], np.float32), (count, 1, 1))
        boxes = np.tile(np.array([[30, 60, 150, 330], [0, 0, 300, 300], [-1] * 4], np.float32), (count, 1, 1))
        return ids, scores, boxes


def test_boxes_come_back_in_pixels_of_the_image():
    found = Detector(Fixed(), PRESET)(np.zeros((150, 600, 3), np.uint8), score=0.1)[0]
    assert found.boxes.tolist() == [[60, 30, 300, 150], [0, 0, 600, 150]]
    assert found.labels == ["b", "a"] and found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert len(Detector(Fixed(), PRESET)(np.zeros((9, 9, 3), np.uint8))[0]) == 1


def test_pixels_are_normalized():
    backend = Fixed()
    image = np.zeros((300, 300, 3), np.uint8)
    image[:] = (255, 128, 0)
    Detector(backend, PRESET)(image)
    expected = [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(backend.batch[0, :, 7, 9], expected, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_paths_folders_and_arrays(batch_size, tmp_path):
    for name in ("b.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 30, 3)))
    for name in ("notes.txt", "._a.jpg", "README"):  # the second is a Mac's own, in archives
        (tmp_path / name).write_text("")
    detector = Detector(Fixed(), PRESET, batch_size)
    shapes = [image.shape[:2] for image, _ in detector.stream([tmp_path, np.zeros((9, 8, 3), np.uint8), tmp_path / "a.jpg"])]
    assert shapes == [(20, 30), (20, 30), (9, 8), (20, 30)]
    assert len(detector(str(tmp_path / "b.png"))) == 1 and detector([]) == []


def test_what_is_no_image(tmp_path):
    detector = Detector(Fixed(), PRESET)
    with pytest.raises(DataError, match="missing.jpg: no such image"):
        detector(tmp_path / "missing.jpg")
    with pytest.raises(CallError, match="no images in this folder"):
        detector(tmp_path)
    with pytest.raises(CallError, match=r"not \(5, 5\) uint8"):
        detector([np.zeros((5, 5), np.uint8)])
    with pytest.raises(CallError, match=r"\(5, 5, 3\) float32"):
        detector(np.zeros((5, 5, 3), np.float32))
    with pytest.raises(CallError, match="not int"):
        detector(3)


def test_run_and_export_and_weights_give_the_same(tmp_path):
    net = small_network()
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.toml").write_text(PRESET.to_toml())
    net.save_parameters(str(run / "best.params"))
    path = export_model(net, PRESET, tmp_path / "export")
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    expected = Detector(MXNetBackend(net), PRESET)(image, 0.0)[0]
    assert len(expected) > 10
    sources = [run, path.parent, path, f"{path}-symbol.json"]
    for model in sources:
        found = ssdzoo.load(model)(image, 0.0)[0]
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
        assert found.labels == expected.labels
    found = ssdzoo.predict.load.load("ssd_300_mobilenet0.25_custom", weights=run)(image, 0.0)[0]
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(CallError, match="no model 'ssd_300_vgg'"):
        ssdzoo.load("ssd_300_vgg")
    with pytest.raises(CallError, match="neither a run"):
        ssdzoo.load(tmp_path)
    with pytest.raises(WeightsError, match="has no published weights"):
        ssdzoo.load("ssd_300_vgg16_atrous_custom")
    with pytest.raises(CallError, match="no backend 'tensorrt'"):
        ssdzoo.load("ssd_300_vgg16_atrous_voc", backend="tensorrt")
    (tmp_path / "x-symbol.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"its parameters x-0000\.params are missing"):
        ssdzoo.load(tmp_path)
    (tmp_path / "x-0000.params").write_text("")
    with pytest.raises(ExportError, match=r"x-symbol\.json: not a symbol of MXNet"):
        ssdzoo.load(tmp_path)
    (tmp_path / "y-symbol.json").write_text("{}")
    with pytest.raises(CallError, match="holds 2 exported models"):
        ssdzoo.load(tmp_path)


def test_evaluation(tmp_path):
    """The fixed boxes against objects that they hit, miss, and may not count."""
    records = []
    for name, boxes, ids, difficult in (
        ("hit", [[60, 30, 299, 149]], [1], [False]),
        ("difficult", [[60, 30, 299, 149]], [1], [True]),
        ("empty", np.zeros((0, 4)), [], []),
    ):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), np.zeros((150, 600, 3)))
        flags = np.array(difficult, bool)
        records.append(Record(path, np.array(boxes, np.float32), np.array(ids, np.int32), flags, ~flags & False, 150, 600))
    value = evaluate(Detector(Fixed(), PRESET), Dataset(["a", "b", "c"], records, []), metric="voc12")
    assert value["AP"]["b"] == 1 and value["mAP"] == 1  # the miss on "empty" has the same score and comes later
    value = evaluate(Detector(Fixed(), PRESET), Dataset(["a", "b", "c"], records[::-1], []), metric="voc12")
    assert value["AP"]["b"] == 0.5
