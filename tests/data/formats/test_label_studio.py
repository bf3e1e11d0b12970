"""Label Studio's JSON, JSON-MIN and CSV. Its exports have no images: they are those that were uploaded, or the user's own."""

import csv
import io
import json

import pytest

from ssdzoo.data import load_dataset
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, HEIGHT, WIDTH, check_export, write_files

NAME = "0a1b2c3d-a.jpg"
VALUE = {"x": 20, "y": 37.5, "width": 60, "height": 50, "rotation": 0}  # percent
SIZE = {"original_width": WIDTH, "original_height": HEIGHT}


def region(value=VALUE, kind="rectanglelabels", label="dog"):
    return {**SIZE, "image_rotation": 0, "value": {**value, kind: [label]}, "id": "Dx", "from_name": "label", "to_name": "image",
            "type": kind, "origin": "manual"}  # fmt: skip


def annotation(*regions, **fields):
    return {"id": 1, "completed_by": 1, "result": list(regions), "was_cancelled": False, "updated_at": "2024-05-01", **fields}


def task(*annotations, image=f"/data/upload/1/{NAME}", key="image", **fields):
    return {"id": 7, "annotations": list(annotations), "file_upload": NAME, "predictions": [], "data": {key: image}, **fields}


def read(root, *tasks, images=(f"images/{NAME}",)):
    write_files(root, {"project-1.json": json.dumps(tasks), **{name: seed for seed, name in enumerate(images)}})
    return load_dataset(root, "all")


@pytest.mark.parametrize("place", [NAME, f"images/{NAME}", "images/a.jpg", f"data/upload/1/{NAME}"])
def test_json(place, tmp_path):
    read(tmp_path, task(annotation(region())), images=[place])
    for path in (tmp_path, tmp_path / "project-1.json"):
        check_export(path, {"all": {place.rpartition("/")[2]: "dog"}})


@pytest.mark.parametrize("address", [
    "a b.jpg", "s3://cells/train/a b.jpg", "gs://cells/a%20b.jpg", "/data/local-files/?d=cells/images/a%20b.jpg",
    "https://x.blob.core.windows.net/cells/a%20b.jpg?sv=2024&sig=a%2Fb%3D", "C:\\photos\\a b.jpg",
])  # fmt: skip
def test_addresses_of_images(address, tmp_path):
    data = read(tmp_path, task(annotation(region()), image=address, key="photo"), images=["images/a b.jpg"])
    assert data[0].image == tmp_path / "images" / "a b.jpg" and data[0].boxes.tolist() == [BOX] and data.problems == []


def test_the_user_s_own_images_have_names_that_an_upload_changes(tmp_path):
    """Spaces become _, and brackets are left out. Two images that would get one name are not guessed."""
    stored = "/data/upload/1/0a1b2c3d-IMG_1_é.jpg"
    data = read(tmp_path / "one", task(annotation(region()), image=stored), images=["images/IMG (1) é.jpg"])
    assert data[0].image.name == "IMG (1) é.jpg" and data[0].boxes.tolist() == [BOX] and data.problems == []
    with pytest.raises(DataError, match="0a1b2c3d-IMG_1_é.jpg' leads out of .*no image of its name is there"):
        read(tmp_path / "two", task(annotation(region()), image=stored), images=["images/IMG (1) é.jpg", "images/IMG 1 é.jpg"])


def test_json_min_and_csv(tmp_path):
    rows = [
        {"image": f"/data/upload/1/{NAME}", "id": 1, "label": [{**VALUE, "rectanglelabels": ["dog"], **SIZE}], "annotator": 1,
         "annotation_id": 1, "created_at": "2024", "updated_at": "2024", "lead_time": 3.0},
        {"image": "/data/upload/1/0a1b2c3d-b.jpg", "id": 2, "annotator": 1, "annotation_id": 2, "created_at": "2024",
         "updated_at": "2024", "lead_time": 3.0},
    ]  # fmt: skip
    images = {f"images/{NAME}": 1, "images/0a1b2c3d-b.jpg": 2}
    write_files(tmp_path / "min", {"project-1.json": json.dumps(rows, indent=2), **images})
    table = io.StringIO()
    writer = csv.DictWriter(table, ["image", "id", "label", *list(rows[1])[2:]], restval="")
    writer.writeheader()
    writer.writerows([{**row, **({"label": json.dumps(row["label"])} if "label" in row else {})} for row in rows])
    write_files(tmp_path / "csv", {"project-1.csv": table.getvalue(), **images})
    for kind in ("min", "csv"):
        check_export(tmp_path / kind, {"all": {NAME: "dog", "0a1b2c3d-b.jpg": None}})


