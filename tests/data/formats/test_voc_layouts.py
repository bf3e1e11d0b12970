"""Pascal VOC as tools export it: each folder has a box at (20, 30, 80, 70), counted from 0, in every image."""

import os
import unicodedata

import cv2
import numpy as np
import pytest

from ssdzoo.data import has_split, load_dataset, split_names
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.errors import DataError

NFC, NFD = unicodedata.normalize("NFC", "Müll"), unicodedata.normalize("NFD", "Müll")
BOX = [20, 30, 80, 70]
POINTS = "<xmin>21</xmin><ymin>31</ymin><xmax>81</xmax><ymax>71</ymax>"


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name) + sum(path.name.encode())).integers(0, 256, (100, 128, 3))
    suffix = path.suffix if path.suffix in (".jpg", ".png", ".webp", ".tif") else ".jpg"
    path.write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def xml(path, filename=None, name="cat", points=POINTS, head=""):
    named = "" if filename is None else f"<filename>{filename}</filename>"
    size = "<size><width>128</width><height>100</height><depth>3</depth></size>"
    rest = "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
    text(path, f"<annotation>{head}{named}{size}<object><name>{name}</name>{rest}<bndbox>{points}</bndbox></object></annotation>")


def labelimg(root):
    head = "<folder>photos</folder>"
    for name in ("IMG_1", "IMG_2"):
        image(root / f"{name}.jpg")
        xml(root / f"{name}.xml", f"{name}.jpg", head=f"{head}<path>C:\\Users\\me\\photos\\{name}.jpg</path>")
    text(root / "classes.txt", "cat\n")  # LabelImg leaves it beside them
    return ["all"]


def labelimg_folders(root):
    """Annotations saved to another folder than the images."""
    for name in ("IMG_1", "IMG_2"):
        image(root / "images" / f"{name}.JPG")
        xml(root / "xml" / f"{name}.xml", f"{name}.JPG")
    return ["all"]


def roboflow(root):
    for split in ("train", "valid", "test"):
        name = f"{split}1_jpg.rf.0a1b2c3d4e5f"
        image(root / split / f"{name}.jpg")
        points = "<xmin>21</xmin><xmax>81</xmax><ymin>31</ymin><ymax>71</ymax>"  # Roboflow's order
        xml(root / split / f"{name}.xml", f"{name}.jpg", points=points, head="<folder></folder>")
    text(root / "README.dataset.txt", "cells")
    text(root / "README.roboflow.txt", "exported")
    return ["train", "val", "valid", "test", "trainval"]


def folders_in_splits(root):
    for split in ("train", "val"):
        image(root / split / "images" / "a.png")
        xml(root / split / "annotations" / "a.xml", "a.png")
    return ["train", "val"]


def splits_in_folders(root):
    for split in ("train", "val"):
        image(root / "images" / split / "a.png")
        xml(root / "annotations" / split / "a.xml", "a.png")
    return ["train", "val"]


