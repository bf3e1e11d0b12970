import numpy as np
import pytest

from ssdzoo import boxes as geometry
from ssdzoo.anchors.levels import Level, best_of_all, best_of_level

SHAPES = np.array([[20.0, 30.0], [41.0, 17.0], [9.0, 9.0]])


def random_boxes(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, (width - 8, height - 8), (count, 2))
    side = rng.uniform(4, 60, (count, 2))
    return np.concatenate([corner, np.minimum(corner + side, (width, height))], axis=1).astype(np.float32)


def slow_best(box, level):
    """The greatest IoU with an anchor of the whole grid, looked for one by one."""
    best = 0.0
    for i in range(level.cells[0]):
        for j in range(level.cells[1]):
            for w, h in level.shapes:
                cx, cy = (j + level.offsets[1]) * level.steps[1], (i + level.offsets[0]) * level.steps[0]
                anchor = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
                x = max(0, min(box[2], anchor[2]) - max(box[0], anchor[0]))
                y = max(0, min(box[3], anchor[3]) - max(box[1], anchor[1]))
                iou = x * y / ((box[2] - box[0]) * (box[3] - box[1]) + w * h - x * y)
                best = max(best, iou)
    return best


@pytest.mark.parametrize(
    "cells, steps, offsets",
    [
        ((6, 10), (16, 16), (0.5, 0.5)),
        ((6, 10), (16, 8), (0.5, 0.5)),  # covers a half of the input, as the published mobilenet0.25 does
        ((5, 3), (19.2, 160 / 3), (0.3, 0.8)),
        ((1, 1), (96, 160), (0.5, 0.5)),
    ],
)
def test_the_best_anchor_equals_that_of_a_loop(cells, steps, offsets):
    level = Level(cells, SHAPES, steps, offsets)
    boxes = random_boxes(40, 96, 160)
    ious, corners = best_of_level(boxes, level)
    np.testing.assert_allclose(ious, [slow_best(box, level) for box in boxes.astype(np.float64)], rtol=1e-12)
    np.testing.assert_allclose(geometry.iou(boxes, corners.astype(np.float32)).diagonal(), ious, atol=1e-5)
    assert level.total == cells[0] * cells[1] * 3


def test_the_best_of_several_levels():
    fine, coarse = Level((12, 20), SHAPES[2:], (8, 8)), Level((3, 5), SHAPES[:2], (32, 32))
    boxes = geometry.as_boxes([[4, 4, 12, 12], [0, 0, 33, 32], [100, 40, 120, 72]])
    ious, corners, where = best_of_all(boxes, [fine, coarse])
    assert where.tolist() == [0, 1, 1]
    np.testing.assert_allclose(corners[0], [-0.5, -0.5, 8.5, 8.5])
    np.testing.assert_allclose(ious[0], 4.5**2 / (64 + 81 - 4.5**2))
    np.testing.assert_allclose(corners[2], [102, 33, 122, 63])
    np.testing.assert_allclose(ious[2], 18 * 23 / (20 * 32 + 20 * 30 - 18 * 23))


def test_no_objects_and_objects_far_from_every_anchor():
    level = Level((1, 1), SHAPES, (8, 8))
    ious, corners = best_of_level(np.zeros((0, 4), np.float32), level)
    assert ious.shape == (0,) and corners.shape == (0, 4)
    ious, corners = best_of_level(geometry.as_boxes([[200, 200, 210, 210]]), level)
    assert ious.tolist() == [0] and corners.shape == (1, 4)
    assert best_of_all(geometry.as_boxes([[200, 200, 210, 210]]), [level, level])[2].tolist() == [0]
