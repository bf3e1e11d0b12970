import numpy as np
import pytest

from ssdzoo.anchors.kmeans import kmeans, shape_iou

TRUE = np.array([[12.0, 30], [60, 20], [80, 85], [200, 90]])


def clouds(count=50, spread=0.05, seed=0):
    """Shapes around each of TRUE."""
    rng = np.random.default_rng(seed)
    return np.concatenate([shape * np.exp(rng.normal(0, spread, (count, 2))) for shape in TRUE])


def rng(seed=0):
    return np.random.default_rng(seed)


def test_shape_iou_of_literals():
    ious = shape_iou(np.array([[10.0, 20], [10, 10]]), np.array([[10.0, 20], [20, 10], [5, 5]]))
    np.testing.assert_allclose(ious, [[1, 100 / 300, 25 / 200], [0.5, 0.5, 0.25]])


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_found_again(seed):
    shapes = clouds(seed=seed)
    best = max((kmeans(shapes, 4, rng(s)) for s in range(5)), key=lambda c: shape_iou(shapes, c).max(axis=1).mean())
    np.testing.assert_allclose(best, TRUE, rtol=0.03)
    means = np.exp(np.log(shapes).reshape(4, 50, 2).mean(axis=1))
    np.testing.assert_allclose(best, means, rtol=1e-12)


def test_no_shape_is_nearer_to_another_center():
    """A fixed point: every center is the geometric mean of the shapes that are nearest to it."""
    shapes = np.random.default_rng(3).uniform(5, 200, (300, 2))
    centers = kmeans(shapes, 6, rng())
    nearest = [max(range(6), key=lambda k: shape_iou(shape[None], centers)[0, k]) for shape in shapes]
    for k in range(6):
        mine = [shape for shape, n in zip(shapes, nearest) if n == k]
        np.testing.assert_allclose(centers[k], np.exp(np.log(mine).mean(axis=0)), rtol=1e-9)
    assert (np.diff(centers.prod(axis=1)) >= 0).all()


def test_the_same_seed_finds_the_same():
    shapes = clouds()
    np.testing.assert_array_equal(kmeans(shapes, 7, rng(5)), kmeans(shapes, 7, rng(5)))
    assert not np.array_equal(kmeans(shapes, 7, rng(5)), kmeans(shapes, 7, rng(6)))


def test_fewer_shapes_than_centers():
    shapes = np.array([[10.0, 20], [10, 20], [50, 40]])
    np.testing.assert_allclose(kmeans(shapes, 9, rng()), [[10, 20], [50, 40]])
    np.testing.assert_allclose(kmeans(shapes[:1], 3, rng()), [[10, 20]])


def test_a_shape_weighs_as_often_as_it_is_there():
    shapes, weights = np.array([[10.0, 10], [20, 20], [100, 100]]), np.array([3, 1, 2])
    np.testing.assert_allclose(kmeans(shapes, 2, rng(), weights), [[10 * 2**0.25] * 2, [100, 100]])
    np.testing.assert_allclose(kmeans(np.repeat(shapes, weights, axis=0), 2, rng()), [[10 * 2**0.25] * 2, [100, 100]])
