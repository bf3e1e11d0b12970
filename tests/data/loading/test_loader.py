import errno
import multiprocessing
import os
import signal
import sys

import cv2
import numpy as np
import pytest

import ssdzoo.data.loading.preparation as module
from ssdzoo.data import load_dataset
from ssdzoo.data.images import read_image
from ssdzoo.data.loading.batch import collate
from ssdzoo.data.loading.loader import Loader
from ssdzoo.data.record import Dataset
from ssdzoo.errors import CallError, DataError, SSDZooError
from tests.data.formats.voc_folder import write_voc, xml


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


def test_without_semaphores_this_process_prepares_the_batches(data, monkeypatch, caplog):
    """As in containers without /dev/shm."""

    def refuse(*_):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("ssdzoo.data.worker_pool.ProcessPoolExecutor", refuse)
    alone = Loader(data, 3, (64, 48), augmentation="ssd", seed=4)
    with Loader(data, 3, (64, 48), augmentation="ssd", seed=4, workers=2) as loader:
        for epoch in (0, 1):
            assert all(same(a, b) for a, b in zip(alone.epoch(epoch), loader.epoch(epoch), strict=True))
    assert [record.getMessage() for record in caplog.records] == [
        "no worker processes (No such file or directory; they need /dev/shm), so that this process works alone"
    ]


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


def test_an_epoch_begins_where_it_is_told(data):
    whole = list(Loader(data, 2, (64, 48), "ssd", seed=4).epoch(3))
    with Loader(data, 2, (64, 48), "ssd", seed=4, workers=1) as loader:
        assert all(same(a, b) for a, b in zip(whole[2:], loader.epoch(3, 2), strict=True))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_each_batch(data, processes):
    size = 4 // processes
    together = list(Loader(data, size * processes, (64, 48), "ssd", seed=4).epoch(1))
    loaders = [Loader(data, size, (64, 48), "ssd", seed=4, part=(r, processes)) for r in range(processes)]
    parts = list(zip(*(loader.epoch(1) for loader in loaders), strict=True))
    assert [len(loader) for loader in loaders] == [len(parts)] * processes
    for whole, shares in zip(together, parts):
        assert np.concatenate([s.indices for s in shares]).tolist() == whole.indices.tolist()
        np.testing.assert_array_equal(np.concatenate([s.images for s in shares]), whole.images)
    # 7 images: in the batch that is left over, two processes get 2 and 1; of three, none gets the only one.
    assert [len(s.indices) for s in parts[-1]] == ([2, 1] if processes == 2 else [1, 1, 1])


def test_without_shared_memory_the_batches_are_the_same(data, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with Loader(data, 3, (64, 48), "ssd", seed=4, workers=1) as loader:
        batches = list(loader.epoch(0))
        assert loader._memory.handle is None and not loader._memory.free
    assert all(same(a, b) for a, b in zip(Loader(data, 3, (64, 48), "ssd", seed=4).epoch(0), batches, strict=True))


def test_batches_outlive_their_slots(data):
    with Loader(data, 1, (64, 48), "ssd", seed=4, workers=1) as loader:
        batches = list(loader.epoch(0))
        assert len(batches) > len(loader._memory.free)
    assert all(same(a, b) for a, b in zip(Loader(data, 1, (64, 48), "ssd", seed=4).epoch(0), batches, strict=True))


def test_an_epoch_left_early_spoils_no_later_one(data):
    with Loader(data, 1, (64, 48), "ssd", seed=4, workers=2) as loader:
        for _ in range(3):
            batches = loader.epoch(1)
            next(batches)
            batches.close()
        got = list(loader.epoch(0))
    assert all(same(a, b) for a, b in zip(Loader(data, 1, (64, 48), "ssd", seed=4).epoch(0), got, strict=True))


@pytest.fixture
def large_photo(tmp_path):
    root = write_voc(tmp_path / "large", {"a": xml([("cat", 101, 201, 501, 601)], (1600, 1200))}, {"train": ["a"]}, (1600, 1200))
    y, x = np.mgrid[:1200, :1600]
    cv2.imwrite(str(root / "JPEGImages" / "a.jpg"), np.stack([x / 8, y / 8, 0 * x], -1).astype(np.uint8))
    return load_dataset(root, "train")


def test_large_photos_are_decoded_at_a_smaller_scale(large_photo, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "read_image", lambda path, r=1: asked.append(r) or read_image(path, r))
    loader = Loader(large_photo, 1, (100, 100), "none")
    batch = next(loader.epoch(0))
    assert asked == [8]
    np.testing.assert_allclose(batch.boxes, [[[6.25, 200 / 12, 31.25, 50]]], rtol=1e-5)
    monkeypatch.setattr(module, "read_image", lambda path, r=1: read_image(path))
    exact = next(loader.epoch(0)).images.astype(int)
    assert np.abs(batch.images - exact).mean() < 3 and exact.std() > 40


def test_the_cache_keeps_a_smaller_copy(large_photo, tmp_path):
    with Loader(large_photo, 1, (100, 100), "none", cache=tmp_path / "cache", workers=1) as loader:
        first = next(loader.epoch(0))
        copies = list((tmp_path / "cache").iterdir())
        assert [cv2.imread(str(p)).shape for p in copies] == [(200, 267, 3)]
        assert same(first, next(loader.epoch(0))) and list((tmp_path / "cache").iterdir()) == copies
    plain = next(Loader(large_photo, 1, (100, 100), "none").epoch(0))
    np.testing.assert_array_equal(first.boxes, plain.boxes)
    assert np.abs(first.images.astype(int) - plain.images).mean() < 3
    os.utime(large_photo[0].image, (1, 1))  # another time: another photo
    next(Loader(large_photo, 1, (100, 100), "none", cache=tmp_path / "cache").epoch(0))
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_cache_leaves_small_images_alone(data, tmp_path):
    assert same(
        next(Loader(data, 2, (64, 48), "ssd", cache=tmp_path / "cache").epoch(0)), next(Loader(data, 2, (64, 48), "ssd").epoch(0))
    )
    assert not (tmp_path / "cache").exists()
