import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.loader import Loader, collate
from ssdzoo.data.record import Dataset
from ssdzoo.errors import CallError, DataError, SSDZooError
from tests.data.voc_folder import write_voc, xml


@pytest.fixture
def data(tmp_path):
    texts = {f"i{n}": xml([("cat", 10, 10, 40 + n, 50), ("dog", 50, 20, 90, 60)][: n % 3]) for n in range(7)}
    return load_dataset(write_voc(tmp_path / "data", texts, {"train": list(texts)}), "train")


def same(a, b):
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("images", "boxes", "class_ids", "indices"))


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_for_any_number_of_workers(data, workers):
    alone = Loader(data, 3, (64, 48), augmentation="ssd", seed=4)
    with Loader(data, 3, (64, 48), augmentation="ssd", seed=4, workers=workers) as loader:
        assert len(loader) == 3
        for epoch in (2, 0):  # in any order, as after a resume
            assert all(same(a, b) for a, b in zip(alone.epoch(epoch), loader.epoch(epoch), strict=True))


def test_epochs_and_seeds_differ(data):
    order = [[*np.concatenate([b.indices for b in Loader(data, 3, (64, 48), "ssd", seed).epoch(epoch)])]
             for seed, epoch in ((0, 0), (0, 1), (1, 0))]  # fmt: skip
    assert all(sorted(o) == list(range(7)) for o in order)
    assert order[0] != order[1] != order[2] != order[0]


def test_without_training_images_come_in_order_and_whole(data):
    batches = list(Loader(data, 4, (160, 200), augmentation=None).epoch(0))
    assert [b.indices.tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6]]
    assert batches[0].images.shape == (4, 160, 200, 3) and batches[0].images.dtype == np.uint8
    assert batches[0].boxes[2].tolist() == [[18, 18, 82, 98], [98, 38, 178, 118]]  # twice as large
    assert batches[0].class_ids[:, 0].tolist() == [-1, 0, 0, -1] and batches[0].boxes[0].tolist() == [[-1] * 4] * 2


def test_without_training_tiny_objects_stay(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([("cat", 11, 11, 13, 13)])}, {"test": ["a"]})
    batch = next(Loader(load_dataset(root, "test"), 1, (20, 25), augmentation=None).epoch(0))
    np.testing.assert_allclose(batch.boxes, [[[2.5, 2.5, 3, 3]]])


@pytest.mark.parametrize("images, batch_size, workers", [(0, 2, 0), (1, 0, 0), (1, 2, -1)])
def test_what_cannot_be_loaded(data, images, batch_size, workers):
    part = Dataset(data.names, data.records[:images], [])
    with pytest.raises(CallError, match=f"cannot load {images} images in batches of {batch_size} with {workers} workers"):
        Loader(part, batch_size, (64, 48), augmentation=None, workers=workers)


def test_collate_pads_to_one_object_at_least():
    image = np.zeros((2, 2, 3), np.uint8)
    batch = collate([(image, np.zeros((0, 4), np.float32), np.zeros(0))], [5])
    assert batch.boxes.tolist() == [[[-1] * 4]] and batch.class_ids.tolist() == [[-1]] and batch.indices.tolist() == [5]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_named(data, workers):
    path = data[5].image
    path.write_bytes(path.read_bytes()[:200])
    with (
        Loader(data, 2, (64, 48), augmentation="ssd", workers=workers) as loader,
        pytest.raises(DataError, match=f"{path}: truncated"),
    ):
        list(loader.epoch(0))


def test_a_killed_worker_is_an_error_and_no_hang(data):
    with Loader(data, 1, (64, 48), augmentation="ssd", workers=1) as loader:
        batches = loader.epoch(0)
        next(batches)
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(SSDZooError, match="a loader process was killed"):
            list(batches)
        assert len(list(loader.epoch(0))) == 7


def test_closing_ends_the_workers(data):
    loader = Loader(data, 1, (64, 48), augmentation="ssd", workers=2)
    batches = loader.epoch(0)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    loader.close()
    assert multiprocessing.active_children() == []


def test_workers_do_not_load_mxnet():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_mxnet_is_loaded) is False


def _mxnet_is_loaded():
    return "mxnet" in sys.modules
