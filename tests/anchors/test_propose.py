import numpy as np
import pytest

from ssdzoo.anchors.levels import Level, best_of_all
from ssdzoo.anchors.objects import Objects
from ssdzoo.anchors.propose import farthest_iou, level_of, propose, with_shapes
from ssdzoo.errors import CallError
from tests.anchors.test_levels import slow_best

OWN = np.array([[30.0, 30], [60, 15], [15, 60]])
LEVELS = [
    Level((n, n), OWN * scale, (300 / n, 300 / n)) for n, scale in ((38, 1), (19, 2), (10, 4), (5, 6), (3, 8), (1, 9))
]  # fmt: skip


def objects_of(shapes, ids=None, seed=0):
    """Objects of widths and heights (M, 2), anywhere in an input of 300x300."""
    shapes = np.asarray(shapes, np.float64)
    corner = np.random.default_rng(seed).uniform(0, 300 - shapes)
    boxes = np.concatenate([corner, corner + shapes], axis=1).astype(np.float32)
    ids = np.zeros(len(boxes), int) if ids is None else np.asarray(ids)
    return Objects(boxes, ids, np.zeros(len(boxes), int))


def covered(objects, levels, ids=None):
    best = best_of_all(objects.boxes, levels)[0]
    return (best >= 0.5).mean() if ids is None else (best[objects.class_ids == ids] >= 0.5).mean()


@pytest.mark.parametrize("shape, steps", [((30, 30), (8, 8)), ((24, 60), (16, 8)), ((10, 50), (16, 32))])
def test_the_least_iou_wherever_an_object_lies(shape, steps):
    level = Level((9, 9), np.array([shape], float), steps)
    places = [(4.5 * steps[1] + dx * steps[1], 4.5 * steps[0] + dy * steps[0])
              for dx in np.linspace(-0.5, 0.5, 11) for dy in np.linspace(-0.5, 0.5, 11)]  # fmt: skip
    boxes = [(x - shape[0] / 2, y - shape[1] / 2, x + shape[0] / 2, y + shape[1] / 2) for x, y in places]
    expected = min(slow_best(box, level) for box in boxes)
    assert farthest_iou(np.array(shape, float), steps) == pytest.approx(expected)


@pytest.mark.parametrize(
    "shape, level",
    [
        ((18, 24), 0),
        ((10, 10), 0),
        ((42.9, 42.9), 0),
        ((43.1, 43.1), 1),
        ((56, 56), 1),
        ((100, 100), 2),
        ((180, 180), 3),
        ((290, 290), 4),
    ],
)
def test_where_a_shape_belongs(shape, level):
    assert level_of(np.array(shape, float), LEVELS) == level


def test_thin_objects_are_for_levels_that_reach_them():
    """A step of 15.8 pixels does not cover objects that are 20 pixels high at every position."""
    assert farthest_iou(np.array([84.0, 20]), LEVELS[1].steps) < 0.5
    assert level_of(np.array([84.0, 20]), LEVELS) == 0 == level_of(np.array([20.0, 84]), LEVELS)  # of 1.41 x 60 pixels
    assert level_of(np.array([86.0, 20]), LEVELS) == 1 == level_of(np.array([20.0, 86]), LEVELS)
    short = [level._replace(shapes=level.shapes[:1] / 2) for level in LEVELS]  # 5.5 x 7.9 pixels are more than 1.41 x 15
    assert level_of(np.array([43.0, 10]), short) == 0 and level_of(np.array([44.0, 10]), short) == 1
    assert level_of(np.array([2000.0, 10]), LEVELS) == 0  # none does


def test_where_a_flat_shape_belongs_depends_on_both_steps():
    wide = Level((4, 20), OWN, (32, 8))
    narrow = Level((20, 4), OWN, (8, 32))
    assert level_of(np.array([30.0, 90]), [LEVELS[0], wide]) == 1
    assert level_of(np.array([30.0, 90]), [LEVELS[0], narrow]) == 0


