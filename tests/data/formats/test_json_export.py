"""JSON in which other tools list images with their objects."""

import json
import re

import pytest

from ssdzoo.data import class_names, load_dataset
from ssdzoo.data.formats import json_export
from ssdzoo.data.formats.json_export import DIALECTS, JSONReader
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, HEIGHT, WIDTH, check_export, write_files


def createml(images):
    box = {"label": "dog", "coordinates": {"x": 50, "y": 50, "width": 60, "height": 40}}
    return [{"image": name, "annotations": [box] if label else []} for name, label in images.items()]


def labelimg(images):
    return [{**row, "verified": False} for row in createml(images)]


def apple(images):
    """Names of Create ML itself, in its first versions."""
    return [{"imagefilename": row["image"], "annotation": row["annotations"]} for row in createml(images)]


def datumaro(images, **attributes):
    labels = [{"name": "dog", "parent": "", "attributes": []}]
    box = {
        "id": 0,
        "type": "bbox",
        "attributes": {"occluded": False, **attributes},
        "group": 0,
        "label_id": 0,
        "bbox": [20, 30, 60, 40],
    }
    items = [
        {"id": name[:-4], "annotations": [box] if label else [], "attr": {}, "image": {"path": name, "size": [HEIGHT, WIDTH]}}
        for name, label in images.items()
    ]
    return {"info": {}, "categories": {"label": {"labels": labels, "attributes": []}}, "items": items}


def vott(images):
    box = {"id": "x", "type": "RECTANGLE", "tags": ["dog"], "boundingBox": {"height": 40, "width": 60, "left": 20, "top": 30}}
    assets = {
        f"{i:032x}": {
            "asset": {
                "format": "jpg",
                "name": name,
                "path": f"file:C:/photos/{name}",
                "size": {"width": WIDTH, "height": HEIGHT},
            },
            "regions": [box] if label else [],
        }
        for i, (name, label) in enumerate(images.items())
    }
    return {"name": "dogs", "tags": [{"name": "dog", "color": "#5db300"}], "version": "2.2.0", "assets": assets}


def bdd100k(images):
    box = {"category": "dog", "id": 0, "box2d": {"x1": 20, "y1": 30, "x2": 80, "y2": 70}}
    lane = {"category": "lane", "poly2d": []}
    return [{"name": name, "attributes": {}, "labels": [box, lane] if label else []} for name, label in images.items()]


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def hugging_face(images):
    boxes = {True: {"bbox": [[20.0, 30.0, 60.0, 40.0]], "categories": ["dog"]}, False: {"bbox": [], "categories": []}}
    return lines({"file_name": name, "objects": boxes[bool(label)]} for name, label in images.items())


def azure_ml(images):
    box = {"label": "dog", "topX": 0.2, "topY": 0.375, "bottomX": 0.8, "bottomY": 0.875, "isCrowd": 0}
    return lines({"image_url": f"azureml://x/paths/{name}", "label": [box] if label else []} for name, label in images.items())


def vertex_ai(images):
    box = {"displayName": "dog", "xMin": "0.2", "yMin": "0.375", "xMax": "0.8", "yMax": "0.875"}
    return lines(
        {"imageGcsUri": f"gs://cells/{name}", "boundingBoxAnnotations": [box] if label else []} for name, label in images.items()
    )


TOOLS = {
    createml: "_annotations.createml.json", labelimg: "photos.json", apple: "annotations.json",
    datumaro: "annotations/default.json", vott: "dogs-export.json", bdd100k: "labels.json", hugging_face: "metadata.jsonl",
    azure_ml: "labels.jsonl", vertex_ai: "import.jsonl",
}  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.parametrize("first", ["dog", None])
def test_the_file_of_a_tool(tool, first, tmp_path):
    images = {"a b.jpg": first, "b.jpg": "dog"}
    content = tool(images)
    text = content if isinstance(content, str) else json.dumps(content)
    write_files(tmp_path, {TOOLS[tool]: text, "images/a b.jpg": 1, "images/b.jpg": 2})
    for path in (tmp_path, tmp_path / TOOLS[tool]):
        if tool in (labelimg, apple, createml, datumaro, vott, hugging_face) or first:
            check_export(path, {"all": images})
    if tool is datumaro:
        write_files(tmp_path, {TOOLS[tool]: json.dumps(datumaro({**images, "a b.jpg": "dog"}, rotation=90.0))})
        assert load_dataset(tmp_path, "all")[0].boxes.tolist() == [[30, 20, 70, 80]]


def test_splits(tmp_path):
    for split in ("train", "valid"):
        write_files(tmp_path / "folders" / split, {"_annotations.createml.json": json.dumps(createml({f"{split}.jpg": "dog"})),
                                                  f"{split}.jpg": len(split)})  # fmt: skip
        write_files(tmp_path / "files", {f"annotations/{split}.json": json.dumps(datumaro({f"{split}.jpg": "dog"})),
                                        f"images/{split}/{split}.jpg": len(split)})  # fmt: skip
    for kind in ("folders", "files"):
        check_export(tmp_path / kind, {"train": {"train.jpg": "dog"}, "valid": {"valid.jpg": "dog"}})
    rows = [json.loads(line) for line in vertex_ai({"a.jpg": "dog", "b.jpg": "dog"}).splitlines()]
    for row, use in zip(rows, ("training", "validation")):
        row["dataItemResourceLabels"] = {"aiplatform.googleapis.com/ml_use": use}
    write_files(tmp_path / "lines", {"import.jsonl": lines(rows), "a.jpg": 1, "b.jpg": 2})
    check_export(tmp_path / "lines", {"training": {"a.jpg": "dog"}, "validation": {"b.jpg": "dog"}})


