"""CVAT for images 1.1, as tasks and projects are exported."""

import pytest

from ssdzoo.data import class_names, load_dataset, split_names
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, HEIGHT, WIDTH, check_export, write_files

META = (
    "<meta><task><id>7</id><name>cells</name><size>2</size><mode>annotation</mode><labels>"
    "<label><name>dog</name><color>#fa3253</color><type>any</type><attributes></attributes></label></labels></task></meta>"
)
DOG = '<box label="dog" source="manual" occluded="0" xtl="20.00" ytl="30.00" xbr="80.00" ybr="70.00" z_order="0"></box>'


def xml(*images, meta=META):
    """(name, subset or "", shapes) of each image."""
    size, parts = f'width="{WIDTH}" height="{HEIGHT}"', ""
    for i, (name, subset, shapes) in enumerate(images):
        of_subset = f' subset="{subset}"' if subset else ""
        parts += f'<image id="{i}" name="{name}"{of_subset} {size}>{shapes}</image>\n'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{parts}</annotations>'


def shapes_of(root, shapes, **kwargs):
    write_files(root, {"images/a.jpg": 1, "annotations.xml": xml(("a.jpg", "", DOG + shapes), **kwargs)})
    return load_dataset(root, "all")


@pytest.mark.parametrize(
    "subset, folder", [("", "images"), ("", "images/default"), ("default", "images/default"), ("", "."), ("", "data")]
)
def test_a_task(subset, folder, tmp_path):
    text = xml(("a b.jpg", subset, DOG), ("sub/é.png", subset, ""))
    write_files(tmp_path, {f"{folder}/a b.jpg": 1, f"{folder}/sub/é.png": 2, "annotations.xml": text})
    for path in (tmp_path, tmp_path / "annotations.xml"):
        check_export(path, {"all": {"a b.jpg": "dog", "é.png": None}})


def test_the_subsets_of_a_project_are_its_splits(tmp_path):
    text = xml(("a.jpg", "Train", DOG), ("a.jpg", "Validation", DOG), ("c.jpg", "Test", ""), ("d.jpg", "Test", DOG))
    images = {"Train/a.jpg": 1, "Validation/a.jpg": 2, "Test/c.jpg": 3, "Test/d.jpg": 4}
    write_files(tmp_path, {"annotations.xml": text, **{f"images/{name}": seed for name, seed in images.items()}})
    splits = {"Train": {"a.jpg": "dog"}, "Validation": {"a.jpg": "dog"}, "Test": {"c.jpg": None, "d.jpg": "dog"}}
    check_export(tmp_path, splits)
    assert load_dataset(tmp_path, "val")[0].image.parent.name == "Validation" and len(load_dataset(tmp_path, "trainval")) == 2


def test_images_of_several_subsets_in_one_folder(tmp_path):
    text = xml(("a.jpg", "train", DOG), ("b.jpg", "test", DOG))
    write_files(tmp_path, {"annotations.xml": text, "images/a.jpg": 1, "images/b.jpg": 2})
    check_export(tmp_path, {"train": {"a.jpg": "dog"}, "test": {"b.jpg": "dog"}})


@pytest.mark.parametrize("shape, box", [
    ('<polygon label="dog" points="10.00,20.00;50.50,22.00;30.00,60.00" z_order="0"></polygon>', [10, 20, 50.5, 60]),
    ('<ellipse label="dog" cx="50" cy="40" rx="20" ry="10" z_order="0"></ellipse>', [30, 30, 70, 50]),
    ('<ellipse label="dog" cx="50" cy="40" rx="20" ry="10" rotation="90.00"></ellipse>', [40, 20, 60, 60]),
    ('<mask label="dog" rle="3, 5, 2" left="40" top="30" width="5" height="2" z_order="0"></mask>', [40, 30, 45, 32]),
    ('<box label="dog" xtl="40" ytl="40" xbr="80" ybr="60" rotation="90.00"></box>', [50, 30, 70, 70]),
    ('<box label="dog" xtl="0" ytl="40" xbr="80" ybr="60" rotation="270.00"></box>', [30, 10, 50, 80]),  # it leaves the image
    ('<box label="dog" xtl="40" ytl="40" xbr="80" ybr="60"><attribute name="rotation">90</attribute></box>', [40, 40, 80, 60]),
])  # fmt: skip
def test_shapes_become_their_boxes(shape, box, tmp_path):
    data = shapes_of(tmp_path, shape)
    assert data[0].boxes.tolist() == [BOX, box] and data.problems == []


def test_what_has_no_box(tmp_path):
    points = '<points label="dog" points="5,5"></points>'
    data = shapes_of(tmp_path, f'<tag label="outdoor"></tag><polyline label="dog" points="1,1;9,9"></polyline>{points}')
    assert data[0].boxes.tolist() == [BOX] and data.names == ["dog"]
    assert [p.message for p in data.problems] == [
        "shape 2 of a.jpg is a polyline, which has no box: left out", "shape 3 of a.jpg is a points, which has no box: left out",
    ]  # fmt: skip


def test_classes_are_in_the_order_of_the_task(tmp_path):
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("wolf", "dog", "cat"))
    shapes_of(tmp_path, "", meta=f"<meta><project><labels>{labels}</labels></project></meta>")
    assert class_names(tmp_path) == ["wolf", "dog", "cat"]
    shapes_of(tmp_path, DOG.replace("dog", "ape"), meta="")
    assert class_names(tmp_path) == ["ape", "dog"] and split_names(tmp_path) == ["test", "train", "val"]


@pytest.mark.parametrize("text, message", [
    (xml(("a.jpg", "", DOG.replace('label="dog"', ""))), "annotations.xml: shape 1 of a.jpg has the class None; expected a text"),
    (xml(("a.jpg", "", DOG.replace('"20.00"', '"x"'))), "annotations.xml: shape 1 of a.jpg .dog. has no box of four numbers"),
    (xml(("a.jpg", "", '<polygon label="dog" points="1,2;3"></polygon>')), "shape 1 of a.jpg .dog. has no box of four numbers"),
    (xml(("b.jpg", "", DOG)), "annotations.xml: image '0': .*b.jpg: no such image"),
    (xml(("../a.jpg", "", DOG), ("", "", "")), "image '1': '' names no image"),
    ("<annotations><image", "annotations.xml: not XML"),
    ('<annotations><track id="0" label="dog"><box frame="0"/></track></annotations>', 'export "CVAT for images 1.1"'),
    ("<annotations></annotations>", "annotations.xml: lists no images"),
    (xml(("a.jpg", "", DOG)).replace(f'width="{WIDTH}"', 'width="90"'), "says 90x80, the image of .*a.jpg is 100x80"),
    ("<!DOCTYPE x [<!ENTITY y 'z'>]><annotations>&y;</annotations>", "declares XML entities"),
])  # fmt: skip
def test_wrong_files(text, message, tmp_path):
    write_files(tmp_path, {"images/a.jpg": 1, "annotations.xml": text})
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "all", ["dog"], format="cvat")