def cvat(root):
    """A task with photos in folders, which is not divided."""
    text(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\n")
    names = ["a", "sub/b", "sub/deep/my photo 1"]
    for name in names:
        image(root / "JPEGImages" / f"{name}.jpg")
        xml(root / "Annotations" / f"{name}.xml", f"{name}.jpg", head="<folder></folder>")
    text(root / "ImageSets" / "Main" / "default.txt", "".join(f"{name}\n" for name in names))
    text(root / "ImageSets" / "Main" / "cat_default.txt", "".join(f"{name}  1\n" for name in names))
    text(root / "ImageSets" / "Action" / "default.txt", "")
    return ["train", "trainval", "all", "default"]


def label_studio(root):
    """It names images without suffixes."""
    for name in ("0a1b2c3d-photo", "1a1b2c3d-photo"):
        image(root / "images" / f"{name}.jpg")
        xml(root / "Annotations" / f"{name}.xml", name, head="<folder>images</folder>")
    return ["all"]


def label_studio_lower(root):
    label_studio(root)
    (root / "Annotations").rename(root / "annotations")
    return ["all"]


def vott(root):
    for name in ("cat_01", "dog 2", "none"):
        image(root / "JPEGImages" / f"{name}.jpg")
        xml(root / "Annotations" / f"{name}.xml", f"{name}.jpg", head="<folder>Annotation</folder>")
    main = root / "ImageSets" / "Main"
    text(main / "cat_train.txt", "cat_01.jpg 1\r\ndog 2.jpg -1\r\n")
    text(main / "dog_train.txt", "cat_01.jpg -1\r\ndog 2.jpg 1\r\n")
    text(main / "cat_val.txt", "none.jpg -1\r\n")
    text(main / "dog_val.txt", "none.jpg -1\r\n")
    text(root / "pascal_label_map.pbtxt", "item {\n id: 1\n name: 'cat'\n}\n")
    return ["train", "val"]


def oxford_pets(root):
    image(root / "images" / "a_1.jpg")
    xml(root / "annotations" / "xmls" / "a_1.xml", "a_1.jpg")
    text(root / "annotations" / "trimaps" / "a_1.txt", "")
    return ["all"]


def fiftyone(root):
    for name in ("a", "b"):
        image(root / "data" / f"{name}.jpg")
        xml(root / "labels" / f"{name}.xml", f"{name}.jpg", head=f"<folder></folder><path>/home/me/{name}.jpg</path>")
    return ["all"]


LAYOUTS = [labelimg, labelimg_folders, roboflow, folders_in_splits, splits_in_folders, cvat, label_studio, label_studio_lower,
           vott, oxford_pets, fiftyone]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_of_a_tool(layout, tmp_path):
    splits = layout(tmp_path / "data")
    for split in splits:
        data = load_dataset(tmp_path / "data", split)
        assert data.names == ["cat"] and data.problems == [] and len(data)
        assert [record.boxes.tolist() for record in data.records] == [[BOX]] * len(data)
    report = check_dataset(tmp_path / "data", workers=0)
    assert report.errors == [] and report.formats == ["voc"]


def test_how_many_images_are_in_each_split(tmp_path):
    for layout in (roboflow, cvat, vott, splits_in_folders):
        layout(tmp_path / layout.__name__)
    counts = {
        layout: {split: len(load_dataset(tmp_path / layout, split)) for split in splits}
        for layout, splits in {"roboflow": ["train", "trainval"], "cvat": ["all", "default", "train", "val"],
                               "vott": ["train", "val", "trainval"], "splits_in_folders": ["train", "trainval"]}.items()
    }  # fmt: skip
    assert counts == {
        "roboflow": {"train": 1, "trainval": 2}, "cvat": {"all": 3, "default": 3, "train": 2, "val": 1},
        "vott": {"train": 2, "val": 1, "trainval": 3}, "splits_in_folders": {"train": 1, "trainval": 2},
    }  # fmt: skip
    assert split_names(tmp_path / "roboflow") == ["test", "train", "valid"]
    assert split_names(tmp_path / "cvat") == ["test", "train", "val"] and has_split(tmp_path / "cvat", "val")


def test_lists_of_classes_beside_the_splits_of_the_original(tmp_path):
    vott(tmp_path)
    text(tmp_path / "ImageSets" / "Main" / "train.txt", "none\n")
    assert [r.image.stem for r in load_dataset(tmp_path, "train").records] == ["none"]
    assert [r.image.stem for r in load_dataset(tmp_path, "cat_train").records] == ["cat_01", "dog 2"]
    assert [r.image.stem for r in load_dataset(tmp_path, "val").records] == ["none"]


def test_an_archive_with_a_folder_around_the_data_set(tmp_path):
    roboflow(tmp_path / "cells.v1i.voc" / "cells.v1i.voc")
    (tmp_path / "cells.v1i.voc" / "__MACOSX" / "cells" / "Annotations").mkdir(parents=True)
    text(tmp_path / "cells.v1i.voc" / "__MACOSX" / "cells" / "Annotations" / "._a.xml", "x")
    assert len(load_dataset(tmp_path / "cells.v1i.voc", "train")) == 1 == len(load_dataset(tmp_path, "train"))


def test_what_a_mac_adds_to_an_archive_is_not_read(tmp_path):
    label_studio(tmp_path)
    text(tmp_path / "Annotations" / "._0a1b2c3d-photo.xml", "\0\5\26")
    text(tmp_path / "images" / "._0a1b2c3d-photo.jpg", "\0\5\26")
    text(tmp_path / "images" / ".DS_Store", "")
    assert len(load_dataset(tmp_path, "all")) == 2


@pytest.mark.parametrize("there, filename, found", [
    (["a.jpg", "b.jpg"], "b.jpg", "b.jpg"),  # the image that the annotation names
    (["a.jpg", "a.png"], "a.png", "a.png"),
    (["a.jpg"], "old.jpg", "a.jpg"), (["a.jpg"], "", "a.jpg"), (["a.jpg"], None, "a.jpg"), (["a.jpg"], "a", "a.jpg"),
    (["a.jpg"], "a.png", "a.jpg"), (["a.jpg"], "/home/me/photos/a.jpg", "a.jpg"), (["a.jpg"], "C:\\photos\\a.jpg", "a.jpg"),
    (["a.jpg", "b.jpg"], "D:\\photos\\b.jpg", "b.jpg"), (["b.jpg"], "../elsewhere/b.jpg", "b.jpg"), (["b.png"], "b.jpg", "b.png"),
    (["b.jpg"], "b", "b.jpg"), (["a.jfif"], "a.jpg", "a.jfif"), (["a.jpe"], "a.jpg", "a.jpe"), (["a.webp"], None, "a.webp"),
    (["a.tif"], None, "a.tif"), ([f"{NFD}.jpg"], f"{NFC}.jpg", f"{NFD}.jpg"), ([f"{NFC}.jpg"], f"{NFD}.jpg", f"{NFC}.jpg"),
])  # fmt: skip
@pytest.mark.parametrize("layout", ["beside", "JPEGImages"])
def test_which_image_an_annotation_means(there, filename, found, layout, tmp_path):
    folder = tmp_path if layout == "beside" else tmp_path / "JPEGImages"
    for name in there:
        image(folder / name)
    xml((tmp_path if layout == "beside" else tmp_path / "Annotations") / "a.xml", filename)
    assert [record.image for record in load_dataset(tmp_path, "all").records] == [folder / found]


def test_an_image_that_nothing_decides(tmp_path):
    for name in ("a.jpg", "a.png"):
        image(tmp_path / "JPEGImages" / name)
    for filename in ("a", "a.bmp", "", "other.jpg"):
        xml(tmp_path / "Annotations" / "a.xml", filename)
        with pytest.raises(DataError, match=r"a.xml: its image may be a.jpg or a.png in .*JPEGImages: keep one of them, or name"):
            load_dataset(tmp_path, "all")


def test_an_annotation_that_names_another_image_than_its_own(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    xml(tmp_path / "a.xml", "b.jpg")
    data = load_dataset(tmp_path, "all")
    assert data[0].image.name == "b.jpg"
    assert [p.message for p in data.problems] == [
        "1 image has no .xml: left out; an image without objects needs one too, without objects",
        "names b.jpg, though a.jpg is there too: b.jpg is taken",
    ]


def test_missing_images_and_annotations_beside_each_other(tmp_path):
    labelimg(tmp_path)
    image(tmp_path / "IMG_3.jpg")
    assert [p.message for p in load_dataset(tmp_path, "all").problems] == [
        "1 image has no .xml: left out; an image without objects needs one too, without objects"
    ]
    (tmp_path / "IMG_1.jpg").unlink()
    with pytest.raises(DataError, match="IMG_1.xml: its image IMG_1.jpg is missing; put it there"):
        load_dataset(tmp_path, "all")


def test_the_folder_of_the_annotations_in_the_place_of_the_data_set(tmp_path):
    label_studio(tmp_path)
    with pytest.raises(DataError, match=f"-photo is missing; .*, or name {tmp_path} as the data set"):
        load_dataset(tmp_path / "Annotations", "train")


@pytest.mark.parametrize("line", ["../../outside", "/etc/hostname", "..\\outside"])
def test_a_line_of_a_split_does_not_leave_the_data_set(line, tmp_path):
    cvat(tmp_path / "data")
    xml(tmp_path / "outside.xml", "a.jpg")
    text(tmp_path / "data" / "ImageSets" / "Main" / "default.txt", f"a\n{line}\n")
    with pytest.raises(DataError, match="leads out of"):
        load_dataset(tmp_path / "data", "all")


def test_links_are_followed_and_circles_are_not(tmp_path):
    cvat(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    for name in ("Annotations", "JPEGImages"):
        os.symlink(tmp_path / "elsewhere" / name, tmp_path / "data" / name)
    os.symlink(tmp_path / "data", tmp_path / "elsewhere" / "Annotations" / "circle")
    data = load_dataset(tmp_path / "data", "all")
    assert len({record.image.name for record in data.records}) == 3 and not data.problems


def test_a_class_in_both_forms_of_unicode_is_one(tmp_path):
    for name, label in (("a", NFC), ("b", NFD)):
        image(tmp_path / f"{name}.jpg")
        xml(tmp_path / f"{name}.xml", name=label)
    data = load_dataset(tmp_path, "all")
    assert data.names == [NFC] and [r.class_ids.tolist() for r in data.records] == [[0], [0]]
    text(tmp_path / "x" / "ImageSets" / "Main" / "train.txt", f"{NFD}\n")
    image(tmp_path / "x" / "JPEGImages" / f"{NFD}.jpg")
    xml(tmp_path / "x" / "Annotations" / f"{NFC}.xml")
    assert len(load_dataset(tmp_path / "x", "train")) == 1
