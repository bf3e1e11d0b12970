"""Each operation against slow oracles: a white rectangle on black is found again where its box says."""

import math

import cv2
import numpy as np
import pytest

from ssdzoo.augmentation.named import augmentation_of
from ssdzoo.boxes import as_boxes
from ssdzoo.data.loading.augment import colors as C
from ssdzoo.data.loading.augment import geometry as G
from ssdzoo.data.loading.augment.draw import Drawn, draw_view
from ssdzoo.data.loading.augment.pixels import warp
from ssdzoo.data.loading.transforms import render_view
from tests.data.loading.views import random_view

BOX = as_boxes([[110, 70, 190, 120]])


def rectangle(height=200, width=300, box=BOX[0]):
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = map(int, box)
    image[y1:y2, x1:x2] = 255
    return image


def white(pixels):
    """The box of the pixels that are more white than black."""
    rows, columns = (np.flatnonzero((pixels.max(axis=2) > 127).any(axis)) for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize(
    "operation",
    [
        {"mirror": 1}, {"flip": 1}, {"rotate90": 1}, {"rotate": {"probability": 1, "degrees": [-45, 45]}},
        {"scale": {"probability": 1, "ratio": [0.5, 1.5]}}, {"expand": 1}, {"crop": 1},
        {"mirror": 0.5, "flip": 0.5, "rotate90": 0.5, "rotate": 0.5, "scale": 0.5},
    ],
    ids=lambda operation: "-".join(operation),
)  # fmt: skip
@pytest.mark.parametrize("size", [(100, 150), (120, 90)])
def test_a_box_stays_on_its_object(operation, size):
    """Where all of it is in the view; a corner of it that is not may be a corner of the enclosing box. The tip of a rotated
    rectangle is thinner than a pixel, so that it is looked for in a view of four times the size."""
    seen, finer = 0, 4 if "rotate" in operation else 1
    for seed in range(20):
        augmentation = augmentation_of(operation, "here")
        pixels, boxes, ids, _ = random_view(rectangle(), BOX, np.array([7]), size, seed, augmentation, (0, 0, 0))
        assert pixels.shape == (*size, 3) and pixels.dtype == np.uint8 and boxes.dtype == np.float32
        if len(boxes) and (boxes[0] > 1).all() and boxes[0, 2] < size[1] - 1 and boxes[0, 3] < size[0] - 1:
            seen += 1
            assert ids.tolist() == [7]
            fine = random_view(rectangle(), BOX, ids, (size[0] * finer, size[1] * finer), seed, augmentation, (0, 0, 0))[0]
            np.testing.assert_allclose(np.array(white(fine)) / finer, boxes[0], atol=1)
    assert seen >= 6


def test_flips_and_turns_by_numbers():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    boxes, window = as_boxes([[0, 0, 1, 2], [1, 0, 3, 1]]), G.whole(2, 3)

    def view(size, **drawn):
        return render_view(image, (2, 3), boxes, np.arange(2), Drawn(window, False, cv2.INTER_NEAREST, {}, **drawn), size)[:2]

    pixels, moved = view((2, 3), flipped=True)
    assert (pixels == image[::-1]).all() and moved.tolist() == [[0, 0, 1, 2], [1, 1, 3, 2]]
    pixels, moved = view((3, 2), turns=1)  # counterclockwise: the last column becomes the first row
    assert (pixels[0] == image[:, 2]).all() and moved.tolist() == [[0, 2, 2, 3], [0, 0, 1, 2]]
    pixels, moved = view((2, 3), turns=2)
    assert (pixels == image[::-1, ::-1]).all() and moved.tolist() == [[2, 0, 3, 2], [0, 1, 2, 2]]
    pixels, moved = view((3, 2), turns=3)
    assert (pixels[:, 1] == image[0]).all() and moved.tolist() == [[0, 0, 2, 1], [1, 1, 2, 3]]


def test_rotated_boxes_by_loops():
    rng = np.random.default_rng(0)
    for _ in range(20):
        corner = rng.uniform(-20, 150, (6, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (6, 2))], axis=1).astype(np.float32)
        window, size, degrees = np.array([10, -20, 130, 90], np.float32), (64, 48), float(rng.uniform(-45, 45))
        expected = []
        for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            points = []
            for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)):
                dx, dy = x - 70, y - 35  # from the center of the window
                cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
                points.append(((dx * cos + dy * sin) * 48 / 120 + 24, (-dx * sin + dy * cos) * 64 / 110 + 32))
            xs, ys = zip(*points)
            left, top, right, bottom = max(min(xs), 0), max(min(ys), 0), min(max(xs), 48), min(max(ys), 64)
            part = max(right - left, 0) * max(bottom - top, 0) / ((max(xs) - min(xs)) * (max(ys) - min(ys)))
            center = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
            if right - left >= 1 and bottom - top >= 1 and part >= 0.6 and 0 < center[0] < 48 and 0 < center[1] < 64:
                expected.append((i, [left, top, right, bottom]))
        moved, keep = G.rotate_boxes(boxes, G.rotation(window, degrees, size), size, 0.6)
        assert np.flatnonzero(keep).tolist() == [i for i, _ in expected]
        np.testing.assert_allclose(moved, as_boxes([box for _, box in expected]), atol=1e-3)


