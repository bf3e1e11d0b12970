import numpy as np
import pytest

from ssdzoo.detections import Detections
from ssdzoo.measure.compare import match_detections
from ssdzoo.report.differences import _EQUAL, draw_difference
from ssdzoo.report.pictures import PALETTE

IMAGE = np.zeros((100, 160, 3), np.uint8)
EXACT = {"box": 0.05, "score": 1e-4, "map": None, "agreement": None}
A = Detections([[10, 20, 40, 60], [60, 20, 90, 60], [110, 20, 140, 60]], [0.9, 0.8, 0.7], [0, 1, 2], "abc")


def colors(picture):
    """Those of the lower left corners of the three boxes, away from the tags."""
    return [tuple(picture[60, x].tolist()) for x in (12, 62, 112)]


def drawn(b, tolerance=EXACT, score=0.5):
    return draw_difference(IMAGE, (A, b), match_detections(A, b, score), tolerance, score)


def test_where_nothing_differs_all_has_colors():
    *pictures, differs = drawn(A)
    assert not differs and [colors(p) for p in pictures] == [list(PALETTE[:3])] * 2


@pytest.mark.parametrize(
    "boxes, scores, a, b",
    [
        ([0, 1, 2], [0.9, 0.8, 0.6], [0, 0, 1], [0, 0, 1]),  # another score
        ([0, 1], [0.9, 0.8], [0, 0, 1], [0, 0, None]),  # one is missing
    ],
)
def test_what_differs_has_colors_and_the_rest_is_gray(boxes, scores, a, b):
    other = Detections(A.boxes[boxes], scores, A.class_ids[boxes], "abc")
    first, second, differs = drawn(other)
    expected = [
        [(0, 0, 0) if marked is None else PALETTE[i] if marked else _EQUAL for i, marked in enumerate(row)] for row in (a, b)
    ]
    assert differs and [colors(first), colors(second)] == expected
    assert IMAGE.max() == 0


def test_where_map_decides_scores_do_not_differ():
    other = Detections(A.boxes, [0.9, 0.8, 0.6], A.class_ids, "abc")
    assert not drawn(other, {**EXACT, "map": 0.01})[2] and drawn(other)[2]
    assert not drawn(other, {**EXACT, "agreement": 0.9})[2]


def test_boxes_beyond_the_image_and_below_the_score():
    other = Detections([[-50, -50, 500, 500], [60, 20, 90, 60]], [0.9, 0.4], [0, 1], "abc")
    first, second, differs = drawn(other)
    assert differs and colors(second)[1:] == [(0, 0, 0)] * 2 and first.shape == IMAGE.shape
