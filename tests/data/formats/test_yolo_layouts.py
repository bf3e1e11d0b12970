"""YOLO's data as programs export them."""

import unicodedata

import pytest

from ssdzoo.data import load_dataset, split_names
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, ROW, check_export, write_files

DARKNET = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"
CVAT = {
    "obj.data": DARKNET,
    "obj.names": "cat\ndog\n",
    "train.txt": "data/obj_train_data/a.jpg\ndata/obj_train_data/sub/b.png\n",
    "valid.txt": "data/obj_valid_data/a.jpg\n",
    "obj_train_data/a.jpg": 1,
    "obj_train_data/a.txt": f"1 {ROW}\n",
    "obj_train_data/sub/b.png": 2,
    "obj_train_data/sub/b.txt": "",
    "obj_valid_data/a.jpg": 3,
    "obj_valid_data/a.txt": f"0 {ROW}",
}
LABEL_STUDIO = {
    "classes.txt": "dog\n",
    "notes.json": '{"categories": [{"id": 0, "name": "dog"}], "info": {"year": 2024, "version": "1.0"}}',
    "images/0c1f-a.jpg": 1,
    "images/77aa-b.jpg": 2,
    "labels/0c1f-a.txt": f"0 {ROW}",
    "labels/77aa-b.txt": "",
}
LABELED = {"a.jpg": "dog", "b.jpg": None}


def pair(images, labels, classes="0"):
    """The files of a labeled image and of one without objects."""
    return {f"{images}/a.jpg": 1, f"{labels}/a.txt": f"{classes} {ROW}", f"{images}/b.jpg": 2}


def test_cvat(tmp_path):
    data = write_files(tmp_path / "d", CVAT)
    splits = {"train": {"a.jpg": "dog", "b.png": None}, "valid": {"a.jpg": "cat"}}
    for path in (data, data / "obj.data"):
        check_export(path, splits, ["cat", "dog"])
    (data / "obj.data").rename(data / "voc.data")  # Darknet names no file
    check_export(data, splits, ["cat", "dog"])


def test_darknet_paths_of_another_machine(tmp_path):
    files = {
        **CVAT,
        "obj.data": DARKNET.replace("data/", "C:/darknet/x64/data/"),
        "train.txt": "/home/ann/obj_train_data/a.jpg\n",
    }
    check_export(write_files(tmp_path / "d", files), {"train": {"a.jpg": "dog"}, "valid": {"a.jpg": "cat"}}, ["cat", "dog"])