def test_a_rotation_is_counterclockwise_and_keeps_shapes():
    """A point on the right of the center moves up, by as many pixels in a window that is stretched as the stretching says."""
    matrix = G.rotation(np.array([0, 0, 200, 100], np.float32), 30, (200, 200))
    x, y = matrix @ [150, 50, 1]
    assert (x, y) == pytest.approx((100 + 50 * math.cos(math.radians(30)), 100 - 2 * 50 * math.sin(math.radians(30))))


def test_what_a_rotation_leaves_empty_has_the_mean_color():
    image = np.full((100, 100, 3), 200, np.uint8)
    drawn = Drawn(G.whole(100, 100), False, cv2.INTER_CUBIC, {"brightness": 20}, degrees=45, gray=True, blur=1.0)
    pixels, _, _ = render_view(image, (100, 100), as_boxes([]), np.zeros(0, int), drawn, (100, 100), (1, 2, 3))
    inside = (pixels == 220).all(axis=2)
    assert inside.mean() == pytest.approx(2 * math.sqrt(2) - 2, abs=0.01)  # of a square turned by 45 degrees, an octagon
    assert (pixels[~inside] == (1, 2, 3)).all() and not inside[0, 0]


def test_a_warp_that_shrinks_averages():
    """Lines of one pixel become gray, not black or white."""
    image = np.zeros((400, 400, 3), np.uint8)
    image[::2] = 255
    matrix = G.rotation(G.whole(400, 400), 0.01, (50, 50))
    pixels, inside = warp(image, matrix, (50, 50), cv2.INTER_LINEAR)
    assert inside.all() and np.abs(pixels.astype(int) - 128).max() < 30
    shown = warp(rectangle(400, 400, (96, 160, 200, 320)), matrix, (50, 50), cv2.INTER_LINEAR)[0]
    assert white(shown) == [12, 20, 25, 40]


def test_an_object_that_is_hardly_in_the_view_is_dropped():
    boxes, window = as_boxes([[-60, 20, 90, 40], [10, 60, 30, 80]]), G.whole(100, 100)
    assert G.move_boxes(boxes, window, (100, 100))[1].tolist() == [True, True]
    assert G.move_boxes(boxes, window, (100, 100), 0.59)[1].tolist() == [True, True]  # 90 of 150 pixels are in it
    assert G.move_boxes(boxes, window, (100, 100), 0.61)[1].tolist() == [False, True]


def test_ranges_and_probabilities_are_kept():
    table = {
        "rotate": {"probability": 0.5, "degrees": [5, 10]}, "blur": {"probability": 0.2, "sigma": [1, 2]}, "grayscale": 0.3,
        "flip": 0.5, "rotate90": 0.4, "scale": {"probability": 1, "ratio": [2, 2]}, "expand": {"probability": 1, "ratio": [3, 3]},
    }  # fmt: skip
    augmentation = augmentation_of(table, "here")
    drawn = [draw_view(100, 200, BOX, np.random.default_rng(seed), augmentation) for seed in range(400)]
    for share, expected in (
        (np.mean([d.degrees != 0 for d in drawn]), 0.5), (np.mean([d.blur > 0 for d in drawn]), 0.2),
        (np.mean([d.gray for d in drawn]), 0.3), (np.mean([d.flipped for d in drawn]), 0.5),
        (np.mean([d.turns > 0 for d in drawn]), 0.4),
    ):  # fmt: skip
        assert share == pytest.approx(expected, abs=0.08)
    assert all(d.degrees == 0 or 5 <= d.degrees <= 10 for d in drawn) and all(d.blur == 0 or 1 <= d.blur <= 2 for d in drawn)
    assert {d.turns for d in drawn} == {0, 1, 2, 3} and not any(d.mirrored or d.colors for d in drawn)
    sides = np.array([d.window[2:] - d.window[:2] for d in drawn])
    np.testing.assert_allclose(sides, [[300, 150]] * 400, atol=1)  # three times as large, then half of that


def test_scale_jitter_shows_a_part_or_more():
    for ratio in ([2, 2], [0.5, 0.5]):
        augmentation = augmentation_of({"scale": {"probability": 1, "ratio": ratio}}, "here")
        windows = np.array([draw_view(100, 200, BOX, np.random.default_rng(s), augmentation).window for s in range(50)])
        inner, outer = (windows, G.whole(100, 200)) if ratio[0] > 1 else (G.whole(100, 200), windows)
        assert (inner[..., :2] >= outer[..., :2]).all() and (inner[..., 2:] <= outer[..., 2:]).all()
        assert np.ptp(windows[:, 0]) > 50


def test_gray_and_blurred_pixels_by_numbers():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 10, 10]]], np.uint8)
    assert C.grayscale(image).tolist() == [[[76] * 3, [150] * 3, [29] * 3, [10] * 3]]  # 0.299, 0.587, 0.114
    dot = np.zeros((31, 31, 3), np.uint8)
    dot[15, 15] = 255
    spread = C.blur(dot, 1.5)[..., 0].astype(float)
    y, x = np.mgrid[:31, :31] - 15
    np.testing.assert_allclose(spread, 255 * np.exp(-(x**2 + y**2) / 4.5) / (2 * math.pi * 2.25), atol=1.5)
