import json

import pytest

from ssdzoo.data import class_names, load_dataset, split_names
from ssdzoo.errors import DataError
from tests.data.formats.written import NAMES, coco_table, write_coco, write_images


def changed(root, change):
    table = coco_table()
    change(table)
    return write_coco(root / "data", table=table)


def test_crowds_are_kept_and_categories_renumbered(tmp_path):
    def change(table):
        table["annotations"][1]["iscrowd"] = 1
        table["annotations"][1]["segmentation"] = {"counts": [1, 2], "size": [64, 128]}

    data = load_dataset(changed(tmp_path, change), "train2017")
    assert data.names == NAMES and data[0].crowd.tolist() == [False, True] and data[0].class_ids.tolist() == [0, 2]
    assert data[0].boxes.tolist() == [[8, 16, 40, 48], [64, 0, 128, 64]] and not data[0].difficult.any()


@pytest.mark.parametrize(
    "images, annotations",
    [("images/train2017", "annotations"), ("train2017", "annotations"), ("images", "annotations"), ("images", "."), (".", ".")],
)
def test_usual_layouts(images, annotations, tmp_path):
    write_images(tmp_path / "d" / images)
    file = tmp_path / "d" / annotations / "instances_train2017.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(coco_table()))
    assert len(load_dataset(file, "train")) == 4
    if annotations == "annotations":
        assert split_names(tmp_path / "d") == ["train2017"] and len(load_dataset(tmp_path / "d", "train")) == 4


def test_other_exporters(tmp_path):
    for split in ("train", "valid"):  # Roboflow
        write_images(tmp_path / "r" / split)
        table = coco_table()
        table["categories"].insert(0, {"id": 0, "name": "ant", "supercategory": "none"})
        (tmp_path / "r" / split / "_annotations.coco.json").write_text(json.dumps(table))
    assert split_names(tmp_path / "r") == ["train", "valid"] and class_names(tmp_path / "r") == NAMES
    assert len(load_dataset(tmp_path / "r", "val")) == 4
    write_images(tmp_path / "c" / "images" / "default")  # CVAT
    table = coco_table()
    for row in table["images"]:
        row["file_name"] = f"default\\{row['file_name']}"
    (tmp_path / "c" / "annotations").mkdir()
    (tmp_path / "c" / "annotations" / "instances_default.json").write_text(json.dumps(table))
    assert len(load_dataset(tmp_path / "c", "train")) == 3 and len(load_dataset(tmp_path / "c", "all")) == 4


def test_classes_of_several_files_are_united(tmp_path):
    data = write_coco(tmp_path / "d")
    table = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cow"}, {"id": 2, "name": "eel"}]}
    (data / "annotations" / "instances_val2017.json").write_text(json.dumps(table))
    assert class_names(data) == [*NAMES, "eel"]
    with pytest.raises(DataError, match="instances_val2017.json: lists no images"):
        load_dataset(data, "val")


def set_in(key, index, field, value):
    def change(table):
        table[key][index][field] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (set_in("annotations", 0, "category_id", 99), "annotation 1 of a.png has category_id 99, which is not among its 3"),
        (set_in("annotations", 0, "category_id", 10**100), "has category_id a number of 333 bits, which"),
        (set_in("annotations", 0, "category_id", [3]), "has category_id None, which"),
        (set_in("annotations", 0, "bbox", [1, 2, 3]), "annotation 1 of a.png has no bbox of four numbers, but a list of 3"),
        (set_in("annotations", 0, "bbox", [1, 2, 3, "x"]), "no bbox of four numbers"),
        (
            set_in("annotations", 0, "bbox", [1, 2, float("nan"), 4]),
            r"annotation 1 of a.png \(ant\): box \(1, 2, nan, 4\) is not finite",
        ),
        (set_in("annotations", 0, "bbox", [1, 2, 10**400, 4]), "is not finite"),
        (set_in("annotations", 0, "bbox", [1, 2, 1e300, 4]), r"box \(1, 2, 1e\+300, 4\) is outside of the 128x64 image"),
        (set_in("images", 1, "width", 64), "says 64x64, the image of .*b.png is 128x64"),
        (set_in("images", 1, "file_name", "../../../etc/passwd"), "'../../../etc/passwd' leads out of"),
        (set_in("images", 1, "file_name", "/etc/passwd"), "'/etc/passwd' leads out of"),
        (set_in("images", 1, "file_name", "C:\\b.png"), "leads out of"),
        (set_in("images", 1, "file_name", "zzz.png"), "zzz.png: no such image"),
        (set_in("images", 1, "file_name", "x" * 300), "cannot be read: File name too long"),
        (set_in("images", 1, "file_name", "b\0.png"), "names no image"),
        (set_in("images", 1, "file_name", ""), "names no image"),
        (set_in("images", 1, "file_name", None), "an image has id 101 and file_name None"),
        (set_in("images", 1, "id", 100), "image 100 is there twice, as 'a.png' and 'b.png'"),
        (set_in("categories", 0, "name", "c\ud800w"), r"class 'c\\ud800w' holds control characters"),
        (set_in("categories", 0, "name", "c\x1b[31mw"), "holds control characters"),
        (set_in("categories", 0, "id", 3), "category 3 is there twice, as 'cow' and 'ant'"),
        (set_in("categories", 0, "name", 5), "a category has id 17 and name 5"),
        (lambda table: table.pop("annotations"), "expected a list of objects under 'annotations'"),
        (lambda table: table.update(images=[1]), "expected a list of objects under 'images'"),
        (lambda table: table.update(images=[]), "lists no images"),
    ],
)
def test_wrong_tables(change, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(changed(tmp_path, change), "train")


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"images": ' + b"9" * 5000 + b"}", b""])
def test_what_is_no_table(text, tmp_path):
    data = write_coco(tmp_path / "d")
    (data / "annotations" / "instances_train2017.json").write_bytes(text)
    for read in (class_names, lambda path: load_dataset(path, "train", NAMES)):
        with pytest.raises(DataError, match=r"instances_train2017.json: not (JSON|COCO's json|UTF-8 text)"):
            read(data)


def test_annotations_of_images_that_are_not_there(tmp_path):
    data = load_dataset(changed(tmp_path, set_in("annotations", 0, "image_id", 7)), "train")
    assert len(data[0].boxes) == 1
    assert "1 annotations are of images that it does not list, such as annotation 1 of image 7: left out" in str(data.problems[0])


def test_images_that_are_nowhere(tmp_path):
    data = write_coco(tmp_path / "d")
    (data / "train2017").rename(data / "elsewhere")
    with pytest.raises(
        DataError, match=r"no image such as 'a.png' in .*d/images/train2017, .*d/train2017, .*put the images in one"
    ):
        load_dataset(data, "train")


def test_ids_as_texts_and_floats(tmp_path):
    def change(table):
        for row in table["annotations"]:
            row.update(image_id=float(row["image_id"]), category_id=float(row["category_id"]))

    assert load_dataset(changed(tmp_path, change), "train")[0].class_ids.tolist() == [0, 2]
