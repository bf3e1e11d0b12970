"""Which images are held out where there are none to evaluate on."""

from pathlib import Path

import numpy as np
import pytest

from ssdzoo.data import Dataset, Record
from ssdzoo.data.held_out import hold_out


def record(image, ids):
    nothing = np.zeros(len(ids), bool)
    return Record(image, np.float32([[1, 2, 30, 40]] * len(ids)).reshape(-1, 4), np.int32(ids), nothing, nothing, 60, 80)


def named(names, classes=lambda i: [0], folder="photos"):
    return Dataset(["cat", "dog"], [record(Path(folder, name), classes(i)) for i, name in enumerate(names)], [])


def names_of(dataset):
    return [Path(r.image).name for r in dataset.records]


@pytest.mark.parametrize("count, held", [(1, 0), (7, 0), (8, 1), (20, 3), (100, 15), (205, 31)])
def test_fifteen_percent_are_held_out(count, held):
    names = [f"{i:03d}.jpg" for i in range(count)]
    train, val = hold_out(named(names))
    assert len(train) == count - held and (len(val) if val else 0) == held
    assert sorted(names_of(train) + (names_of(val) if val else [])) == names
    assert names_of(train) == sorted(names_of(train))


def test_the_same_images_for_the_same_names():
    names = [f"{i:03d}.jpg" for i in range(20)]
    first = set(names_of(hold_out(named(names))[1]))
    assert first == {"000.jpg", "003.jpg", "009.jpg"}
    assert set(names_of(hold_out(named(names[::-1], folder="elsewhere/x"))[1])) == first
    more = set(names_of(hold_out(named(names + [f"{i:03d}.jpg" for i in range(20, 40)]))[1]))
    assert len(more) == 6 and len(first & more) >= 2  # most stay where they were


def test_the_last_object_of_a_class_stays_in_the_training():
    held = names_of(hold_out(named([f"{i:03d}.jpg" for i in range(20)]))[1])
    rare = int(held[0][:3])
    train, val = hold_out(named([f"{i:03d}.jpg" for i in range(20)], lambda i: [0, 1] if i == rare else [0]))
    assert len(val) == 3 and held[0] in names_of(train)
    assert {int(c) for r in val.records for c in r.class_ids} == {0}


def test_nothing_is_held_out_where_no_object_can_be_spared():
    train, val = hold_out(named([f"{i:03d}.jpg" for i in range(20)], lambda i: [0] if i == 3 else []))
    assert val is None and len(train) == 20
    assert np.concatenate([r.class_ids for r in train.records]).tolist() == [0]
