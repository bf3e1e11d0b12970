"""Splits of data sets with few images, and of those whose splits are empty."""

import pytest

from ssdzoo.data import has_split, load_dataset, split_names
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.formats.splits import EmptySplitError, NoSplitError
from ssdzoo.errors import DataError
from tests.data.formats.test_voc_layouts import image, text, xml
from tests.data.formats.written import coco_table, write_coco


def photos(root, count):
    for i in range(count):
        image(root / f"{i}.jpg")
        xml(root / f"{i}.xml")
    return root


def counts(root):
    found = {}
    for split in ("train", "val", "test", "trainval", "all"):
        try:
            found[split] = len(load_dataset(root, split))
        except EmptySplitError:
            found[split] = 0
    return tuple(found.values())


@pytest.mark.parametrize("count, expected", [
    (1, (1, 0, 0, 1, 1)), (2, (2, 0, 0, 2, 2)), (3, (2, 1, 0, 3, 3)), (5, (4, 0, 1, 4, 5)), (7, (6, 0, 1, 6, 7)),
    (8, (6, 1, 1, 7, 8)), (20, (16, 2, 2, 18, 20)),
])  # fmt: skip
def test_a_data_set_of_few_images_always_has_some_to_train_on(count, expected, tmp_path):
    assert counts(photos(tmp_path, count)) == expected


def test_too_few_images_for_a_split(tmp_path):
    photos(tmp_path, 1)
    with pytest.raises(DataError, match="no images in split 'val': it is drawn from 1 image, which is too few; add images, or"):
        load_dataset(tmp_path, "val")
    with pytest.raises(
        NoSplitError, match="no images in split 'best'; without ImageSets/Main there are train, val, test, trainval"
    ):
        load_dataset(tmp_path, "best")
    report = check_dataset(tmp_path, workers=0)
    assert report.errors == [] and [p.kind for p in report.warnings] == ["split", "split"] and list(report.splits) == ["train"]


def test_an_empty_split_of_the_data_set_itself(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
        xml(tmp_path / "Annotations" / f"{name}.xml")
    text(tmp_path / "ImageSets" / "Main" / "train.txt", "a\nb\n")
    for split in ("val", "test"):
        text(tmp_path / "ImageSets" / "Main" / f"{split}.txt", "\n")
    assert split_names(tmp_path) == ["test", "train", "val"] and has_split(tmp_path, "val")
    assert len(load_dataset(tmp_path, "train")) == len(load_dataset(tmp_path, "trainval")) == 2
    for split in ("val", "test"):
        with pytest.raises(EmptySplitError, match=f"{split}.txt: the split is empty"):
            load_dataset(tmp_path, split)
    report = check_dataset(tmp_path, workers=0)
    assert [p.path.name for p in report.warnings] == ["test.txt"] and [p.path.name for p in report.errors] == ["val.txt"]


def test_the_only_split_of_cvat_is_drawn_from(tmp_path):
    root = write_coco(tmp_path, table=coco_table())
    (root / "annotations" / "instances_train2017.json").rename(root / "annotations" / "instances_default.json")
    (root / "train2017").rename(root / "default")
    assert split_names(root) == ["test", "train", "val"]
    assert len(load_dataset(root, "train")) == 3 and len(load_dataset(root, "default")) == len(load_dataset(root, "all")) == 4
