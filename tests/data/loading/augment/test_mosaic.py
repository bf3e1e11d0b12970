"""Four images in one: tiles, views, boxes, and that everything derives from seed, epoch and index."""

import cv2
import numpy as np
import pytest

import ssdzoo.data.loading.preparation as module
from ssdzoo.augmentation.named import augmentation_of
from ssdzoo.augmentation.table import Mosaic
from ssdzoo.boxes import as_boxes
from ssdzoo.data import load_dataset
from ssdzoo.data.loading.augment.draw import Drawn
from ssdzoo.data.loading.augment.mosaic import draw_tiles, join, tile_size, view_of_tile
from ssdzoo.data.loading.loader import Loader
from ssdzoo.data.loading.preparation import Preparation
from ssdzoo.data.record import Dataset
from tests.data.formats.voc_folder import write_voc, xml

ALWAYS = augmentation_of({"mosaic": 1}, "here")
GRAYS = (60, 120, 180, 240)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four black images of 100x80 pixels, each with a rectangle of a gray of its own, which is its class."""
    folder = tmp_path_factory.mktemp("mosaic")
    texts = {f"i{n}": xml([(f"c{n}", 31 + 5 * n, 21, 70 + 5 * n, 60)]) for n in range(4)}
    root = write_voc(folder / "data", texts, {"train": list(texts)})
    for n, gray in enumerate(GRAYS):
        image = np.zeros((80, 100, 3), np.uint8)
        image[20:59, 30 + 5 * n : 69 + 5 * n] = gray
        cv2.imwrite(str(root / "JPEGImages" / f"i{n}.jpg"), image)
    return load_dataset(root, "train")


def test_tiles_cover_the_image():
    for seed in range(50):
        tiles = draw_tiles((60, 100), np.random.default_rng(seed), Mosaic(1, center=(0.3, 0.7)))
        shown = np.zeros((60, 100), int)
        for tile in tiles:
            shown[tile] += 1
        assert (shown == 1).all() and 18 <= tiles[0][0].stop <= 42 and 30 <= tiles[0][1].stop <= 70


@pytest.mark.parametrize("turns", [0, 1])
def test_a_tile_shows_a_part_of_a_view_without_stretching_it(turns):
    """A window of 200x100 pixels for a view of 80x80 has 2.5 and 1.25 pixels for one of the view; at scale s, s times fewer."""
    drawn = Drawn(np.array([10, 20, 210, 120], np.float32), False, 1, {}, turns=turns)
    tile = (slice(0, 20), slice(50, 80))
    for seed in range(50):
        mosaic = Mosaic(1, scale=(0.5, 1.0), min_visible=0.4)
        view = view_of_tile(drawn, tile, (80, 80), np.random.default_rng(seed), mosaic)
        sides = (view.window[2:] - view.window[:2])[:: -1 if turns else 1]  # as in the view, whose sides a turn exchanges
        pixels = (2.5, 1.25)[:: -1 if turns else 1]
        shrunk = sides / pixels / tile_size(tile)[::-1]
        assert shrunk[0] == pytest.approx(shrunk[1], abs=0.06) and 0.97 <= shrunk[0] <= 2.03
        assert (view.window[:2] >= (10, 20)).all() and (view.window[2:] <= (210, 120)).all() and view.min_visible == 0.4


def test_a_tile_larger_than_the_view_enlarges_it():
    drawn = Drawn(np.array([0, 0, 100, 100], np.float32), False, 1, {})
    view = view_of_tile(drawn, (slice(0, 70), slice(0, 50)), (100, 100), np.random.default_rng(0), Mosaic(1, scale=(0.2, 0.2)))
    height, width = view.window[3] - view.window[1], view.window[2] - view.window[0]
    assert (height, width) == (100, pytest.approx(50 / 0.7, abs=1))


def test_boxes_lie_on_their_objects(data, monkeypatch):
    """In each tile the box is that of the pixels that are not black; an object of which less is shown has none."""
    joined = []
    monkeypatch.setattr(module, "join", lambda *parts: joined.append((*parts, join(*parts))) or joined[-1][-1])
    preparation, seen = Preparation(data, (80, 100), ALWAYS, seed=3), 0
    for epoch in range(15):
        preparation.sample(epoch, 1)
        samples, tiles, _, (image, boxes, ids) = joined[-1]
        assert image.shape == (80, 100, 3) and boxes.dtype == np.float32
        assert ids.tolist() == [i for _, _, own in samples for i in own]
        moved = iter(boxes)
        for (pixels, own, own_ids), (rows, columns) in zip(samples, tiles):
            assert (image[rows, columns] == pixels).all()
            for box, class_id in zip(own, own_ids):
                seen += 1
                shown = pixels.mean(axis=2) > GRAYS[class_id] / 2
                found = [np.flatnonzero(shown.any(axis)) for axis in (0, 1)]
                np.testing.assert_allclose([found[0][0], found[1][0], found[0][-1] + 1, found[1][-1] + 1], box, atol=1)
                assert np.abs(box + [columns.start, rows.start] * 2 - next(moved)).max() < 1e-4
    assert seen > 30


def test_samples_derive_from_seed_epoch_and_index(data):
    table = augmentation_of({"base": "light", "mosaic": 0.5, "rotate": 0.5, "rotate90": 0.5}, "here")
    alone = list(Loader(data, 2, (48, 64), table, seed=4).epoch(2))
    with Loader(data, 2, (48, 64), table, seed=4, workers=1) as loader:
        both = list(loader.epoch(2))
    shared = [next(Loader(data, 1, (48, 64), table, seed=4, part=(rank, 2)).epoch(2)) for rank in (0, 1)]
    for one, other in zip(alone, both, strict=True):
        for name in ("images", "boxes", "class_ids", "indices"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(alone[0].images, np.concatenate([batch.images for batch in shared]))
    assert (alone[0].images != next(Loader(data, 2, (48, 64), table, seed=4).epoch(3)).images).any()


def test_a_single_image_is_shown_four_times(data):
    alone = Dataset(data.names, data.records[:1], [])
    half = augmentation_of({"mosaic": {"probability": 1, "scale": [0.5, 0.5]}}, "here")
    image, boxes, ids = Preparation(alone, (160, 200), half, 0).sample(0, 0)
    assert image.shape == (160, 200, 3) and 1 <= len(boxes) <= 4 and set(ids) == {0}


def test_weights_choose_the_other_images(data):
    """An image of weight 6 among three of weight 1 is chosen two times in three."""
    for weights, parts in ((None, [1 / 4] * 4), (np.array([1, 1, 1, 6.0]), [1 / 9, 1 / 9, 1 / 9, 6 / 9])):
        drawn = Preparation(data, (32, 40), ALWAYS, 0, weights=weights).draw_images(np.random.default_rng(0), 5000)
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 5000, parts, atol=0.02)


def test_images_without_objects(data):
    empty = [record.__class__(record.image, as_boxes([]), *(a[:0] for a in (record.class_ids, record.difficult, record.crowd)),
                              record.height, record.width) for record in data.records]  # fmt: skip
    image, boxes, ids = Preparation(Dataset(data.names, empty, []), (32, 40), ALWAYS, 0).sample(0, 2)
    assert image.shape == (32, 40, 3) and boxes.shape == (0, 4) and boxes.dtype == np.float32 and ids.shape == (0,)
