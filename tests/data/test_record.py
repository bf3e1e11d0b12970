from pathlib import Path

import numpy as np
import pytest

from ssdzoo.data.images import FilePart
from ssdzoo.data.record import Dataset, Record, Records


def record(name, boxes, ids):
    flags = np.zeros(len(ids), bool)
    return Record(Path(name), np.float32(boxes).reshape(-1, 4), np.int32(ids), flags, ~flags, 60, 80)


RECORDS = [
    record("d/a.png", [[1, 2, 3, 4], [5, 6, 7, 8]], [0, 2]),
    record("d/b.png", [], []),
    record("d/c.png", [[9, 9, 10, 10]], [1]),
]


def same(one, other):
    names = "boxes", "class_ids", "difficult", "crowd"
    equal = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return equal and (one.image, one.height, one.width) == (other.image, other.height, other.width)


def test_records_are_used_like_a_list():
    records = Records.joined([Records.of(r) for r in RECORDS])
    assert len(records) == 3 and all(map(same, records, RECORDS)) and same(records[-1], RECORDS[2])
    assert same(records[np.int64(1)], RECORDS[1]) and records[1].boxes.shape == (0, 4) and records[1].boxes.dtype == np.float32
    assert isinstance(records[:2], list) and all(map(same, records[::-1], RECORDS[::-1])) and records[5:] == []
    assert all(map(same, records + records, RECORDS * 2)) and all(map(same, reversed(records), RECORDS[::-1]))
    assert all(map(same, records.part(1, 3), RECORDS[1:]))
    assert type(records[0].height) is int and type(records[0].image) is type(RECORDS[0].image)
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            records[wrong]
    data = Dataset(["ant"], records, [])
    assert len(data) == 3 and same(data[0], RECORDS[0]) and same(Dataset(["ant"], RECORDS, [])[0], RECORDS[0])


def test_no_records():
    records = Records.joined([])
    assert len(records) == 0 and list(records) == [] and records == [] and records.boxes.shape == (0, 4) and not records


def test_an_image_inside_of_a_file_stays_one():
    part = FilePart(Path("d/train.rec"), 8, 100)
    (found,) = Records.of(Record(part, RECORDS[0].boxes, RECORDS[0].class_ids, RECORDS[0].difficult, RECORDS[0].crowd, 60, 80))
    assert found.image is part
