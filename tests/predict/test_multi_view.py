"""A detector of several views from end to end, with a backend that sees rectangles of pure colors."""

from itertools import product

import cv2
import numpy as np
import pytest

from ssdzoo.errors import CallError, DataError, ExportError
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.multi_view import MultiViewDetector, views_of, with_views
from ssdzoo.predict.views import Views
from ssdzoo.preset import Preset
from tests.networks import small_network

COLORS = [(255, 0, 0), (0, 255, 0)]
PRESET = Preset("fake", "none", (64, 64), (), (), classes=("red", "green"), mean=(0, 0, 0), std=(1, 1, 1), post_nms=20)


class Colors:
    """Finds the rectangles of each color that are at least 4 pixels of its input wide and high: what is smaller it can't see."""

    runtime, in_flight, file = "colors", 1, None

    def __init__(self, only=None):
        self.batches, self._only = [], only

    def __call__(self, batch):
        self.batches.append(batch.shape)
        if self._only and batch.shape[2:] != self._only:
            raise ExportError("another size")
        rows = np.full((len(batch), 20, 6), -1, np.float32)
        for image, found in zip(batch, rows):
            objects = [(k, *box) for k, color in enumerate(COLORS) for box in self._boxes(image, np.float32(color) / 255)]
            for i, (k, *box) in enumerate(objects):
                found[i] = [k, 0.9 - 0.01 * i, *box]
        return rows[..., :1], rows[..., 1:2], rows[..., 2:]

    @staticmethod
    def _boxes(image, color):
        mask = (np.abs(image - color[:, None, None]) < 0.3).all(axis=0).astype(np.uint8)
        for x, y, width, height, _ in cv2.connectedComponentsWithStats(mask, connectivity=4)[2][1:]:
            if min(width, height) >= 4:
                yield x, y, x + width, y + height


