import hashlib

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.demo.shapes import SHAPES, draw_scene, write_shapes
from ssdzoo.errors import CallError


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest(), len(files)


def test_a_folder_that_the_reader_reads_back(tmp_path):
    data = load_dataset(write_shapes(tmp_path / "a", 12, 3, 4), "train")
    assert len(data) == 12 and data.names == list(SHAPES) and data.problems == []
    assert len(load_dataset(tmp_path / "a", "trainval")) == 15
    rng = np.random.default_rng([0, 1, 0])
    image, boxes, names = draw_scene(rng)
    assert image.shape == (240, 320, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(data[0].boxes, boxes)
    assert [data.names[i] for i in data[0].class_ids] == names
    sizes = np.concatenate([r.boxes[:, 2:] - r.boxes[:, :2] for r in data.records])
    assert sizes.min() > 20 and sizes.max() < 140


def test_the_same_seed_draws_the_same_bytes(tmp_path):
    first, count = digest(write_shapes(tmp_path / "a", 3, 1, 1, seed=1))
    assert digest(write_shapes(tmp_path / "b", 3, 1, 1, seed=1)) == (first, count) and count == 14
    assert digest(write_shapes(tmp_path / "c", 3, 1, 1, seed=2))[0] != first


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(CallError, match="is there already"):
        write_shapes(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_impossible_number_of_images_writes_nothing(tmp_path):
    with pytest.raises(CallError, match="val=-1"):
        write_shapes(tmp_path / "x", train=1, val=-1, test=1)
    assert not list(tmp_path.iterdir())


def test_an_empty_current_folder_is_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_shapes(".", train=1, val=0, test=0)
    assert sorted(p.name for p in (tmp_path / "here").iterdir()) == ["Annotations", "ImageSets", "JPEGImages"]
