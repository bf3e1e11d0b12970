"""Where the tiles of an image lie, and which views are refused."""

from itertools import pairwise

import numpy as np
import pytest

from ssdzoo.errors import CallError
from ssdzoo.predict.tiles import count_sized, grid_windows, sized_windows
from ssdzoo.predict.views import View, Views


def test_a_grid_of_tiles():
    assert grid_windows(100, 200, 2, 1, 0.0) == [(0, 0, 100, 100), (100, 0, 200, 100)]
    # Two tiles of a side s that overlap by 0.2 s cover 1.8 s.
    assert grid_windows(90, 180, 2, 2, 0.2) == [(0, 0, 100, 50), (80, 0, 180, 50), (0, 40, 100, 90), (80, 40, 180, 90)]
    assert grid_windows(7, 5, 1, 1, 0.5) == [(0, 0, 5, 7)]


def test_tiles_of_one_size():
    assert sized_windows(480, 1280, (640, 480), 0.2) == [(0, 0, 640, 480), (320, 0, 960, 480), (640, 0, 1280, 480)]
    assert sized_windows(640, 1152, (640, 640), 0.2) == [(0, 0, 640, 640), (512, 0, 1152, 640)]  # an overlap of 0.2 exactly
    assert sized_windows(50, 30, (40, 40), 0.0) == [(0, 0, 30, 40), (0, 10, 30, 50)]


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5, 0.9])
def test_tiles_cover_every_pixel_and_overlap(overlap):
    rng = np.random.default_rng(1)
    for _ in range(40):
        height, width, columns, rows = (int(n) for n in rng.integers(1, (90, 90, 9, 9)))
        size = tuple(int(n) for n in rng.integers(16, 60, 2))
        for windows in (grid_windows(height, width, columns, rows, overlap), sized_windows(height, width, size, overlap)):
            seen = np.zeros((height, width), int)
            for left, top, right, bottom in windows:
                assert 0 <= left < right <= width and 0 <= top < bottom <= height
                seen[top:bottom, left:right] += 1
            assert seen.min() > 0
        assert len(windows) == count_sized(height, width, size, overlap)
        for axis, side in ((0, size[0]), (1, size[1])):
            starts = sorted({window[axis] for window in windows})
            assert all(b - a <= side * (1 - overlap) + 1 for a, b in pairwise(starts))  # rounded to pixels


def test_the_whole_image_comes_first_and_once():
    assert Views().windows(30, 40) == [(0, 0, 40, 30)]
    assert Views(tiles=(1, 1)).windows(30, 40) == [(0, 0, 40, 30)]
    assert Views(tile_size=64).windows(30, 40) == [(0, 0, 40, 30)]  # a tile larger than the image
    assert Views(tile_size=64, whole=False).windows(30, 40) == [(0, 0, 40, 30)]
    assert Views(tiles=(2, 1), overlap=0, whole=False).windows(30, 40) == [(0, 0, 20, 30), (20, 0, 40, 30)]
    assert Views(tiles=(2, 1), overlap=0).windows(30, 40) == [(0, 0, 40, 30), (0, 0, 20, 30), (20, 0, 40, 30)]
    assert len(Views(tiles=(64, 64)).windows(3, 3)) == 1 + 9  # tiles of a pixel
    assert Views(flip=True).of(30, 40) == [View((0, 0, 40, 30)), View((0, 0, 40, 30), mirrored=True)]


def test_boxes_come_back_to_the_image():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    image[12:18, 11:15] = 255
    for view, box in ((View((10, 10, 40, 30)), [1, 2, 5, 8]), (View((10, 10, 40, 30), mirrored=True), [25, 2, 29, 8])):
        x1, y1, x2, y2 = box
        assert (view.cut(image)[y1:y2, x1:x2] == 255).all() and view.cut(image).shape == (20, 30, 3)
        assert view.to_image(np.float32([box])).tolist() == [[11, 12, 15, 18]]


@pytest.mark.parametrize("given, message", [
    ({"tiles": (0, 2)}, "tiles=0x2: expected columns and rows, two whole numbers from 1 on"),
    ({"tiles": (2,)}, "tiles=2: expected columns and rows"),
    ({"tiles": 2}, "tiles=2: expected columns and rows"),
    ({"tiles": (2, 2.0)}, "tiles=2x2.0: expected"),
    ({"tiles": (1000, 1000)}, "tiles=1000x1000: 1000000 tiles of an image, and 4096 is the maximum"),
    ({"tile_size": 15}, "tile_size=15: expected pixels, one number or width and height, at least 16"),
    ({"tile_size": (640, 0)}, "tile_size=640x0: expected pixels"),
    ({"tile_size": 64.0}, "tile_size=64.0: expected pixels"),
    ({"tiles": (2, 2), "tile_size": 64}, "tiles= and tile_size= exclude each other"),
    ({"tiles": (2, 2), "overlap": 1.5}, "overlap=1.5: expected a share of a tile's side, from 0 to 0.9"),
    ({"tiles": (2, 2), "overlap": float("nan")}, "overlap=nan"),
    ({"overlap": 0.1}, "overlap= is for tiles"),
    ({"whole": False, "flip": True}, "without the whole image there must be tiles: give tiles= or tile_size=, too"),
    ({"scales": (1, 0)}, "scales=0: expected a factor of the network's input size, from 0.1 to 8"),
    ({"scales": (float("nan"),)}, "scales=nan"),
    ({"scales": ()}, "scales=(): expected one or more"),
    ({"scales": (1, 1.0)}, "scales=1,1: expected one or more, each of them once"),
])  # fmt: skip
def test_views_that_are_refused(given, message):
    with pytest.raises(CallError) as error:
        Views(**given)
    assert str(error.value).startswith(message)


def test_too_many_tiles_of_a_size():
    views = Views(tile_size=16, overlap=0.5)
    assert len(views.windows(520, 520)) == 1 + 64 * 64
    with pytest.raises(CallError, match="an image of 528x520 pixels would have 4160 tiles of 16x16 pixels.*4096 is the maximum"):
        views.windows(520, 528)