@pytest.mark.parametrize("value, kind, box", [
    ({**VALUE, "rotation": 90}, "rectanglelabels", [0, 30, 20, 80]),  # around the upper left corner, and clipped
    ({"points": [[20, 25], [50, 25], [35, 75]], "closed": True}, "polygonlabels", [20, 20, 50, 60]),
    ({"x": 50, "y": 50, "radiusX": 20, "radiusY": 12.5, "rotation": 0}, "ellipselabels", [30, 30, 70, 50]),
    ({"x": 50, "y": 50, "radiusX": 20, "radiusY": 12.5, "rotation": 90}, "ellipselabels", [40, 20, 60, 60]),
    (VALUE, "labels", BOX),
])  # fmt: skip
def test_shapes_become_their_boxes(value, kind, box, tmp_path):
    data = read(tmp_path, task(annotation(region(value, kind))))
    assert data[0].boxes.round(4).tolist() == [box] and data.problems == []


def test_what_has_no_box(tmp_path):
    mask = region({"format": "rle", "rle": [0, 1]}, "brushlabels")
    point = region({"x": 5, "y": 5, "width": 1}, "keypointlabels")
    of_image = {"value": {"choices": ["sharp"]}, "type": "choices"}
    unlabeled = {**SIZE, "id": "Dx", "value": VALUE, "type": "rectangle"}  # its labels are a region of the same id
    data = read(tmp_path, task(annotation(mask, point, of_image, unlabeled, region(VALUE, "labels"))))
    assert data[0].boxes.tolist() == [BOX]
    assert [p.message for p in data.problems] == [
        f"region 1 of {NAME} is a brushlabels, which has no box: left out",
        f"region 2 of {NAME} is a keypointlabels, which has no box: left out",
    ]


def test_an_image_that_nobody_labeled_is_no_negative(tmp_path):
    tasks = [task(annotation(region())), task(annotation(region(), was_cancelled=True), id=8), task(id=9)]
    data = read(tmp_path, *tasks)
    assert len(data) == 1
    assert [p.message for p in data.problems] == [f"task {i} has no annotation: left out" for i in (8, 9)]
    with pytest.raises(DataError, match="project-1.json: task 9 has no annotation: left out"):
        read(tmp_path, task(id=9))


def test_several_annotations_of_a_task(tmp_path):
    old, new = (annotation(region(label=label), updated_at=at) for label, at in (("cat", "2024-05-01"), ("dog", "2024-05-02")))
    data = read(tmp_path, task(new, old))
    assert (
        data.names == ["dog"] and "has 2 annotations: the ground truth, or else the newest, is taken" in data.problems[0].message
    )
    assert read(tmp_path, task(new, {**old, "ground_truth": True})).names == ["cat"]


def test_json_min_has_a_row_for_each_annotation(tmp_path):
    row = {"image": NAME, "id": 7, "annotator": 1, "annotation_id": 1}
    rows = [{**row, "updated_at": at, "label": [{**VALUE, "rectanglelabels": [label], **SIZE}]} for at, label in
            (("2024-05-02", "dog"), ("2024-05-01", "cat"))]  # fmt: skip
    data = read(tmp_path, *rows)
    assert data.names == ["dog"] and len(data) == 1 and "task 7 has 2 annotations" in data.problems[0].message


def test_a_region_without_a_label(tmp_path):
    data = read(tmp_path, task(annotation(region(), {**SIZE, "id": "Ey", "value": VALUE, "type": "rectangle"})))
    assert data[0].boxes.tolist() == [BOX]
    assert [p.message for p in data.problems] == [f"region 2 of {NAME} has no label: left out"]


@pytest.mark.parametrize("tasks, message", [
    ([task(annotation(region()), image="x.jpg")], "task 7: .*x.jpg: no such image"),
    ([task(annotation(region({**VALUE, "x": "left"})))], f"region 1 of {NAME} .dog. has no box of four numbers"),
    ([task(annotation(region(label=None)))], f"region 1 of {NAME} has the class None; expected a text"),
    ([task(annotation({**region(), "original_width": 90}))], "says 90x80, the image of .* is 100x80"),
    ([{"annotations": [{"result": []}], "data": {}}], "task 1: '' names no image"),
])  # fmt: skip
def test_wrong_files(tasks, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path, *tasks)
