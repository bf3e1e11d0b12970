"""Detections of several views as those of the image: cases by hand, and loops over pairs as the oracle."""

import numpy as np
import pytest

from ssdzoo.boxes import iou
from ssdzoo.detections import Detections
from ssdzoo.predict import merge as merging
from ssdzoo.predict.merge import drop_cut, merge, nms, touched_borders, vote
from ssdzoo.predict.views import View

NAMES = ("cell", "crystal")
SIZE = (100, 180)  # height and width of the image
WHOLE, LEFT, RIGHT = (0, 0, 180, 100), (0, 0, 100, 100), (80, 0, 180, 100)


def part(window, *rows, mirrored=False):
    """A view with its detections: rows of a box in pixels of the image, its score and its class."""
    boxes = np.float32([row[0] for row in rows]).reshape(-1, 4) - np.float32([*window[:2], *window[:2]])
    return View(window, mirrored), Detections(boxes, [row[1] for row in rows], [row[2] for row in rows], NAMES)


def found(*parts, thresh=0.45, limit=-1):
    result = merge(parts, SIZE, thresh, limit)
    return [
        (box, round(float(score), 3), int(k)) for box, score, k in zip(result.boxes.tolist(), result.scores, result.class_ids)
    ]


def test_an_object_that_a_border_cuts_is_found_once():
    cell = [85, 40, 115, 70]
    in_part = ([85, 40, 100, 70], 0.95, 0)  # of the left tile: half of it, an IoU of 0.5 and a better score
    assert found(part(LEFT, in_part), part(RIGHT, (cell, 0.9, 0))) == [(cell, 0.9, 0)]
    assert found(part(WHOLE, (cell, 0.6, 0)), part(LEFT, in_part)) == [(cell, 0.6, 0)]


def test_a_small_piece_of_it_too():
    piece, cell = ([96, 40, 100, 70], 0.9, 0), ([96, 40, 130, 70], 0.8, 0)  # an IoU of 0.12
    assert found(part(LEFT, piece), part(RIGHT, cell)) == [cell]
    assert found(part(WHOLE, cell), part(LEFT, piece), part(RIGHT)) == [cell]


def test_pieces_of_an_object_that_is_larger_than_a_tile():
    large = ([20, 10, 170, 90], 0.5, 0)
    pieces = part(LEFT, ([20, 10, 100, 90], 0.9, 0)), part(RIGHT, ([80, 10, 170, 90], 0.8, 0))
    assert found(part(WHOLE, large), *pieces) == [large]


def test_a_cut_object_that_nothing_else_shows_stays():
    piece = ([90, 40, 100, 70], 0.9, 0)
    assert found(part(WHOLE), part(LEFT, piece), part(RIGHT)) == [piece]
    crystal = ([80, 30, 120, 80], 0.9, 1)  # another class
    assert found(part(WHOLE, crystal), part(LEFT, piece)) == [crystal, piece]
    doubtful = ([80, 30, 120, 80], 0.26, 0)  # less than 0.3 of its score: no reason to lose it
    assert found(part(WHOLE, doubtful), part(LEFT, piece)) == [piece, doubtful]


def test_what_ends_at_a_border_in_other_views_too_is_whole():
    """Nothing shows that the border cuts it: the better score decides, as between any two boxes of one object."""
    beside, again = ([60, 40, 99, 70], 0.9, 0), ([44, 42, 89, 68], 0.5, 0)  # an IoU of 0.475, with 0.64 of the first
    assert found(part(WHOLE, again), part(LEFT, beside)) == [beside]
    windows, touched = np.array([LEFT, WHOLE]), np.array([[False, False, True, False], [False] * 4])
    for reach, stays in ((103, True), (104, False)):  # a tenth of the first one's width of 39 is 3.9 pixels past the border
        boxes = np.float32([beside[0], [44, 42, reach, 68]])
        assert drop_cut(boxes, np.float32([0.9, 0.5]), windows, touched).tolist() == [stays, True]


def test_what_only_touches_the_border_of_the_image_is_whole():
    small, large = ([0, 40, 10, 50], 0.9, 0), ([0, 20, 40, 70], 0.8, 0)
    assert found(part(WHOLE, large), part(LEFT, small)) == [small, large]


def test_of_two_pieces_the_larger_one_stays():
    first, second = ([70, 40, 100, 70], 0.7, 0), ([80, 40, 104, 70], 0.9, 0)  # both are cut; the second lies in the first by 0.83
    assert found(part(LEFT, first), part(RIGHT, second)) == [first]


def test_boxes_of_one_object_meet_in_the_middle():
    boxes = part(WHOLE, ([40, 40, 60, 60], 0.9, 0)), part(WHOLE, ([43, 40, 63, 60], 0.45, 0), mirrored=False)
    assert found(*boxes) == [([41, 40, 61, 60], 0.9, 0)]  # the weighted mean, by 2 to 1, and the better score
    closer = part((30, 30, 80, 70), ([44, 40, 64, 60], 0.3, 0))  # a ninth of the area: three times the weight for its score
    assert found(boxes[0], closer) == [([42, 40, 62, 60], 0.9, 0)]


