import json

import cv2
import numpy as np
import pytest

from ssdzoo.data import class_names, index, load_dataset
from ssdzoo.data.formats import coco_table, image_infos, read_records
from ssdzoo.data.images import image_info
from ssdzoo.data.index import MANY, load_index, save_index
from tests.data.formats.written import NAMES, OBJECTS, write, write_coco
from tests.data.formats.written import coco_table as small_table

CONTENT = {"values": np.arange(6).reshape(2, 3), "names": ["ant", "a\ud800", "é"]}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of the index."""
    monkeypatch.setenv("SSDZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "index"


def test_what_was_kept_comes_back(cache):
    assert load_index("coco", ["/d/a.json", 1, 2]) is None
    save_index("coco", ["/d/a.json", 1, 2], MANY, CONTENT)
    found = load_index("coco", ["/d/a.json", 1, 2])
    assert found["names"] == CONTENT["names"] and found["values"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for other in (["/d/a.json", 1, 3], ["/d/a.json", 2, 2], ["/d/b.json", 1, 2]):
        assert load_index("coco", other) is None
    assert load_index("voc", ["/d/a.json", 1, 2]) is None
    save_index("coco", ["/d/a.json", 9, 9], MANY, CONTENT)  # the file has changed: its index is replaced
    assert load_index("coco", ["/d/a.json", 1, 2]) is None and len(list(cache.iterdir())) == 1


def test_an_index_of_another_version_is_not_read(cache, monkeypatch):
    save_index("coco", ["/d/a.json"], MANY, CONTENT)
    monkeypatch.setattr(index, "_VERSION", (2, "0"))
    assert load_index("coco", ["/d/a.json"]) is None


def test_small_data_sets_have_none(cache):
    save_index("coco", ["/d/a.json"], MANY - 1, CONTENT)
    assert not cache.exists()


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-30], lambda b: b[: len(b) // 2], lambda b: b"no archive" * 9,
                                    lambda b: b.replace(b"ant", b"bee")])  # fmt: skip
def test_a_damaged_index_is_none(damage, cache):
    save_index("coco", ["/d/a.json"], MANY, CONTENT)
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert load_index("coco", ["/d/a.json"]) is None


def test_an_index_runs_no_code(cache):
    save_index("coco", ["/d/a.json"], MANY, CONTENT)
    (file,) = cache.iterdir()
    np.savez(file, plain=np.array([{"source": 1}], object), allow_pickle=True)
    assert load_index("coco", ["/d/a.json"]) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSDZOO_CACHE", str(tmp_path / "file"))
    save_index("coco", ["/d/a.json"], MANY, CONTENT)
    assert load_index("coco", ["/d/a.json"]) is None


@pytest.fixture
def large(tmp_path, cache, monkeypatch):
    """A COCO data set for which four images are many."""
    monkeypatch.setattr(index, "MANY", 4)
    coco_table._read_once.cache_clear()
    return write_coco(tmp_path / "d")


def boxes(data):
    return [record.boxes.tolist() for record in load_dataset(data, "train")]


def test_a_json_is_read_once(large, cache, monkeypatch):
    expected = boxes(large)
    assert expected == [[list(row[1:]) for row in rows] for rows in OBJECTS.values()] and len(list(cache.iterdir())) == 1
    coco_table._read_once.cache_clear()  # as in another process
    monkeypatch.setattr(coco_table, "_read", None)
    assert boxes(large) == expected and class_names(large) == NAMES
    (large / "train2017" / "c.png").unlink()  # images are looked for each time
    with pytest.raises(ValueError, match="no such image"):
        boxes(large)


def test_a_changed_json_is_read_again(large, cache):
    expected = boxes(large)
    file = large / "annotations" / "instances_train2017.json"
    table = small_table()
    table["annotations"][0]["bbox"] = [0, 0, 10, 10]
    file.write_text(json.dumps(table))
    assert boxes(large)[0][0] == [0, 0, 10, 10] and len(list(cache.iterdir())) == 1
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-50])
    coco_table._read_once.cache_clear()
    assert boxes(large)[1:] == expected[1:]


def test_what_is_wrong_is_told_each_time(large, cache):
    table = small_table()
    table["annotations"][0]["category_id"] = 99
    (large / "annotations" / "instances_train2017.json").write_text(json.dumps(table))
    for _ in range(2):
        coco_table._read_once.cache_clear()
        with pytest.raises(ValueError, match="annotation 1 of a.png has category_id 99"):
            boxes(large)
    table["annotations"][0]["category_id"], table["annotations"][1]["image_id"] = 3, 7
    (large / "annotations" / "instances_train2017.json").write_text(json.dumps(table))
    for _ in range(2):
        coco_table._read_once.cache_clear()
        (problem,) = load_dataset(large, "train").problems
        assert "1 annotations are of images that it does not list" in problem.message
    assert len(list(cache.iterdir())) == 1


def test_images_are_opened_once_until_they_change(tmp_path, cache, monkeypatch):
    for module in (index, read_records):
        monkeypatch.setattr(module, "MANY", 4)
    root, opened = write("yolo", tmp_path / "d"), []
    monkeypatch.setattr(image_infos, "image_info", lambda image: opened.append(image.name) or image_info(image))
    expected = boxes(root)
    assert opened == ["a.png", "b.png", "c.png", "d.png"] and boxes(root) == expected and len(opened) == 4
    (root / "images" / "train" / "b.png").write_bytes((root / "images" / "train" / "a.png").read_bytes())
    cv2.imwrite(str(root / "images" / "train" / "c.png"), np.zeros((30, 40, 3), np.uint8))
    assert [(r.height, r.width) for r in load_dataset(root, "train")] == [(64, 128), (64, 128), (30, 40), (64, 128)]
    assert opened[4:] == ["b.png", "c.png"] and boxes(root) == expected and len(opened) == 6
    (root / "images" / "train" / "d.png").write_bytes(b"")
    with pytest.raises(ValueError, match="d.png: the file is empty"):
        boxes(root)