@pytest.mark.parametrize("name, text, message", [
    ("obj.data", "classes = 2\nnames = obj.names\n", "obj.data: names no images; expected lines such as train = train.txt"),
    ("obj.data", DARKNET.replace("obj.names", "x.names"), "obj.data: names: .*x.names is not there"),
    ("obj.data", DARKNET.replace("= 2", "= 3"), "obj.data: classes is 3, but there are 2 names"),
    ("obj.data", DARKNET.replace("= 2", "= two"), "obj.data: classes is 'two', but there are 2 names"),
    ("train.txt", "data/obj_train_data/z.jpg\n", "train.txt: line 1: .*z.jpg: no such image"),
    ("train.txt", "/home/ann/z.jpg\n", "line 1: '/home/ann/z.jpg' leads out of .*d, and no image of its name is there; put it"),
])  # fmt: skip
def test_wrong_darknet(name, text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(write_files(tmp_path / "d", {**CVAT, name: text}), "train")


def test_label_studio(tmp_path):
    data = write_files(tmp_path / "d", LABEL_STUDIO)
    assert split_names(data) == ["test", "train", "val"]  # drawn
    check_export(data, {"all": {"0c1f-a.jpg": "dog", "77aa-b.jpg": None}})


@pytest.mark.parametrize("files", [
    {**pair("images", "labels"), "classes.txt": "dog"},
    {**pair("images", "labels"), "labels/classes.txt": "dog"},  # LabelImg writes it there
    {**pair(".", "."), "classes.txt": "dog"},
    {**pair("data", "data"), "obj.names": "dog"},  # FiftyOne
    {**pair("obj_train_data", "obj_train_data"), "obj.names": "dog"},
])  # fmt: skip
def test_a_list_of_classes_and_no_splits(files, tmp_path):
    check_export(write_files(tmp_path / "images" / "d", files), {"all": LABELED})  # a folder around it is no part of it


@pytest.mark.parametrize("files", [
    {"classes.txt": "dog", **pair("images/train", "labels/train"), **pair("images/val", "labels/val")},
    {"classes.txt": "dog", **pair("train/images", "train/labels"), **pair("val/images", "val/labels")},
    {"train/_darknet.labels": "dog", "val/_darknet.labels": "dog", **pair("train", "train"), **pair("val", "val")},  # Roboflow
])  # fmt: skip
def test_splits_that_are_folders(files, tmp_path):
    check_export(write_files(tmp_path / "d", files), {"train": LABELED, "val": LABELED})


def test_lists_of_classes_that_differ(tmp_path):
    files = {"train/classes.txt": "cat\ndog", "val/classes.txt": "dog\ncat", **pair("train", "train"), **pair("val", "val")}
    with pytest.raises(DataError, match="val/classes.txt: lists other classes than .*train/classes.txt, or in another order"):
        load_dataset(write_files(tmp_path / "d", files), "train")


@pytest.mark.parametrize("path", [
    "/content/datasets/cells-3/{}/images", r"C:\\Users\\ann\\cells\\{}\\images", "../{}/images", "../../cells/{}/images",
])  # fmt: skip
def test_paths_of_another_machine(path, tmp_path):
    table = 'train: "{}"\nval: "{}"\nnc: 1\nnames: [\'dog\']\n'.format(path.format("train"), path.format("valid"))
    files = {"data.yaml": table, **pair("train/images", "train/labels"), **pair("valid/images", "valid/labels")}
    check_export(write_files(tmp_path / "d", files), {"train": LABELED, "val": LABELED})


def test_an_end_without_the_split_is_not_enough(tmp_path):
    """Else train and val would be the same images."""
    files = {"data.yaml": "train: /a/train/images\nval: /a/val/images\nnames: [dog]", **pair("images", "labels")}
    with pytest.raises(DataError, match="train: /a/train/images is not there"):
        load_dataset(write_files(tmp_path / "d", files), "train")
    files["data.yaml"] = "train: /a/one/images\nval: /a/two/images\nnames: [dog]"
    with pytest.raises(DataError, match="train: '/a/one/images' and val: '/a/two/images' both lead to .*d/images; correct"):
        load_dataset(write_files(tmp_path / "d", files), "train")
    files["data.yaml"] = "train: /a/one/images\nval: /a/one/images\nnames: [dog]"  # on purpose
    assert len(load_dataset(write_files(tmp_path / "d", files), "train")) == 2


def test_a_path_that_may_be_two_folders(tmp_path):
    files = {f"{root}/{name}": content for root in (".", "d") for name, content in pair("train/images", "train/labels").items()}
    data = write_files(tmp_path, {**files, "d/data.yaml": "train: ../train/images\nnames: [dog]"}) / "d"
    with pytest.raises(
        DataError, match=f"train: '../train/images' may be {tmp_path}/train/images or {data}/train/images: rename"
    ):
        load_dataset(data, "train")


@pytest.mark.parametrize("files, message", [
    (pair("images", "labels"), "d has images with labels of YOLO, but no list of the classes; write .*d/classes.txt"),
    ({"classes.txt": "dog", "images/a.jpg": 1}, "classes.txt lists classes, but there are no images with labels beside it"),
    ({"config.yaml": "epochs: 3", "a.jpg": 1}, "config.yaml does not name classes or a split, as data.yaml does"),
    ({"a.data": "train = a", "b.data": "train = b"}, "a.data is not the only .data file, or names no train = LIST"),
])  # fmt: skip
def test_folders_that_lack_something(files, message, tmp_path):
    with pytest.raises(DataError, match=f"d: not a data set; .*{message}"):
        load_dataset(write_files(tmp_path / "d", files), "all")


def test_labels_whose_images_were_not_exported(tmp_path):
    write_files(tmp_path, {"classes.txt": "dog\n", "labels/a.txt": "0 0.5 0.5 0.1 0.1\n"})
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="no images in 'images', though there are labels: put the images there, or export them"):
        load_dataset(tmp_path, "all")