def test_shapes_of_the_objects_are_proposed_on_levels_that_suit_them():
    true = np.array([[30.0, 24], [50, 60], [100, 130]])
    sizes, ratios = propose(objects_of(np.repeat(true, 200, axis=0)), LEVELS, 6)
    assert [len(s) for s in sizes] == [1] * 6 == [len(r) for r in ratios]
    found = [(s[0] * r[0] ** 0.5, s[0] / r[0] ** 0.5) for s, r in zip(sizes, ratios)]
    np.testing.assert_allclose(found[:3], true, rtol=0.05)
    # Levels without a cluster keep the first shape of their own.
    assert sizes[3:] == [[180], [240], [270]] and ratios[3:] == [[1], [1], [1]]


def test_a_proposal_covers_more_than_squares():
    objects = objects_of(np.exp(np.random.default_rng(1).normal((3.7, 4.5), 0.15, (500, 2))).clip(8, 250))
    squares = [level._replace(shapes=level.shapes[:1] * [[1], [1.2], [1.4]]) for level in LEVELS]
    table = propose(objects, squares, 10)
    levels = with_shapes(squares, *table)
    assert covered(objects, squares) < 0.5 and covered(objects, levels) > 0.99
    assert propose(objects, squares, 10) == table and propose(objects, squares, 10, seed=1) != table


@pytest.mark.parametrize("count", [6, 9, 20])
def test_the_number_of_shapes_is_kept(count):
    objects = objects_of(np.random.default_rng(2).uniform(10, 280, (400, 2)))
    sizes, ratios = propose(objects, LEVELS, count)
    assert sum(map(len, sizes)) == sum(map(len, ratios)) == count and all(sizes)
    assert all(list(s) == sorted(s) for s in sizes)


def test_fewer_shapes_than_asked_for_too_few_and_too_many():
    same = Objects(np.float32([[9, 9, 59, 59], [100, 80, 150, 130]]), np.zeros(2, int), np.zeros(2, int))
    sizes, ratios = propose(same, LEVELS, 20)
    assert [len(s) for s in sizes] == [1] * 6 and sizes[:1] + sizes[2:] == [[30], [120], [180], [240], [270]]
    assert 43 < sizes[1][0] < 60 and ratios[:1] + ratios[2:] == [[1]] * 5
    with pytest.raises(CallError, match="5 anchors are too few: the model has 6 feature maps, and each needs at least one"):
        propose(objects_of([[50, 50]]), LEVELS, 5)
    with pytest.raises(CallError, match="193 anchors are too many: at most 32 for each of the model's 6 feature maps"):
        propose(objects_of([[50, 50]]), LEVELS, 193)


def test_thin_and_tiny_objects_keep_a_size_and_a_ratio():
    sizes, ratios = propose(objects_of([[1, 290]] * 5 + [[0.03, 0.02]] * 5), LEVELS[:1], 2)
    assert sizes[0][0] < 0.1 < sizes[0][1] and 0.001 < min(ratios[0]) < 0.02 and min(sizes[0]) > 0


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    shapes = np.concatenate([np.repeat([[40.0, 60]], 2000, axis=0), np.repeat([[90.0, 20]], 10, axis=0)])
    objects = objects_of(shapes, [0] * 2000 + [1] * 10)
    levels = with_shapes(LEVELS[:1], *propose(objects, LEVELS[:1], 2))
    assert covered(objects, levels, 0) == covered(objects, levels, 1) == 1


def test_where_positions_count_the_shape_is_not_that_of_the_objects():
    """On a coarse grid a larger anchor reaches more objects than one of their own shape."""
    objects = objects_of(np.repeat([[18.0, 18]], 500, axis=0))
    level = Level((10, 10), OWN, (30, 30))
    own = covered(objects, with_shapes([level], [[18.0]], [[1.0]]))
    sizes, ratios = propose(objects, [level], 1)
    assert sizes[0][0] > 18.5 and covered(objects, with_shapes([level], sizes, ratios)) >= own


def test_of_many_objects_a_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr("ssdzoo.anchors.propose.SAMPLE", 1000)
    shapes = np.random.default_rng(0).uniform(5, 280, (20_000, 2))
    objects = objects_of(shapes, np.random.default_rng(1).integers(0, 80, len(shapes)))
    levels = with_shapes(LEVELS, *propose(objects, LEVELS, 8))
    assert covered(objects, levels) > 0.7
