"""What holds for all formats: equal records, joined data sets, splits."""

import numpy as np
import pytest

from ssdzoo.data import class_names, has_split, load_dataset, split_names
from ssdzoo.data.images import read_image
from ssdzoo.errors import CallError, DataError
from tests.data.formats import HEIGHT, NAMES, OBJECTS, WIDTH, WRITERS, write, write_images


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_records(kind, tmp_path):
    data = load_dataset(write(kind, tmp_path / "data"), "train")
    assert data.names == NAMES and data.problems == [] and len(data) == 4
    images = write_images(tmp_path / "again")
    for record, (name, rows) in zip(data.records, OBJECTS.items()):
        assert record.boxes.tolist() == [list(row[1:]) for row in rows]
        assert record.class_ids.tolist() == [row[0] for row in rows]
        assert (record.height, record.width) == (HEIGHT, WIDTH)
        assert not record.difficult.any() and not record.crowd.any()
        np.testing.assert_array_equal(read_image(record.image), read_image(images / f"{name}.png"))
