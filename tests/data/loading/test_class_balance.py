"""Repeat-factor sampling: factors by numbers, epochs by counting."""

import numpy as np
import pytest

from ssdzoo.boxes import as_boxes
from ssdzoo.data.loading.class_balance import ClassBalance, Repeats
from ssdzoo.data.loading.loader import Loader
from ssdzoo.data.record import Dataset, Record
from ssdzoo.errors import CallError
from ssdzoo.report.pictures import save_image


def dataset(classes_of_images, names="abc", folder=None, crowds=()):
    """One object for each class of an image."""
    records = []
    for i, ids in enumerate(classes_of_images):
        crowd = np.array([(i, c) in crowds for c in ids], bool)
        boxes = as_boxes([[2, 2, 12, 12]] * len(ids))
        path = (folder / f"{i}.png") if folder else f"{i}.png"
        if folder:
            save_image(path, np.full((20, 20, 3), 10 * i % 250, np.uint8))
        records.append(Record(path, boxes, np.array(ids, np.int32), np.zeros(len(ids), bool), crowd, 20, 20))
    return Dataset(list(names), records, [])


# Class a in 16 of 16 images, b in 4, c in 1, which has b too.
SKEWED = [[0, 1, 2], [0, 1], [0, 1], [0, 1], *[[0]] * 12]


def test_factors_by_numbers():
    """f = 1, 1/4, 1/16, their mean 7/16: r = 1, sqrt(7/4), sqrt(7)."""
    repeats = ClassBalance.of("sqrt").repeats(dataset(SKEWED))
    assert repeats.threshold == 7 / 16 and repeats.parts.tolist() == [1, 1 / 4, 1 / 16]
    np.testing.assert_allclose(repeats.classes, [1, 7**0.5 / 2, 7**0.5])
    np.testing.assert_allclose(repeats.images, [7**0.5, *[7**0.5 / 2] * 3, *[1] * 12])
    assert len(repeats) == 2 + 3 + 12 + 1  # 0.65 + 3 * 0.32 after the points make one more
    told = repeats.story("abc")
    assert told.startswith("class balance, threshold 0.438: 18 images in an epoch in the place of 16; ")
    assert told.endswith("; c x2.65 (6.2% of the images), b x1.32 (25.0% of the images)")


def test_a_threshold_of_the_users():
    """As in LVIS: only classes in less than that part of the images are repeated."""
    repeats = ClassBalance.of("sqrt:0.25").repeats(dataset(SKEWED))
    assert repeats.images.tolist() == [2, *[1] * 15] and len(repeats) == 17
    assert len(ClassBalance.of("sqrt:0.001").repeats(dataset(SKEWED))) == 16


def test_a_balanced_set_stays_as_it_is():
    repeats = ClassBalance.of("sqrt").repeats(dataset([[0], [1], [2]] * 4))
    assert repeats.images.tolist() == [1] * 12 and sorted(repeats.order(0, 0)) == list(range(12))
    assert repeats.story("abc").endswith("12 images in an epoch in the place of 12; no class is rarer")


def test_crowds_and_missing_classes_do_not_count():
    repeats = ClassBalance.of("sqrt").repeats(dataset([[0, 1], [0], [0], [0]], crowds={(0, 1)}))
    assert repeats.parts.tolist() == [1, 0, 0] and repeats.images.tolist() == [1] * 4
    nothing = ClassBalance.of("sqrt").repeats(dataset([[], []]))
    assert nothing.images.tolist() == [1, 1] and len(nothing) == 2


@pytest.mark.parametrize("seed", range(4))
def test_an_epoch_grows_by_a_quarter_of_the_classes_of_an_image_at_most(seed):
    rng = np.random.default_rng(seed)
    present = rng.random((200, 12)) < rng.uniform(0.005, 0.5, 12) ** 2
    data = dataset([np.flatnonzero(row).tolist() for row in present], "abcdefghijkl")
    assert 200 <= len(ClassBalance.of("sqrt").repeats(data)) <= 200 * (1 + present.sum(axis=1).mean() / 4)


def test_each_image_is_shown_as_often_as_its_factor_says():
    rng = np.random.default_rng(0)
    images = 1 + rng.random(30) * 3
    repeats = Repeats(images, np.ones(1), np.ones(1), 1.0)
    counts = np.array([np.bincount(repeats.order(7, epoch) % 30, minlength=30) for epoch in range(600)])
    assert (counts.sum(axis=1) == len(repeats)).all() and len(repeats) == int(images.sum())
    assert (counts >= np.floor(images)).all() and (counts <= np.ceil(images)).all()
    np.testing.assert_allclose(counts.mean(axis=0), images, atol=0.1)
    assert (repeats.order(7, 3) == repeats.order(7, 3)).all()
    assert any((counts[0] != other).any() for other in counts[1:4])
    showings = repeats.order(7, 3)
    assert len(set(showings.tolist())) == len(showings)  # the second showing of an image has a number of its own
    assert all(s < 30 or s - 30 in showings for s in showings)


@pytest.mark.parametrize("text", ["", "log", "sqrt:", "sqrt:0", "sqrt:1.5", "sqrt:nan", "sqrt:x", "sqrt:-1"])
def test_what_is_no_class_balance(text):
    with pytest.raises(CallError, match=f"class_balance='{text}': expected sqrt, or sqrt:T"):
        ClassBalance.of(text)


def test_batches_of_a_balanced_loader(tmp_path):
    """Repeated images get views of their own, processes share the same order, and an epoch begins where it is told."""
    data = dataset(SKEWED, folder=tmp_path)
    repeats = ClassBalance.of("sqrt").repeats(data)
    loader = Loader(data, 4, (16, 16), "ssd", seed=1, repeats=repeats)
    batches = list(loader.epoch(0))
    indices = np.concatenate([b.indices for b in batches])
    assert len(batches) == len(loader) == 5 and len(indices) == 18 and indices.max() == 15
    views = np.concatenate([b.images for b in batches])[indices == 0]
    assert len(views) in (2, 3) and (views[0] != views[1]).any()
    later = list(loader.epoch(0, 3))
    assert (later[0].images == batches[3].images).all() and len(later) == 2
    parts = [list(Loader(data, 2, (16, 16), "ssd", seed=1, repeats=repeats, part=(rank, 2)).epoch(0)) for rank in (0, 1)]
    for whole, *shares in zip(batches, *parts, strict=True):
        assert (np.concatenate([s.images for s in shares]) == whole.images).all()
