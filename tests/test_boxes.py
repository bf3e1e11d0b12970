import numpy as np
import pytest

from ssdzoo import boxes as geometry


def slow_iou(a, b, extra):
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(x[2] - x[0] + extra) * (x[3] - x[1] + extra) for x in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize("inclusive", [False, True])
def test_iou_equals_a_loop(inclusive):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (20, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 40, (20, 2))], 1).astype(np.float32)
    expected = [[slow_iou(a, b, inclusive) for b in boxes[12:]] for a in boxes[:12]]
    np.testing.assert_allclose(geometry.iou(boxes[:12], boxes[12:], inclusive), expected, rtol=1e-4, atol=1e-6)


def test_iou_of_literals():
    a = geometry.as_boxes([[0, 0, 10, 10]])
    b = geometry.as_boxes([[5, 0, 15, 10], [10, 10, 20, 20], [0, 0, 10, 10], [3, 3, 3, 3]])
    np.testing.assert_allclose(geometry.iou(a, b), [[1 / 3, 0, 1, 0]], rtol=1e-6)
    np.testing.assert_allclose(geometry.iou(a, b[1:2], inclusive=True), [[1 / 241]], rtol=1e-6)


def test_empty_boxes():
    none = geometry.as_boxes([])
    assert none.shape == (0, 4)
    assert geometry.iou(none, geometry.as_boxes([[0, 0, 1, 1]])).shape == (0, 1)
    assert geometry.area(none).shape == (0,)
    point = geometry.as_boxes([[5, 5, 5, 5]])
    assert geometry.iou(point, point).tolist() == [[0]]


def test_forms_undo_each_other_and_copy():
    boxes = geometry.as_boxes([[10, 20, 30, 60], [0, 0, 5, 5]])
    centers = geometry.corner_to_center(boxes)
    assert centers.tolist() == [[20, 40, 20, 40], [2.5, 2.5, 5, 5]]
    np.testing.assert_array_equal(geometry.center_to_corner(centers), boxes)
    assert geometry.area(boxes).tolist() == [800, 25]


def test_shapes_of_anchors():
    np.testing.assert_allclose(geometry.anchor_shapes(30, 42, [1, 4]), [[30, 30], [42, 42], [60, 15]])
    np.testing.assert_allclose(geometry.listed_shapes([30, 42, 10], [1, 1, 0.25]), [[30, 30], [42, 42], [5, 20]])


def test_clip():
    boxes = geometry.as_boxes([[-5, -5, 50, 10], [90, 30, 120, 60]])
    assert geometry.clip(boxes, 40, 100).tolist() == [[0, 0, 50, 10], [90, 30, 100, 40]]
    assert boxes[0, 0] == -5
