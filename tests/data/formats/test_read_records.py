"""Large data sets: what is read by arrays is what is read one by one, and sizes are taken from the annotations."""

import json

import cv2
import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.formats import read_records as module
from ssdzoo.data.loading.loader import Loader
from ssdzoo.errors import DataError
from ssdzoo.progress import Silent
from tests.data.formats.voc_folder import write_voc, xml
from tests.data.formats.written import HEIGHT, NAMES, OBJECTS, WIDTH, WRITERS, coco_table, write, write_coco

WRONG = {  # of one kind each, between images about which there is nothing to say
    "swapped": [(0, 40, 48, 8, 16)], "b": OBJECTS["b"], "thin": [(1, 5, 5, 5, 9)], "c": [], "tiny": [(2, 5, 5, 5.5, 9)],
    "d": OBJECTS["d"], "over": [(0, 3, 3, 128.5, 9)],
}  # fmt: skip


@pytest.fixture
def large(monkeypatch):
    """From one image on, a data set is large; three are read at once."""
    monkeypatch.setattr(module, "MANY", 1)
    monkeypatch.setattr(module, "CHUNK", 3)


def summary(data):
    rows = [(r.image, r.boxes.tolist(), r.class_ids.tolist(), r.crowd.tolist(), r.height, r.width) for r in data.records]
    return rows, data.names, [(str(p), p.kind, p.severity) for p in data.problems]


@pytest.mark.parametrize("kind", WRITERS)
def test_large_data_sets_are_read_like_small_ones(kind, tmp_path, monkeypatch):
    root = write(kind, tmp_path / "d", WRONG)
    small = summary(load_dataset(root, "train"))
    monkeypatch.setattr(module, "MANY", 1)
    for chunk in (1, 3, 100):
        monkeypatch.setattr(module, "CHUNK", chunk)
        assert summary(load_dataset(root, "train")) == small
    swapped = [] if kind == "labelme" else ["swapped corners"]  # LabelMe's corners have no order
    assert len(small[0]) == 7 and sorted(kind for _, kind, _ in small[2]) == ["degenerate box", *swapped, "tiny box"]
    for names in (NAMES[::-1], NAMES[:2]):
        results = []
        for many in (1, 1000):
            monkeypatch.setattr(module, "MANY", many)
            try:
                results.append(summary(load_dataset(root, "train", names)))
            except DataError as error:
                results.append(str(error))
        assert results[0] == results[1]


def no_sizes(table):
    for row in table["images"]:
        del row["width"], row["height"]


def crowd(table):
    table["annotations"][1]["iscrowd"] = 1


def normalized(table):
    for row in table["annotations"]:
        row["bbox"] = [value / 128 for value in row["bbox"]]


@pytest.mark.parametrize("change", [no_sizes, crowd, normalized])
def test_large_jsons_are_read_like_small_ones(change, tmp_path, monkeypatch):
    table, results = coco_table(), []
    change(table)
    root = write_coco(tmp_path / "d", table=table)
    for many in (1000, 1):
        monkeypatch.setattr(module, "MANY", many)
        try:
            results.append(summary(load_dataset(root, "train")))
        except DataError as error:
            results.append(str(error))
    assert results[0] == results[1] and (change is not normalized or "all 6 boxes lie within 0 and 1" in results[0])


def wrong_size(root):
    """A COCO data set whose first image is annotated as half as wide as it is."""
    table = coco_table()
    table["images"][0]["width"] = 64
    table["annotations"] = [row for row in table["annotations"] if row["image_id"] != 100]
    return write_coco(root, table=table)


def test_sizes_of_a_large_data_set_are_compared_when_images_are_decoded(tmp_path, large):
    root = wrong_size(tmp_path / "d")
    data = load_dataset(root, "train")
    assert (data[0].height, data[0].width) == (64, 64) and (data[1].height, data[1].width) == (64, 128)
    for augmentation in ("ssd", None):
        with pytest.raises(DataError, match=r"a\.png: its annotation says 64x64, it is 128x64: an annotation of another image"):
            list(Loader(data, 4, (32, 32), augmentation).epoch(0))
    report = check_dataset(root, workers=0)
    assert [(p.path.name, p.severity, p.message.split(":")[0]) for p in report.errors] == [
        ("a.png", "error", "its annotation says 64x64, it is 128x64")
    ]


def test_sizes_of_a_small_data_set_are_compared_at_once(tmp_path):
    with pytest.raises(DataError, match=r"instances_train2017.json: says 64x64, the image of .*a\.png is 128x64"):
        load_dataset(wrong_size(tmp_path / "d"), "train")


def test_photos_of_a_large_data_set_are_compared_with_their_copies_and_turned(tmp_path, large):
    """Those that the loader decodes at an eighth of their size, or keeps a smaller copy of; EXIF turning counts."""
    root = write_voc(tmp_path / "d", {"a": xml([("cat", 101, 201, 501, 601)], (1600, 1199))}, {"train": ["a"]})
    photo = np.zeros((1199, 1600, 3), np.uint8)
    cv2.imwrite(str(root / "JPEGImages" / "a.jpg"), photo)
    data = load_dataset(root, "train")
    for cache in (None, tmp_path / "copies"):
        assert len(next(Loader(data, 1, (100, 100), "none", cache=cache).epoch(0)).boxes) == 1
    cv2.imwrite(str(root / "JPEGImages" / "a.jpg"), photo.transpose(1, 0, 2))
    for cache in (None, tmp_path / "copies"):
        with pytest.raises(DataError, match=r"a\.jpg: its annotation says 1600x1199, it is 1199x1600"):
            next(Loader(data, 1, (100, 100), "none", cache=cache).epoch(0))


def test_images_of_a_large_data_set_have_to_be_there(tmp_path, large):
    root = write_coco(tmp_path / "d")
    (root / "train2017" / "b.png").unlink()
    with pytest.raises(DataError, match=r"instances_train2017\.json: an image's file_name: .*b\.png: no such image"):
        load_dataset(root, "train")


def test_sizes_that_are_none_are_looked_up(tmp_path, large):
    table = coco_table()
    for row, (height, width) in zip(table["images"], [(0, 0), (64, -5), (64.5, 128), ("64", "128")]):
        row.update(height=height, width=width)
    root = write_coco(tmp_path / "d", table=table)
    with pytest.raises(DataError, match=r"says 128x64.5, the image of .*c\.png is 128x64"):
        load_dataset(root, "train")
    table["images"][2].update(height=64.0)
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(table))
    assert [(r.height, r.width) for r in load_dataset(root, "train")] == [(HEIGHT, WIDTH)] * 4


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_progress_counts_the_images(kind, tmp_path, large):
    seen = []

    class Counted(Silent):
        def images(self, results, count):
            for result in results:
                seen.append(count)
                yield result

    assert len(load_dataset(write(kind, tmp_path / "d"), "train", progress=Counted())) == 4 and seen == [4] * 4
