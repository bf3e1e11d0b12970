"""VIA's JSON, project and CSV."""

import csv
import io
import json

import pytest

from ssdzoo.data import load_dataset
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, check_export, write_files

RECT = {"name": "rect", "x": 20, "y": 30, "width": 60, "height": 40}


def region(shape=RECT, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes or {"class": "dog"}}


def content(regions):
    """{name of an image: its regions}"""
    return {f"{name}{size}": {"filename": name, "size": size, "regions": rows, "file_attributes": {}}
            for size, (name, rows) in enumerate(regions.items(), 1000)}  # fmt: skip


def read(root, *regions):
    write_files(root, {"via_export_json.json": json.dumps(content({"a.jpg": list(regions)})), "a.jpg": 1})
    return load_dataset(root, "all")


IMAGES = {"a b.jpg": [region()], "b.jpg": []}


def test_json(tmp_path):
    write_files(tmp_path, {"via_export_json.json": json.dumps(content(IMAGES)), "a b.jpg": 1, "b.jpg": 2})
    check_export(tmp_path, {"all": {"a b.jpg": "dog", "b.jpg": None}})


def test_the_first_image_may_have_no_regions(tmp_path):
    images = dict(reversed(IMAGES.items()))
    write_files(tmp_path, {"via_export_json.json": json.dumps(content(images)), "a b.jpg": 1, "b.jpg": 2})
    check_export(tmp_path, {"all": {"b.jpg": None, "a b.jpg": "dog"}})


def test_a_project(tmp_path):
    project = {"_via_settings": {"ui": {}, "core": {}}, "_via_img_metadata": content(IMAGES), "_via_attributes": {"region": {}}}
    write_files(tmp_path, {"via_project_1May2024.json": json.dumps(project), "a b.jpg": 1, "b.jpg": 2})
    check_export(tmp_path, {"all": {"a b.jpg": "dog", "b.jpg": None}})


def test_version_1_and_folders_of_splits(tmp_path):
    for split, name in (("train", "a.jpg"), ("val", "b.jpg")):
        old = {key: {**row, "regions": {"0": row["regions"][0]}} for key, row in content({name: [region()]}).items()}
        write_files(tmp_path / split, {"via_region_data.json": json.dumps(old), name: len(split)})
    check_export(tmp_path, {"train": {"a.jpg": "dog"}, "val": {"b.jpg": "dog"}})


@pytest.mark.parametrize("first", ["filename", "#filename"])
def test_csv(first, tmp_path):
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow([first, "file_size", "file_attributes", "region_count", "region_id", "region_shape_attributes",
                     "region_attributes"])  # fmt: skip
    for name, rows in IMAGES.items():
        fields = [(i, json.dumps(row["shape_attributes"]), json.dumps(row["region_attributes"])) for i, row in enumerate(rows)]
        for row in fields or [(0, "{}", "{}")]:
            writer.writerow([name, 1000, "{}", len(rows), *row])
    write_files(tmp_path, {"via_export_csv.csv": table.getvalue(), "a b.jpg": 1, "b.jpg": 2})
    check_export(tmp_path, {"all": {"a b.jpg": "dog", "b.jpg": None}})


@pytest.mark.parametrize("shape, box", [
    ({"name": "circle", "cx": 50, "cy": 40, "r": 10.5}, [39.5, 29.5, 60.5, 50.5]),
    ({"name": "ellipse", "cx": 50, "cy": 40, "rx": 20, "ry": 10}, [30, 30, 70, 50]),
    ({"name": "polygon", "all_points_x": [10, 50, 30], "all_points_y": [20, 22, 60]}, [10, 20, 50, 60]),
])  # fmt: skip
def test_shapes_become_their_boxes(shape, box, tmp_path):
    assert read(tmp_path, region(shape))[0].boxes.tolist() == [box]


@pytest.mark.parametrize("attributes, name", [
    ({"animal": "dog"}, "dog"), ({"color": "black", "Class": "dog"}, "dog"), ({"type": "big", "label": "dog"}, "dog"),
    ({"class": {"cat": False, "dog": True}}, "dog"), ({"class": 3}, "3"),
])  # fmt: skip
def test_the_attribute_that_is_the_class(attributes, name, tmp_path):
    data = read(tmp_path, region(**attributes))
    assert data.names == ([name] if name == "dog" else ["0", "1", "2", "3"]) and data[0].boxes.tolist() == [BOX]
    assert data.names[data[0].class_ids[0]] == name and data.problems == []


def test_regions_without_a_class(tmp_path):
    data = read(tmp_path, {"shape_attributes": RECT, "region_attributes": {}})
    assert data.names == ["object"] and "its regions have no attributes, and so no class" in data.problems[0].message


@pytest.mark.parametrize("found, message", [
    (region(color="black", size="big"), "have the attributes 'color', 'size'; call the one that is the class 'class'"),
    (region({**RECT, "x": None}), "region 1 of a.jpg .dog. has no box of four numbers"),
    (region(**{"class": ""}), "region 1 of a.jpg has the class ''; expected a text"),
    (region({"name": "polygon", "all_points_x": [], "all_points_y": 3}), "region 1 of a.jpg .dog. has no box of four numbers"),
])  # fmt: skip
def test_wrong_files(found, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path, found)


def test_what_has_no_box(tmp_path):
    data = read(tmp_path, region(), region({"name": "point", "cx": 3, "cy": 4}))
    assert data[0].boxes.tolist() == [BOX]
    assert data.problems[0].message == "region 2 of a.jpg is a point, which has no box: left out"
