"""COCO's json as tools write it: their file names, folders and fields."""

import json

import cv2
import numpy as np
import pytest

from ssdzoo.data import class_names, load_dataset, split_names
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.errors import DataError
from tests.data.formats.written import coco_table, write_images

WIDTH, HEIGHT = 128, 100


def photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (HEIGHT, WIDTH, 3))
    cv2.imwrite(str(path), pixels)


def write(file, name, categories=({"id": 1, "name": "cat"},), **fields):
    """A json file with one image and a cat in it; `fields` are further ones of the annotation."""
    annotation = {
        "id": 1,
        "image_id": 1,
        "category_id": categories[-1]["id"],
        "bbox": [20, 30, 60, 40],
        "area": 2400,
        "iscrowd": 0,
    }
    content = {
        "info": {"year": 2024, "version": "1.0", "description": "", "contributor": "", "date_created": "2024-05-01T10:00:00"},
        "licenses": [],
        "categories": list(categories),
        "images": [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT, "license": None}],
        "annotations": [{**annotation, **fields}],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def fiftyone(root):
    photo(root / "data" / "x.jpg")
    write(root / "labels.json", "x.jpg", supercategory=None)


def fiftyone_splits(root):
    for split in ("train", "validation"):
        photo(root / split / "data" / f"{split}.jpg")
        write(root / split / "labels.json", f"{split}.jpg")


def roboflow(root):
    for split in ("train", "valid", "test"):
        photo(root / split / f"x_jpg.rf.{split}.jpg")
        names = {"id": 0, "name": "cats", "supercategory": "none"}, {"id": 1, "name": "cat", "supercategory": "cats"}
        write(root / split / "_annotations.coco.json", f"x_jpg.rf.{split}.jpg", names, segmentation=[])


def roboflow_one_folder(root):
    photo(root / "x.jpg")
    write(root / "_annotations.coco.json", "x.jpg", segmentation=[[20, 30, 80, 30, 80, 70, 20, 70]])


def label_studio(root, name="images/1a2b3c4d-x.jpg", place="images/1a2b3c4d-x.jpg"):
    photo(root / place)
    write(root / "result.json", name, ({"id": 0, "name": "cat"},), ignore=0, segmentation=[])


def label_studio_windows(root):
    label_studio(root, "images\\8/x%20y.jpg", "images/8/x y.jpg")


def label_studio_flat(root):
    label_studio(root, "images\\1a2b3c4d-x.jpg")


def label_studio_elsewhere(root):
    label_studio(root, "C:\\Users\\me\\label-studio\\media\\upload\\8\\x.jpg", "images/x.jpg")


def elsewhere(root):
    photo(root / "train2017" / "x.jpg")
    write(root / "annotations" / "instances_train2017.json", "/home/me/coco/train2017/x.jpg")


def keypoints(root):
    for split in ("train2017", "val2017"):
        photo(root / split / "x.jpg")
        write(root / "annotations" / f"person_keypoints_{split}.json", "x.jpg", keypoints=[25, 35, 2] * 17, num_keypoints=17)


def mmdetection(root):
    for split in ("train", "val"):
        photo(root / split / f"{split}.jpg")
        write(root / "annotations" / f"{split}.json", f"{split}.jpg")


def cvat(root):
    photo(root / "images" / "default" / "x.jpg")
    write(
        root / "annotations" / "instances_default.json",
        "x.jpg",
        attributes={"occluded": False},
        segmentation={"counts": [1], "size": [100, 128]},
    )


def lvis(root):
    """It has addresses, and val has images of train2017 too."""
    photo(root / "train2017" / "000000000009.jpg")
    write(root / "lvis_v1_val.json", "")
    table = json.loads((root / "lvis_v1_val.json").read_text())
    del table["images"][0]["file_name"]
    table["images"][0]["coco_url"] = "http://images.cocodataset.org/train2017/000000000009.jpg"
    (root / "lvis_v1_val.json").write_text(json.dumps(table))


def objects365(root):
    photo(root / "val" / "patch0" / "x.jpg")
    write(root / "annotations" / "zhiyuan_objv2_val.json", "images/v1/patch0/x.jpg")


def via(root):
    photo(root / "x.jpg")
    write(root / "via_export_coco.json", "x.jpg", image_id="1")


def beside_the_images(root):
    photo(root / "x.jpg")
    write(root / "coco.json", "x.jpg")


