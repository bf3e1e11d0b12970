"""What numbers of a data set decide for `auto`."""

from pathlib import Path

import numpy as np
import pytest

from ssdzoo.anchors.levels import Level
from ssdzoo.build import get_model
from ssdzoo.data import Dataset, Record
from ssdzoo.errors import DataError
from ssdzoo.nn.anchors import network_levels
from ssdzoo.train.auto_rules import (
    Look,
    choose_anchors,
    choose_batch_size,
    choose_flip,
    choose_input,
    choose_rate,
    fitting_model,
    grid_levels,
    look_at,
    model_name,
)
from ssdzoo.zoo import find_preset


def dataset(sides, ids=None, size=(300, 300)):
    """An image for each object, a square of that side in the middle."""
    ids = ids or [0] * len(sides)
    center, no = np.float32([size[1], size[0]] * 2) / 2, np.zeros(1, bool)
    boxes = [np.float32([[-s, -s, s, s]]) / 2 + center for s in sides]
    records = [Record(Path(f"{i}.jpg"), box, np.int32([c]), no, no, *size) for i, (box, c) in enumerate(zip(boxes, ids))]
    return Dataset(["cat", "dog"][: max(ids) + 1], records, [])


def look(side):
    return Look(20, 40, ("cat",), side)


def test_the_smaller_objects_are_measured_in_the_input():
    assert look_at(dataset([10.0] * 1 + [100.0] * 19)).side == pytest.approx(100)
    assert look_at(dataset([10.0] * 3 + [100.0] * 17)).side == pytest.approx(10)
    assert look_at(dataset([100.0], size=(600, 1200))).side == pytest.approx((25 * 50) ** 0.5)
    # A class counts as much as another, however many objects it has.
    assert look_at(dataset([10.0] + [100.0] * 99, [1] + [0] * 99)).side == pytest.approx(10)
    with pytest.raises(DataError, match="no objects in the 0 images"):
        look_at(Dataset(["cat"], [], []))


@pytest.mark.parametrize("side, size", [(5, 512), (13.9, 512), (14, 300), (200, 300)])
def test_the_input(side, size):
    choice = choose_input(look(side))
    assert choice.value == size and f"{side:.0f} pixels" in choice.reason
    assert find_preset(model_name("mobilenet0.25", size)).base_size == (size, size)


@pytest.mark.parametrize(
    "names, flip",
    [
        (["cat", "dog"], "horizontal"),
        (["RBC", "WBC", "Platelets"], "horizontal"),
        (["x"], "none"),
        (list("0123456789"), "none"),
        (["0", "1", "2"], "horizontal"),  # ids without names
        (["a", "b", "plate"], "none"),
        (["digit 1", "digit_2", "letter-q"], "none"),
        (["nine", "ten", "jack", "queen", "king", "ace"], "none"),
        (["king", "bishop", "rook", "pawn"], "horizontal"),
        (["10", "J", "Q", "K"], "none"),
        (["stop", "turn left", "turn-right"], "none"),
        (["left", "stop"], "horizontal"),
    ],
)
def test_what_must_not_be_mirrored(names, flip):
    assert choose_flip(names).value == flip


@pytest.mark.parametrize("name", [model_name("mobilenet0.25", 300), model_name("mobilenet1.0", 512)])
def test_the_levels_are_those_of_the_network(name):
    preset = find_preset(name)
    found, expected = grid_levels(preset), network_levels(get_model(preset.with_classes(["cat"])))
    assert [level.cells for level in found] == [level.cells for level in expected]
    for mine, theirs in zip(found, expected):
        np.testing.assert_allclose(mine.shapes, theirs.shapes, rtol=1e-6)
        np.testing.assert_allclose(mine.steps, theirs.steps, rtol=1e-6)
        assert isinstance(mine, Level) and mine.offsets == pytest.approx(theirs.offsets)


@pytest.mark.parametrize(
    "covered, value, reason",
    [
        (
            {"cat": 0.98, "dog": 0.9, "none": None},
            "fitted",
            "miss 10% of the objects of class dog, 6% on average over the classes",
        ),
        ({"cat": 0.99, "dog": 0.92}, "preset", "miss 8% of the objects of class dog, 4% on average over the classes"),
        ({"cat": 1.0, "dog": 0.997}, "preset", "miss less than 1% of the objects of class dog, less than 1% on average"),
        ({"cat": 1.0, "dog": 1.0}, "preset", "miss no object"),
        ({"cat": 0.94}, "fitted", "miss 6% of the objects of class cat (IoU below 0.5)"),
        ({"cat": 0.951}, "preset", "miss 5% of the objects of class cat (IoU below 0.5)"),
    ],
)
def test_anchors_are_fitted_where_many_objects_are_missed(covered, value, reason):
    table = {"classes": {name: {"0.5": share} for name, share in covered.items()}}
    choice = choose_anchors(table, find_preset("ssd_300_mobilenet0.25_s8_custom"))
    assert choice.value == value and reason in choice.reason


def test_the_preset_for_a_data_set():
    assert fitting_model(dataset([30.0] * 9)) == "ssd_300_mobilenet0.25_s8_custom"
    assert fitting_model(dataset([150.0] * 9)) == "ssd_300_mobilenet0.25_s8_custom"
    assert fitting_model(dataset([13.5] * 9)) == "ssd_512_mobilenet0.25_s8_custom"
    records = dataset([150.0] * 9).records
    for record in records:  # very wide
        record.boxes[:] = [[0, 140, 300, 160]]
    assert fitting_model(Dataset(["cat"], records, [])) is None


def test_the_batch_size():
    assert choose_batch_size(look(30), 100.0, None).value == 8
    assert choose_batch_size(look(30), 100.0, 900.0).value == 8
    small = choose_batch_size(look(30), 2**30, 3.5 * 2**30)
    assert small.value == 3 and "1024 MiB" in small.reason
    assert choose_batch_size(look(30), 100.0, 1.0).value == 1
    assert choose_batch_size(Look(5, 9, ("cat",), 30), 1.0, 1000.0).value == 5
    assert choose_rate(0.005, 8).value == 0.005 and choose_rate(0.005, 2).value == 0.00125