def test_images_of_one_name(tmp_path):
    data = write_files(tmp_path / "d", {**LABEL_STUDIO, "images/77aa-b.png": 3})
    with pytest.raises(DataError, match="77aa-b.txt: belongs to 77aa-b.jpg and to 77aa-b.png, two images of one name: keep one"):
        load_dataset(data, "all")
    files = {
        **pair("images", "labels"),
        "images/a.png": 4,
        "data.yaml": "train: train.txt\nnames: [dog]",
        "train.txt": "images/a.png",
    }
    check_export(write_files(tmp_path / "listed", files), {"train": {"a.png": "dog"}})


def test_names_in_both_forms_of_unicode(tmp_path):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    files = {"classes.txt": apart, f"images/{apart}.jpg": 1, f"labels/{composed}.txt": f"0 {ROW}"}
    data = load_dataset(write_files(tmp_path / "d", files), "all")
    assert data.names == [composed] and data[0].boxes.tolist() == [BOX]


FIVE = "expected five numbers: class, center x, center y, width, height"
POSE = " 0.3 0.5 2 0.4 0.6 1"


@pytest.mark.parametrize("row, shape", [
    (ROW + POSE, "kpt_shape: [2, 3]"),
    (ROW + " 0.3 0.5 0.4 0.6 0 0", "kpt_shape: [3, 2]"),
    (ROW + " 0.3 7 -0.4 0.6", "kpt_shape: [2, 2]"),  # wherever its keypoints are
    ("0.2 0.375 0.8 0.375 0.8 0.875 0.2 0.875", ""),  # an outline
    ("0.2 0.375 0.8 0.375 0.8 0.875", ""),
])  # fmt: skip
def test_rows_of_more_than_five_numbers(row, shape, tmp_path):
    table = f"train: images\nnames: [dog]\n{shape}\n"
    data = write_files(tmp_path / "d", {"data.yaml": table, "images/a.jpg": 1, "labels/a.txt": f"0 {row}"})
    check_export(data, {"train": {"a.jpg": "dog"}})


@pytest.mark.parametrize("row, shape, message", [
    (ROW + " 0.9", "", f"{FIVE}. If the sixth is the confidence of a prediction, take it out"),
    (ROW + " 0.3 0.5 2", "", f"{FIVE}, or an outline: class and pairs of x, y. If keypoints follow the box, say kpt_shape"),
    (ROW + POSE, "", r"11 numbers, but not an outline: it leaves the image. If keypoints follow the box, say kpt_shape"),
    (ROW + POSE, "kpt_shape: [17, 3]", r"11 numbers; with kpt_shape \[17, 3\] expected 56: a box and its keypoints"),
    (ROW, "kpt_shape: [2, 3]", r"5 numbers; with kpt_shape \[2, 3\] expected 11: a box and its keypoints"),
    (ROW + " 0.3 0.5 2 0.4 x 1", "kpt_shape: [2, 3]", FIVE),
    ("0.2 0.4 0.8 0.4 1.5 0.9 0.2 0.9", "", r"line 1 \(dog\): box \(.*\) is outside of the 100x80 image"),  # an outline
    (ROW, "kpt_shape: [2, 4]", r"data.yaml: kpt_shape is a list of 2; expected \[number of keypoints, 2 or 3\]"),
    (ROW, "kpt_shape: 17", r"data.yaml: kpt_shape is 17; expected"),
])  # fmt: skip
def test_rows_that_are_neither_boxes_nor_outlines(row, shape, message, tmp_path):
    table = f"train: images\nnames: [dog]\n{shape}\n"
    data = write_files(tmp_path / "d", {"data.yaml": table, "images/a.jpg": 1, "labels/a.txt": f"0 {row}"})
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")
