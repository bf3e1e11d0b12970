"""Pictures and detections.json of images, some of which cannot be read."""

import json
import os

import cv2
import numpy as np
import pytest

from ssdzoo.data.images import encode_image
from ssdzoo.errors import DataError
from ssdzoo.predict.detector import Detector
from ssdzoo.report.predictions import write_predictions
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo
from tests.hostile import limits  # noqa: F401

PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])


class OneBox:
    """A backend that finds one box in each image."""

    runtime, in_flight = "none 1.0", 1

    def __call__(self, batch):
        count = len(batch)
        return np.zeros((count, 1, 1)), np.full((count, 1, 1), 0.9), np.tile(np.float32([[10, 20, 30, 40]]), (count, 1, 1))


@pytest.fixture
def folder(tmp_path):
    """A folder of five photos of which the first, the third and the last are damaged, and a damaged video beside it."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in enumerate("abcde", 1):
        cv2.imwrite(str(photos / f"{name}.jpg"), np.full((20, 10 * number, 3), 99, np.uint8))
    for name in "ace":
        data = (photos / f"{name}.jpg").read_bytes()
        (photos / f"{name}.jpg").write_bytes(data[:-20] if name != "c" else b"")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    return photos


@pytest.mark.parametrize("batch_size, in_flight", [(1, 1), (2, 1), (4, 1), (2, 3)])
def test_damaged_images_are_left_out(batch_size, in_flight, folder, tmp_path):
    detector, failed = Detector(OneBox(), PRESET, batch_size), []
    detector.backend.in_flight = in_flight
    images = [folder, tmp_path / "clip.mp4", folder / "b.jpg"]
    found = write_predictions(
        detector, images, tmp_path / "out", 0.5, on_error=lambda item, error: failed.append((item, str(error)))
    )
    assert [(image["image"], image["width"], image["picture"]) for image in found] == [
        (str(folder / "b.jpg"), 20, "b.jpg"), (str(folder / "d.jpg"), 40, "d.jpg"), (str(folder / "b.jpg"), 20, "b-2.jpg"),
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == found
    assert sorted(item.name for item, _ in failed) == ["a.jpg", "c.jpg", "clip.mp4", "e.jpg"]
    assert {item.name: error for item, error in failed}["c.jpg"].endswith(
        "c.jpg: the file is empty; replace it, or take it out of the data"
    )


def test_without_a_function_for_them_the_first_one_ends_it(folder, tmp_path):
    with pytest.raises(DataError, match="a.jpg: truncated"):
        write_predictions(Detector(OneBox(), PRESET), [folder], tmp_path / "out", 0.5)
    with pytest.raises(DataError, match="a.jpg: truncated"):
        Detector(OneBox(), PRESET)(folder)


def test_on_the_command_line(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ssdzoo.predict.load.open_source", lambda *_, **__: Detector(OneBox(), PRESET))
    out, errors = ssdzoo("predict", "any.onnx", folder, "--out", tmp_path / "out", status=1)
    assert out.startswith("2 objects in 2 images: ")
    lines = errors.splitlines()
    assert lines[0].startswith(f"ssdzoo: {folder / 'a.jpg'}: truncated") and len(lines) == 4
    assert lines[-1] == f"ssdzoo: 3 of 5 images could not be read; {tmp_path / 'out'}/detections.json has the others"
    out, _ = ssdzoo("predict", "any.onnx", folder, "--out", tmp_path / "out", "--json", status=1)
    assert [len(image["detections"]) for image in json.loads(out)] == [1, 1]
    ssdzoo("predict", "any.onnx", folder / "b.jpg", folder / "d.jpg", "--out", tmp_path / "out")
    out, _ = ssdzoo("predict", "any.onnx", folder / "a.jpg", "--out", tmp_path / "out", status=1)
    assert out.startswith("0 objects in 0 images: ") and (tmp_path / "out" / "detections.json").read_text() == "[]"


def test_names_that_are_not_utf_8(tmp_path):
    """OpenCV would end the process on such a path."""
    path = tmp_path / os.fsdecode(b"caf\xe9 \x1b[31m.jpg")
    path.write_bytes(encode_image(np.full((20, 30, 3), 99, np.uint8), ".jpg"))
    bad = tmp_path / os.fsdecode(b"\xff.png")
    bad.write_bytes(b"no image")
    failed = []
    found = write_predictions(
        Detector(OneBox(), PRESET), [path, bad], tmp_path / "out", 0.5, None, lambda *pair: failed.append(pair)
    )
    assert [row["picture"] for row in found] == [f"{path.stem}.jpg"]
    assert (tmp_path / "out" / f"{path.stem}.jpg").stat().st_size > 300
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == found
    assert [str(error).rpartition("/")[2].partition(";")[0] for _, error in failed] == [
        "\\udcff.png: not an image that OpenCV can decode"
    ]
