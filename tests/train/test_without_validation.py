"""What a training does where there are no images to evaluate on."""

import pytest

from ssdzoo.errors import DataError
from ssdzoo.train.fine_tune import _load_data
from ssdzoo.train.settings import Arguments
from tests.data.formats.test_splits import photos
from tests.train.jobs import Recorded

SAID = "no images to evaluate on (val_split=): the last epoch is kept as the best one"


def loaded(root, **arguments):
    progress = Recorded()
    arguments = Arguments.of({"model": "x", "data": root, "out": root / "run", **arguments})
    return _load_data(arguments, ["cat"], progress), progress.lines


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_few_photos_are_trained_on_without_validation(count, tmp_path):
    data, lines = loaded(photos(tmp_path, count))
    assert len(data.train) == {1: 1, 2: 2, 5: 4, 7: 6}[count] and data.val is None
    assert "which are too few" in lines[-2] and lines[-1] == SAID


def test_enough_photos_are_validated_on(tmp_path):
    data, lines = loaded(photos(tmp_path, 8))
    assert (len(data.train), len(data.val)) == (6, 1) and SAID not in lines


def test_a_split_that_is_asked_for_has_to_have_images(tmp_path):
    with pytest.raises(DataError, match="no images in split 'val'"):
        loaded(photos(tmp_path, 1), val_split="val")
    data, _ = loaded(tmp_path, val_split="none", split="all")
    assert len(data.train) == 1 and data.val is None
