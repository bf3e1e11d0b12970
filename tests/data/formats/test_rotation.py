"""The upright boxes around rotated ones."""

import json

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.formats.rotation import around_rotated, rotation_of
from tests.data.formats.voc_folder import write_voc, xml
from tests.data.formats.written import coco_table, write_coco


@pytest.mark.parametrize(
    "degrees, around",
    [(0, (40, 40, 80, 60)), (90, (50, 30, 70, 70)), (180, (40, 40, 80, 60)), (-270, (50, 30, 70, 70)), (450, (50, 30, 70, 70))],
)
def test_quarters_of_a_turn_are_exact(degrees, around):
    assert around_rotated((40, 40, 80, 60), degrees) == around


def test_the_same_as_rotated_corners():
    """A unit vector in the place of sine and cosine: 3-4-5."""
    degrees = np.rad2deg(np.arctan2(3, 4))
    assert np.allclose(around_rotated((0, 0, 10, 5), degrees), (-0.5, -2.5, 10.5, 7.5), atol=1e-9)
    assert np.allclose(around_rotated((0, 0, 10, 5), degrees, by_corner=True), (-3, 0, 8, 10), atol=1e-9)
    assert around_rotated((10, 10, 30, 20), 90, by_corner=True) == (0, 10, 10, 30)  # clockwise, as y goes down


@pytest.mark.parametrize("degrees", [float("inf"), float("nan")])
def test_a_rotation_that_is_no_number(degrees):
    assert np.isnan(around_rotated((0, 0, 10, 5), degrees, (64, 128))).all()


def test_corners_that_leave_the_image_are_clipped():
    assert around_rotated((0, 40, 80, 60), 90, (64, 128)) == (30, 10, 50, 64)
    assert around_rotated((0, 40, 80, 60), 90, (0, 0)) == (30, 10, 50, 90)


@pytest.mark.parametrize("attributes, degrees", [
    ({"rotation": "30.5"}, 30.5), ({"rotation": 0.0}, 0), ({"occluded": False}, 0), ({"rotation": "left"}, 0),
    ({"rotation": float("inf")}, 0), ({"rotation": True}, 0), (None, 0), ([], 0),
])  # fmt: skip
def test_the_attribute_of_cvat(attributes, degrees):
    assert rotation_of(attributes) == degrees


@pytest.mark.parametrize("quoted", [False, True])
def test_rotated_boxes_of_coco(quoted, tmp_path):
    """A text in place of a number makes the other parser read."""
    table = coco_table()
    table["annotations"][0]["attributes"] = {"occluded": False, "rotation": "90" if quoted else 90.0}
    table["annotations"][1]["attributes"] = {"occluded": False, "rotation": 0.0}
    records = load_dataset(write_coco(tmp_path / "d", table=table), "train").records
    assert records[0].boxes.tolist() == [[8, 16, 40, 48], [64, 0, 128, 64]]  # a square
    table["annotations"][2]["attributes"] = {"rotation": 270.0}
    (tmp_path / "d" / "annotations" / "instances_train2017.json").write_text(json.dumps(table))
    assert load_dataset(tmp_path / "d", "train")[1].boxes.tolist() == [[12, 0, 20, 20]]  # 32x8 at the upper edge


def test_rotated_boxes_of_voc(tmp_path):
    def rotated(degrees):
        attributes = f"<attributes><attribute><name>rotation</name><value>{degrees}</value></attribute></attributes>"
        box = "<bndbox><xmin>41</xmin><ymin>41</ymin><xmax>81</xmax><ymax>61</ymax></bndbox>"
        return f"<object><name>cat</name>{box}{attributes}</object>"

    write_voc(tmp_path / "d", {"a": xml([], extra=rotated("90.0") + rotated("0.0"))}, {"train": ["a"]})
    assert load_dataset(tmp_path / "d", "train")[0].boxes.tolist() == [[50, 30, 70, 70], [40, 40, 80, 60]]