def scene(rng, side=24, shape=(256, 256)):
    """An image with a rectangle in each of 16 fields, never closer than 8 pixels to another, and their boxes and classes."""
    image, boxes, ids = np.full((*shape, 3), 128, np.uint8), [], []
    for i, j in product(range(4), range(4)):
        height, width = rng.integers(side // 2, side, 2)
        y, x = rng.integers(0, (56 - height, 56 - width)) + (64 * i, 64 * j)
        ids.append(int(rng.integers(2)))
        image[y : y + height, x : x + width] = COLORS[ids[-1]]
        boxes.append([x, y, x + width, y + height])
    return image, np.float32(boxes), ids


def assert_found(found, boxes, ids, tolerance):
    """Each object once, and nothing else."""
    assert len(found) == len(boxes)
    for box, k in zip(boxes, ids):
        error = np.abs(found.boxes - box).max(axis=1)
        assert error.min() <= tolerance and found.class_ids[error.argmin()] == k


@pytest.mark.parametrize("views", [
    Views(tiles=(2, 2)), Views(tiles=(3, 4)), Views(tile_size=128, overlap=0.4), Views(tile_size=(100, 90)),
    Views(tiles=(2, 2), flip=True), Views(tiles=(2, 2), whole=False), Views(scales=(1, 2)), Views(flip=True, scales=(2, 3)),
])  # fmt: skip
@pytest.mark.parametrize("batch_size", [1, 3])
def test_each_object_is_found_once(views, batch_size):
    """Also those that a border of a tile cuts: of 16 objects at random places many are."""
    rng, detector = np.random.default_rng(0), MultiViewDetector(Detector(Colors(), PRESET, batch_size), views)
    scenes = [scene(rng) for _ in range(4)]
    results = list(detector.stream((image for image, _, _ in scenes), 0.5))
    assert [image is given for (image, _), (given, _, _) in zip(results, scenes)] == [True] * 4
    for (_, found), (_, boxes, ids) in zip(results, scenes):
        assert_found(found, boxes, ids, tolerance=4)  # the whole image has 4 pixels in one of the network
        assert found.names == ("red", "green") and (np.diff(found.scores) <= 0).all()


def test_tiles_find_what_is_too_small_for_the_whole_image():
    rng, whole = np.random.default_rng(1), Detector(Colors(), PRESET)
    tiled = with_views(whole, Views(tiles=(4, 4), overlap=0.3))
    for _ in range(3):
        image, boxes, ids = scene(rng, side=12)  # 6 to 11 pixels: less than 3 of the network's for the whole image
        assert len(whole(image)[0]) == 0
        assert_found(tiled(image)[0], boxes, ids, tolerance=2)


def test_views_run_in_batches_and_at_their_sizes():
    backend = Colors()
    detector = MultiViewDetector(Detector(backend, PRESET, batch_size=4), Views(tiles=(2, 2), flip=True, scales=(1, 1.5)))
    assert backend.batches == [(1, 3, 96, 96)]  # tried before the work
    backend.batches.clear()
    list(detector.stream(np.zeros((2, 200, 100, 3), np.uint8)))
    assert sorted(backend.batches) == [(4, 3, 64, 64)] * 5 + [(4, 3, 96, 96)] * 5  # of 2 images 10 views each


def test_the_image_alone_is_as_without_views():
    net = small_network()
    plain = Detector(MXNetBackend(net), Preset("x", "y", (300, 300), (), (), classes=("a", "b", "c")))
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    expected, found = plain(image, 0.0)[0], MultiViewDetector(plain, Views())(image, 0.0)[0]
    assert len(expected) > 10
    for key in ("boxes", "scores", "class_ids"):
        np.testing.assert_array_equal(getattr(found, key), getattr(expected, key))
    assert with_views(plain, Views()) is plain and with_views(plain, None) is plain and views_of(plain) is None
    assert len(MultiViewDetector(plain, Views(scales=(0.5, 1.25)))(image, 0.0)[0]) > 10  # networks of Gluon take any size


def test_the_limit_is_the_models_for_each_window():
    image, _, _ = scene(np.random.default_rng(2))
    few = Preset("fake", "none", (64, 64), (), (), classes=PRESET.classes, mean=(0, 0, 0), std=(1, 1, 1), post_nms=3)
    flipped, tiled = (MultiViewDetector(Detector(Colors(), few), views) for views in (Views(flip=True), Views(tiles=(2, 2))))
    assert (flipped.max_detections, tiled.max_detections) == (3, -1)
    assert len(flipped(image)[0]) == 3 and len(tiled(image)[0]) == 15  # 5 windows


def test_a_minimum_score_takes_from_the_same_detections():
    image, _, _ = scene(np.random.default_rng(3))
    detector = MultiViewDetector(Detector(Colors(), PRESET), Views(tiles=(2, 2), flip=True))
    all_of_them, best = detector(image, 0.0)[0], detector(image, 0.885)[0]
    assert 0 < len(best) < len(all_of_them)
    np.testing.assert_array_equal(best.boxes, all_of_them.above(0.885).boxes)


def test_renamed_classes():
    image, _, _ = scene(np.random.default_rng(4))
    detector = MultiViewDetector(Detector(Colors(), PRESET), Views(tiles=(2, 2)))
    renamed = detector.with_names(["rot", "grün"])
    found = renamed(image)[0]
    np.testing.assert_array_equal(found.boxes, detector(image)[0].boxes)
    assert detector.names == ["red", "green"] and isinstance(renamed, MultiViewDetector)
    assert set(found.labels) <= {"rot", "grün"} and found.names == ("rot", "grün")


def test_images_that_cannot_be_read(tmp_path):
    image, boxes, ids = scene(np.random.default_rng(5))
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    (tmp_path / "b.png").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "c.png"), image[..., ::-1])
    detector, failed = MultiViewDetector(Detector(Colors(), PRESET), Views(tiles=(2, 2), scales=(1, 2))), []
    results = list(detector.stream(tmp_path, 0.5, lambda item, error: failed.append((item.name, str(error)))))
    assert [name for name, _ in failed] == ["b.png"] and "b.png" in failed[0][1]
    for _, found in results:
        assert_found(found, boxes, ids, tolerance=4)
    assert len(results) == 2
    with pytest.raises(DataError, match=r"b\.png"):
        detector(tmp_path)


def test_scales_that_a_runtime_does_not_take():
    detector = Detector(Colors(only=(64, 64)), PRESET)
    assert MultiViewDetector(detector, Views(tiles=(2, 2), scales=(1.0,))).size == (64, 64)
    with pytest.raises(CallError, match=r"scales=1\.5: colors can't run this model on 96x96 pixels \(another size\); leave"):
        MultiViewDetector(detector, Views(scales=(1, 1.5)))