LAYOUTS = {
    fiftyone: "all", fiftyone_splits: "val", roboflow: "val", roboflow_one_folder: "all", label_studio: "all",
    label_studio_windows: "all", label_studio_flat: "all", label_studio_elsewhere: "all", elsewhere: "train", keypoints: "val",
    mmdetection: "val", cvat: "all", beside_the_images: "all", lvis: "val", objects365: "val", via: "all",
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layouts_of_tools(layout, tmp_path):
    layout(tmp_path / "d")
    data = load_dataset(tmp_path / "d", LAYOUTS[layout])
    (record,) = data.records
    assert record.boxes.tolist() == [[20, 30, 80, 70]] and [data.names[i] for i in record.class_ids] == ["cat"]
    assert check_dataset(tmp_path / "d", [LAYOUTS[layout]], workers=0).errors == []


def test_splits_of_layouts(tmp_path):
    for layout in (fiftyone_splits, roboflow, keypoints, mmdetection):
        layout(tmp_path / layout.__name__)
    assert split_names(tmp_path / "fiftyone_splits") == ["train", "validation"]
    assert split_names(tmp_path / "roboflow") == ["test", "train", "valid"]
    assert split_names(tmp_path / "keypoints") == ["train2017", "val2017"]
    assert split_names(tmp_path / "mmdetection") == ["train", "val"]


def test_the_project_of_roboflow_is_no_class(tmp_path):
    roboflow(tmp_path / "d")
    assert class_names(tmp_path / "d") == ["cat"]
    names = {"id": 0, "name": "animals", "supercategory": "none"}, {"id": 1, "name": "cat", "supercategory": "animals"}
    photo(tmp_path / "x.jpg")
    for categories, used, found in (
        (names, 1, ["cat"]),
        (names, 0, ["animals", "cat"]),  # it has objects
        ((*names, {"id": 2, "name": "car", "supercategory": "vehicles"}), 1, ["animals", "cat", "car"]),
        ((*names, {"id": 2, "name": "car", "supercategory": "none"}), 1, ["animals", "cat", "car"]),
        ((*names, {"id": 2, "name": "car", "supercategory": ["animals"]}), 1, ["animals", "cat", "car"]),
        (names[:1], 0, ["animals"]),
    ):
        write(tmp_path / "_annotations.coco.json", "x.jpg", categories, category_id=used)
        data = load_dataset(tmp_path / "_annotations.coco.json", "all")
        assert data.names == found and data.names[data[0].class_ids[0]] == categories[used]["name"]


def test_two_folders_with_equal_names_are_told_apart(tmp_path):
    """Of paths on another machine, only the parts that are not there are dropped."""
    for folder in ("a", "b"):
        photo(tmp_path / folder / "x.jpg")
    table = coco_table()
    table["images"] = [
        {"id": 100 + i, "file_name": f"/home/me/{folder}/x.jpg", "width": WIDTH, "height": HEIGHT}
        for i, folder in enumerate(("b", "a", "b", "b"))
    ]
    for row in table["annotations"]:
        row["bbox"] = [1, 1, 9, 9]
    (tmp_path / "labels.json").write_text(json.dumps(table))
    found = [record.image.parent.name for record in load_dataset(tmp_path, "all").records]
    assert found == ["b", "a", "b", "b"]


def test_instances_come_before_keypoints(tmp_path):
    write_images(tmp_path / "d" / "train2017")
    keypoints(tmp_path / "d")
    (tmp_path / "d" / "annotations" / "instances_train2017.json").write_text(json.dumps(coco_table()))
    (tmp_path / "d" / "annotations" / "captions_train2017.json").write_text(json.dumps({"images": [], "annotations": []}))
    assert len(load_dataset(tmp_path / "d", "train")) == 4 and len(load_dataset(tmp_path / "d", "val")) == 1
    assert split_names(tmp_path / "d") == ["train2017", "val2017"]


@pytest.mark.parametrize("name, what", [
    ("captions_val2017", "captions"), ("panoptic_val2017", "panoptic segments"), ("stuff_val2017", "stuff segments"),
    ("image_info_test2017", "images alone"),
])  # fmt: skip
def test_files_without_boxes(name, what, tmp_path):
    file = tmp_path / "d" / "annotations" / f"{name}.json"
    write(file, "x.jpg")
    for path in (file, tmp_path / "d"):
        with pytest.raises(
            DataError, match=rf"{name}\.json: COCO's {what}, .*no boxes; expected instances_{name.split('_')[-1]}\.json"
        ):
            class_names(path)


def test_other_jsons_are_not_coco_s(tmp_path):
    (tmp_path / "d").mkdir()
    for text in ("{}", "[]", "{", '{"_via_settings": {}}', '{"categories": [], "info": {}}'):
        (tmp_path / "d" / "notes.json").write_text(text)
        with pytest.raises(DataError, match="not a data set"):
            class_names(tmp_path / "d")


def test_a_name_that_fits_two_images(tmp_path):
    table = coco_table()
    table["images"][1]["file_name"] = "x.bmp"
    write_images(tmp_path / "d", ("a", "c", "d"))
    photo(tmp_path / "d" / "x.jpg")
    photo(tmp_path / "d" / "x.png")
    (tmp_path / "d" / "_annotations.coco.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"'x.bmp' may be x\.jpg or x\.png in .*d: keep one of them"):
        load_dataset(tmp_path / "d", "all")


def test_class_names_of_a_mac(tmp_path):
    for number, name in enumerate(("café", "cafe\u0301")):
        photo(tmp_path / str(number) / "x.jpg")
        write(tmp_path / str(number) / "_annotations.coco.json", "x.jpg", ({"id": 1, "name": name},))
    assert class_names([tmp_path / "0", tmp_path / "1"]) == ["café"]
