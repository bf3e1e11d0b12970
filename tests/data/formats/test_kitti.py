"""KITTI's labels, and those that other tools write in their way."""

import pytest

from ssdzoo.data import load_dataset
from ssdzoo.errors import DataError
from tests.data.formats.exported import check_export, write_files

ROW = "dog 0.00 0 1.57 20.00 30.00 80.00 70.00 1.5 1.6 3.7 -0.65 1.71 46.7 -1.59\n"
REGION = "DontCare -1 -1 -10 5.00 5.00 50.00 50.00 -1 -1 -1 -1000 -1000 -1000 -10\n"
FIFTYONE = "dog 0 0 0 20 30 80 70 0 0 0 0 0 0 0\n"


@pytest.mark.parametrize("images, labels, suffix, row, splits", [
    ("training/image_2", "training/label_2", "png", ROW, ["all"]), ("default/image_2", "default/label_2", "jpg", ROW, ["all"]),
    ("data", "labels", "jpg", FIFTYONE, ["all"]), ("images", "labels", "jpg", ROW.replace("\n", " 0.9\r\n"), ["all"]),
    ("train/images", "train/labels", "jpg", ROW, ["train"]),
])  # fmt: skip
def test_layouts(images, labels, suffix, row, splits, tmp_path):
    names = {f"00000{i}.{suffix}": i for i in range(2)}
    write_files(
        tmp_path,
        {**{f"{images}/{name}": i for name, i in names.items()}, f"{labels}/000000.txt": row, f"{labels}/000001.txt": ""},
    )
    check_export(tmp_path, {split: dict(zip(names, ("dog", None))) for split in splits})


def test_regions_without_labels(tmp_path):
    write_files(tmp_path, {"image_2/0.png": 1, "label_2/0.txt": ROW + REGION})
    data = load_dataset(tmp_path, "all")
    assert data.names == ["dog"] and data[0].boxes.tolist() == [[20, 30, 80, 70]]
    assert [p.message for p in data.problems] == ["line 2 is a region whose objects are not labeled: left out"]


@pytest.mark.parametrize("row, message", [
    ("dog 0 0\n", "0.txt: line 2 is 'dog 0 0'; expected a type and 14 numbers"),
    (FIFTYONE.replace("20 30", "20 x"), "0.txt: line 2 .dog. has no box of four numbers"),
    (FIFTYONE.replace("80 70", "120 70"), "line 2 .dog.: box .20, 30, 120, 70. is outside of the 100x80 image"),
])  # fmt: skip
def test_wrong_files(row, message, tmp_path):
    write_files(tmp_path, {"image_2/0.png": 1, "label_2/0.txt": ROW + row})
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "all")