def test_classes_that_are_numbers(tmp_path):
    rows = [{"file_name": "a.jpg", "objects": {"bbox": [[20, 30, 60, 40], [1, 2, 3, 4]], "categories": [1, 0]}}]
    write_files(tmp_path, {"metadata.jsonl": lines(rows), "a.jpg": 1})
    data = load_dataset(tmp_path, "all")
    assert data.names == ["0", "1"] and data[0].class_ids.tolist() == [1, 0] and data[0].boxes.tolist() == [BOX, [1, 2, 4, 6]]
    write_files(tmp_path, {"classes.txt": "cat\ndog\n"})
    assert class_names(tmp_path) == ["cat", "dog"] and load_dataset(tmp_path, "all")[0].class_ids.tolist() == [1, 0]
    write_files(tmp_path, {"classes.txt": "cat\n"})
    with pytest.raises(DataError, match="object 1 of a.jpg has class '1', but there is 1 name: cat is 0"):
        load_dataset(tmp_path, "all")


def test_a_crowd_of_azure(tmp_path):
    text = azure_ml({"a.jpg": "dog", "b.jpg": "dog"}).replace('"isCrowd": 0', '"isCrowd": 1', 1)
    write_files(tmp_path, {"labels.jsonl": text, "a.jpg": 1, "b.jpg": 2})
    assert [record.crowd.tolist() for record in load_dataset(tmp_path, "all").records] == [[True], [False]]


@pytest.mark.parametrize("tool, old, new, message", [
    (createml, '"x": 50', '"x": "left"', "annotation 1 of a.jpg .dog. has no box of four numbers"),
    (createml, '"label": "dog"', '"label": {}', "annotation 1 of a.jpg has the class a dict of 0; expected a text"),
    (createml, '"coordinates": {', '"coordinates": 3, "x": {', "annotation 1 of a.jpg .dog. has no box of four numbers"),
    (createml, "a.jpg", "b.jpg", "image 1: .*b.jpg: no such image"),
    (createml, '"a.jpg"', "null", "image 1: '' names no image"),
    (datumaro, '"label_id": 0', '"label_id": 1', "annotation 1 of a.jpg has the class None; expected a text"),
    (datumaro, "[20, 30, 60, 40]", "[20, 30]", "annotation 1 of a.jpg .dog. has no box of four numbers"),
    (datumaro, f"[{HEIGHT}, {WIDTH}]", f"[{HEIGHT}, 90]", "says 90x80, the image of .*a.jpg is 100x80"),
    (vott, '["dog"]', "[]", "region 1 of a.jpg has the class None; expected a text"),
    (bdd100k, '"box2d": {', '"box2d": [], "x": {', "label 1 of a.jpg .dog. has no box of four numbers"),
    (hugging_face, '["dog"]', "[]", "object 1 of a.jpg has the class None; expected a text"),
    (hugging_face, "40.0]", "40.0, 1]", "object 1 of a.jpg .dog. has no box of four numbers"),
    (azure_ml, '"isCrowd": 0}]}', '"isCrowd": 0}]', "labels.jsonl: line 1: not JSON"),
    (vertex_ai, '"0.2"', '"left"', "annotation 1 of a.jpg .dog. has no box of four numbers"),
])  # fmt: skip
def test_wrong_files(tool, old, new, message, tmp_path):
    content = tool({"a.jpg": "dog"})
    text = content if isinstance(content, str) else json.dumps(content)
    assert old in text
    write_files(tmp_path, {TOOLS[tool]: text.replace(old, new, 1), "a.jpg": 1})
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "all")


def test_a_named_format_that_a_file_has_not(tmp_path):
    write_files(tmp_path, {"a.json": "{}"})
    with pytest.raises(DataError, match="a.json: not of a known tool; expected the .json of CreateML"):
        load_dataset(tmp_path / "a.json", "all", format="json")


def test_a_file_is_of_one_tool_only():
    for tool in TOOLS:
        content = tool({"a.jpg": "dog"})
        text = content if isinstance(content, str) else json.dumps(content)
        assert len({each.name for each in DIALECTS if all(re.search(sign, text) for sign in each.signs)}) == 1


def test_many_files_are_about_an_image_each(tmp_path, monkeypatch):
    """Of a folder with more than a few, none is looked into."""
    looked = []
    monkeypatch.setattr(json_export, "read_head", lambda file: looked.append(file) or "")
    write_files(tmp_path, {f"{i}.json": "{}" for i in range(20)})
    assert JSONReader.files_in(tmp_path) == [] and len(looked) == 20
    write_files(tmp_path, {"20.json": "{}"})
    assert JSONReader.files_in(tmp_path) == [] and len(looked) == 20
