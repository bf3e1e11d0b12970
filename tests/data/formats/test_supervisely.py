"""Supervisely's format, in which its datasets and those of Dataset Ninja come."""

import base64
import json
import zlib

import cv2
import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, HEIGHT, WIDTH, check_export, write_files

META = json.dumps({"classes": [{"title": "dog", "shape": "rectangle", "color": "#FF0000"}], "tags": []})
DOG = {"exterior": [[20, 30], [80, 70]], "interior": []}


def figure(kind="rectangle", name="dog", **fields):
    return {"id": 1, "classId": 1, "geometryType": kind, "tags": [], "classTitle": name, **(fields or {"points": DOG})}


def annotation(*objects):
    return json.dumps({"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": list(objects)})


def bitmap(width, height, left, top):
    png = cv2.imencode(".png", np.full((height, width), 255, np.uint8))[1].tobytes()
    return {"data": base64.b64encode(zlib.compress(png)).decode(), "origin": [left, top]}


def read(root, *objects):
    write_files(root, {"ds/img/a.jpg": 1, "ds/ann/a.jpg.json": annotation(*objects), "meta.json": META})
    return load_dataset(root, "all")


def test_a_project_of_one_dataset(tmp_path):
    labels = {"ds/ann/a b.jpg.json": annotation(figure()), "ds/ann/b.png.json": annotation()}
    write_files(tmp_path, {"meta.json": META, "ds/img/a b.jpg": 1, "ds/img/b.png": 2, **labels})
    for path in (tmp_path, tmp_path / "ds"):
        check_export(path, {"all": {"a b.jpg": "dog", "b.png": None}})


def test_datasets_that_are_splits(tmp_path):
    for seed, split in enumerate(("train", "val")):
        write_files(tmp_path, {f"{split}/img/{seed}.jpg": seed, f"{split}/ann/{seed}.jpg.json": annotation(figure())})
    check_export(write_files(tmp_path, {"meta.json": META}), {"train": {"0.jpg": "dog"}, "val": {"1.jpg": "dog"}})


@pytest.mark.parametrize("found, box", [
    (figure("polygon", points={"exterior": [[10, 20], [50, 22], [30, 60]], "interior": []}), [10, 20, 50, 60]),
    (figure("bitmap", bitmap=bitmap(30, 20, 5, 6)), [5, 6, 35, 26]),
])  # fmt: skip
def test_shapes_become_their_boxes(found, box, tmp_path):
    assert read(tmp_path, figure(), found)[0].boxes.tolist() == [BOX, box]


def test_what_has_no_box(tmp_path):
    data = read(tmp_path, figure(), figure("point"))
    assert data[0].boxes.tolist() == [BOX]
    assert data.problems[0].message == "object 2 ('dog') is a point, which has no box: left out"


@pytest.mark.parametrize("found, message", [
    (figure(name=None), "a.jpg.json: object 1 has the class None; expected a text"),
    (figure(points={"exterior": [[1, 2], 3]}), "object 1 .dog. has no box of four numbers"),
    (figure("bitmap", bitmap={"data": "eJwDAA==", "origin": [1, 2]}), "object 1 .dog. has no box of four numbers"),
    (figure("bitmap", bitmap={"data": "x", "origin": [1]}), "object 1 .dog. has no box of four numbers"),
    (figure(points={"exterior": [[0, 0], [200, 20]]}), "object 1 .dog.: box .* is outside of the 100x80 image"),
])  # fmt: skip
def test_wrong_files(found, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path, found)