def test_neighbors_stay_apart():
    a, b = ([40, 40, 60, 60], 0.9, 0), ([52, 40, 72, 60], 0.8, 0)  # an IoU of 0.25
    assert found(part(WHOLE, a), part(LEFT, b)) == [a, b]


def test_mirrored_views_and_single_ones():
    view = View(LEFT, mirrored=True)
    boxes = Detections([[0, 10, 30, 20]], [0.5], [1], NAMES)
    assert merge([(view, boxes)], SIZE, 0.45).boxes.tolist() == [[70, 10, 100, 20]]
    assert found(part(LEFT, ([0, 0, 9, 9], 0.9, 0), ([0, 0, 9, 8], 0.8, 0))) == [([0, 0, 9, 9], 0.9, 0), ([0, 0, 9, 8], 0.8, 0)]


def test_limit_order_and_nothing_at_all():
    many = [([10 * i, 0, 10 * i + 8, 8], 0.1 + 0.05 * i, i % 2) for i in range(6)]
    best = [(box, pytest.approx(score, abs=1e-3), k) for box, score, k in many[::-1]]
    assert (
        found(part(WHOLE, *many[::-1]), part(LEFT)) == best and found(part(WHOLE, *many[::-1]), part(LEFT), limit=2) == best[:2]
    )
    assert len(merge([part(WHOLE), part(LEFT)], SIZE, 0.45)) == 0


def drawn(rng, count):
    """Boxes in clusters, so that there are chains of them; scores with ties."""
    corner = rng.integers(0, 60, (count, 2)) * rng.choice([1, 3])
    boxes = np.concatenate([corner, corner + rng.integers(1, 40, (count, 2))], 1).astype(np.float32)
    windows = np.array([(0, 0, 40, 70), (20, 10, 60, 60), (30, 0, 90, 90)])[rng.integers(0, 3, count)]
    return boxes, (rng.integers(1, 20, count) / 20).astype(np.float32), windows, rng.random((count, 4)) < 0.5


def intersection(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def size(a):
    return (a[2] - a[0]) * (a[3] - a[1])


def reaches_past(box, cut, window, touched):
    """Whether a box goes past a touched border of the window by a tenth of the other one's side."""
    width, height = 0.1 * (cut[2] - cut[0]), 0.1 * (cut[3] - cut[1])
    past = (box[0] < window[0] - width, box[1] < window[1] - height, box[2] > window[2] + width, box[3] > window[3] + height)
    return any(a and b for a, b in zip(past, touched))


@pytest.mark.parametrize("block", [3, 512])
def test_against_loops(block, monkeypatch):
    monkeypatch.setattr(merging, "_BLOCK", block)
    rng, dropped = np.random.default_rng(0), 0
    for count in (0, 1, 2, 7, 30, 60, 120):
        boxes, scores, windows, touched = drawn(rng, count)
        cut = touched.any(axis=1)
        kept = []  # NMS
        for i in sorted(range(count), key=lambda i: -scores[i]):
            pairs = [(intersection(boxes[i], boxes[j]), size(boxes[i]) + size(boxes[j])) for j in kept]
            if not any(shared > np.float32(0.45) * (total - shared) for shared, total in pairs):
                kept.append(i)
        assert np.flatnonzero(nms(boxes, scores, np.float32(0.45))).tolist() == sorted(kept)
        kept = []  # pieces
        for i in sorted(range(count), key=lambda i: (cut[i], -size(boxes[i]) * cut[i], -scores[i])):
            better = [j for j in kept if tuple(windows[j]) != tuple(windows[i]) and scores[j] >= 0.3 * scores[i]]
            better = [j for j in better if reaches_past(boxes[j], boxes[i], windows[i], touched[i])]
            if not any(intersection(boxes[i], boxes[j]) >= 0.5 * size(boxes[i]) for j in better):
                kept.append(i)
        assert np.flatnonzero(drop_cut(boxes, scores, windows, touched)).tolist() == sorted(kept)
        dropped += count - len(kept)
        near = iou(boxes, boxes) >= 0.5
        expected = [np.average(boxes[near[i]], axis=0, weights=scores[near[i]]) for i in range(count)]
        np.testing.assert_allclose(vote(boxes, scores, 0.5), np.reshape(expected, (-1, 4)), rtol=1e-5)
    assert dropped > 20


def test_which_boxes_touch():
    boxes = np.float32([[0, 0, 50, 50], [0, 0, 97.9, 50], [0, 0, 98, 50], [3, 97, 50, 100], [81, 5, 90, 9], [82.1, 5, 90, 9]])
    assert np.argwhere(touched_borders(boxes, LEFT, SIZE)).tolist() == [[2, 2]]  # the third its right border
    assert np.argwhere(touched_borders(boxes, RIGHT, SIZE))[-1].tolist() == [4, 0]
    assert not touched_borders(boxes, WHOLE, SIZE).any()
