"""What a training does where there are no images to evaluate on."""

import pytest

from ssdzoo.errors import DataError
from ssdzoo.train.settings import Arguments
from ssdzoo.train.training_data import load_training_data
from tests.data.formats.test_splits import photos
from tests.data.formats.voc_folder import write_voc, xml
from tests.train.jobs import Recorded

SAID = "no images to evaluate on (val_split=): the last epoch is kept as the best one"


def loaded(root, **arguments):
    progress = Recorded()
    arguments = Arguments.of({"model": "x", "data": root, "out": root / "run", **arguments})
    return load_training_data(arguments, ["cat"], progress), progress.lines


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_few_photos_are_trained_on_without_validation(count, tmp_path):
    data, lines = loaded(photos(tmp_path, count))
    assert len(data.train) == {1: 1, 2: 2, 5: 4, 7: 6}[count] and data.val is None
    assert "too few; add images, or divide them yourself" in lines[-2] and lines[-1] == SAID


def test_enough_photos_are_validated_on(tmp_path):
    data, lines = loaded(photos(tmp_path, 8))
    assert (len(data.train), len(data.val)) == (6, 1) and SAID not in lines


@pytest.mark.parametrize("val, reason", [
    ([], "val.txt: the split is empty"),
    (["none"], "split 'val': its only image has not a single object"),
])  # fmt: skip
def test_a_val_that_has_nothing_to_find(val, reason, tmp_path):
    box = xml([("cat", 11, 21, 61, 71)])
    root = write_voc(tmp_path / "d", {"a": box, "b": box, "none": xml([])}, {"train": ["a", "b"], "val": val, "test": []})
    data, lines = loaded(root)
    assert len(data.train) == 2 and data.val is None and reason in lines[-2] and lines[-1] == SAID
    with pytest.raises(DataError, match=reason):
        loaded(root, val_split="val")
    with pytest.raises(DataError, match="split 'none': its only image has not a single object"):
        (root / "ImageSets" / "Main" / "none.txt").write_text("none")
        loaded(root, split="none")


def test_a_split_that_is_asked_for_has_to_have_images(tmp_path):
    with pytest.raises(DataError, match="no images in split 'val'"):
        loaded(photos(tmp_path, 1), val_split="val")
    data, _ = loaded(tmp_path, val_split="none", split="all")
    assert len(data.train) == 1 and data.val is None
