"""LabelMe's annotations."""

import json

import pytest

from ssdzoo.data import class_names, load_dataset, split_names
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.errors import DataError
from tests.data.formats.test_voc_layouts import NFC, NFD, image, text

SQUARE = [[20, 30], [80, 30], [80, 70], [20, 70]]


def shape(points, kind="rectangle", label="cat", **more):
    return {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {}, **more}


def annotation(path, *shapes, name=None, **changes):
    """A file as LabelMe 5 writes it."""
    name = f"{path.stem}.jpg" if name is None else name
    table = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": "/9j/4AAQSkZJRg==",
             "imageHeight": 100, "imageWidth": 128, **changes}  # fmt: skip
    text(path, json.dumps(table, indent=2))


def one(root, *shapes, **changes):
    image(root / "a.jpg")
    annotation(root / "a.json", *shapes, **changes)
    return load_dataset(root, "all")


def beside(root):
    image(root / "a.jpg")
    annotation(root / "a.json", shape([[20, 30], [80, 70]]))
    return ["all"]


def own_folder(root):
    image(root / "images" / "a.jpg")
    annotation(root / "annotations" / "a.json", shape(SQUARE, "polygon"), name="..\\images\\a.jpg")
    return ["all"]


def splits(root):
    for split in ("train", "val"):
        image(root / split / "a.jpg")
        annotation(root / split / "a.json", shape([[80, 70], [20, 30]]))
    return ["train", "val"]


@pytest.mark.parametrize("layout", [beside, own_folder, splits])
def test_layouts(layout, tmp_path):
    for split in layout(tmp_path):
        data = load_dataset(tmp_path, split)
        assert data.names == ["cat"] and data.problems == [] and [r.boxes.tolist() for r in data.records] == [[[20, 30, 80, 70]]]
    report = check_dataset(tmp_path, workers=0)
    assert report.errors == [] and report.formats == ["labelme"]
    assert split_names(tmp_path) == (["train", "val"] if layout is splits else ["test", "train", "val"])


@pytest.mark.parametrize("found, box", [
    (shape([[20, 30], [80, 70]]), [20, 30, 80, 70]), (shape([[80.5, 30], [20, 70.25]]), [20, 30, 80.5, 70.25]),
    (shape([[20, 50], [50, 30], [80, 50], [50, 70]], "polygon"), [20, 30, 80, 70]),
    (shape([[50, 50], [50, 70]], "circle"), [30, 30, 70, 70]), (shape([[50, 50], [62, 66]], "circle"), [30, 30, 70, 70]),
    (shape([[20, 30], [79, 69]], "mask", mask="iVBORw0KGgo="), [20, 30, 80, 70]), (shape(SQUARE, None), [20, 30, 80, 70]),
])  # fmt: skip
def test_shapes_become_their_boxes(found, box, tmp_path):
    assert one(tmp_path, found)[0].boxes.tolist() == [box]


def test_outlines_of_one_group_are_one_object(tmp_path):
    halves = [[[20, 30], [40, 30], [20, 70]], [[60, 30], [80, 70], [60, 70]]]
    shapes = [shape(half, "polygon", group_id=1) for half in halves]
    others = [
        shape(SQUARE, "polygon", "dog", group_id=1),
        shape([[1, 2], [3, 4]], group_id=1),
        shape([[5, 6], [7, 8]], group_id=1),
    ]
    data = one(tmp_path, *shapes, *others)
    assert data[0].boxes.tolist() == [[20, 30, 80, 70], [20, 30, 80, 70], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert [data.names[i] for i in data[0].class_ids] == ["cat", "dog", "cat", "cat"]


def test_what_has_no_box_is_left_out(tmp_path):
    data = one(tmp_path, shape(SQUARE, "polygon"), shape([[5, 6]], "point", "nose"), shape([[1, 2], [3, 4]], "line"))
    assert data.names == ["cat"] and len(data[0].boxes) == 1
    assert [p.message for p in data.problems] == [
        "shape 2 (nose) is a point, which has no box: left out", "shape 3 (cat) is a line, which has no box: left out",
    ]  # fmt: skip


def test_an_image_without_objects(tmp_path):
    beside(tmp_path)
    image(tmp_path / "b.jpg")
    annotation(tmp_path / "b.json")
    assert [len(r.boxes) for r in load_dataset(tmp_path, "all").records] == [1, 0]


@pytest.mark.parametrize("changes, message", [
    ({"shapes": [shape([[20, 30]])]}, r"shape 1 \(cat\) is a rectangle with the points a list of 1; expected pairs of numbers"),
    ({"shapes": [shape([[20, 30], [80]])]}, "expected pairs of numbers"), ({"shapes": [shape(None)]}, "with the points None"),
    ({"shapes": [shape([[20, 30], [80, "x"]])]}, "expected pairs of numbers"),
    ({"shapes": [shape(SQUARE[:2], "polygon")]}, "is a polygon with the points a list of 2"),
    ({"shapes": [shape(SQUARE, label="")]}, "shape 1 has the label ''; expected a text"),
    ({"shapes": [shape(SQUARE, label=None)]}, "shape 1 has the label None; expected a text"),
    ({"shapes": [shape([[20, 30], [80, 170]])]}, "is outside of the 128x100 image"),
    ({"shapes": [3]}, "not an annotation of LabelMe"),
    ({"shapes": {}}, 'a.json: not an annotation of LabelMe; expected a list of objects under "shapes"'),
    ({"imageWidth": 100, "imageHeight": 128}, "a.json: says 100x128, the image is 128x100"),
    ({"name": "../../b.jpg"}, "its image may be a.jpg or a.png"), ({"name": "a"}, "its image may be a.jpg or a.png"),
])  # fmt: skip
def test_wrong_annotations(changes, message, tmp_path):
    changes = {"shapes": [shape(SQUARE)], **changes}
    if "may be" in message:
        image(tmp_path / "a.png")
    with pytest.raises(DataError, match=message):
        one(tmp_path, **changes)


def test_what_is_no_json(tmp_path):
    beside(tmp_path)
    text(tmp_path / "b.json", '{"version": "5.4.1", "shapes": [')
    with pytest.raises(DataError, match="b.json: not JSON"):
        class_names(tmp_path)


@pytest.mark.parametrize("name, found", [
    ("b.jpg", "b.jpg"), ("C:\\photos\\b.jpg", "b.jpg"), ("../photos/b.jpg", "b.jpg"), ("", "a.jpg"), (None, "a.jpg"),
])  # fmt: skip
def test_the_image_that_it_names(name, found, tmp_path):
    image(tmp_path / found)
    annotation(tmp_path / "a.json", shape(SQUARE), imagePath=name)
    assert load_dataset(tmp_path, "all")[0].image == tmp_path / found


def test_labels(tmp_path):
    data = one(tmp_path, shape(SQUARE, label=NFD), shape(SQUARE, label=NFC), shape(SQUARE, label=7), shape(SQUARE, label=" x "))
    assert data.names == ["7", NFC, "x"] and data[0].class_ids.tolist() == [1, 1, 0, 2]
    data = one(tmp_path, shape(SQUARE, difficult=True), shape(SQUARE, difficult=False))
    assert data[0].difficult.tolist() == [True, False]
