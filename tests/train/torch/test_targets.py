"""Torch's targets are MXNet's, exactly."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.targets import TargetGenerator
from ssdzoo.train.torch.targets import make_targets
from tests.train.mxnet.test_targets import case

mx = mxnet()


@pytest.fixture(scope="module")
def theirs():
    block = TargetGenerator()
    block.hybridize()
    return lambda *arrays: [output.asnumpy() for output in block(*map(mx.nd.array, arrays))]


def ours(*arrays):
    return [output.numpy() for output in make_targets(*map(torch.from_numpy, arrays))]


def on_a_grid(grid, boxes, ids):
    """Anchors and boxes of a few sizes in a few places: many IoUs are equal, those of several objects and one anchor too."""
    grid = (np.round(grid / 40) * 40 + [0, 0, 20, 20]).astype(np.float32)
    return grid, np.where(ids[..., None] < 0, -1, np.round(boxes / 40) * 40).astype(np.float32), ids


def assert_equal(theirs, grid, boxes, ids):
    (classes, offsets), (expected, expected_offsets) = ours(grid[None], boxes, ids), theirs(grid[None], boxes, ids)
    np.testing.assert_array_equal(classes, expected)
    positive = expected > 0
    np.testing.assert_allclose(offsets[positive], expected_offsets[positive], rtol=1e-5, atol=1e-5)
    assert np.isfinite(offsets).all()


# MXNet's sort leaves the order of equal best IoUs open where there are more than 16 objects.
@pytest.mark.parametrize("objects, anchors, ties", [(1, 150, True), (3, 150, True), (8, 60, True), (16, 90, True),
                                                   (3, 400, False), (40, 300, False)])  # fmt: skip
def test_three_thousand_images(theirs, objects, anchors, ties):
    for seed in range(5):
        real = np.random.default_rng(seed).integers(0, objects + 1, 100)
        drawn = case(100, objects, anchors=anchors, seed=seed, real=real)
        assert_equal(theirs, *(on_a_grid(*drawn) if ties else drawn))


def test_objects_in_one_place_and_boxes_without_area(theirs):
    grid, boxes, ids = case(20, 12, anchors=80)
    boxes[:, 1:4] = boxes[:, :1]
    boxes[:, 5, 2:] = boxes[:, 5, :2]
    assert_equal(theirs, grid, boxes, ids)


def test_no_objects(theirs):
    grid, boxes, ids = case(2, 3, real=[0, 0])
    assert_equal(theirs, grid, boxes, ids)
    assert not ours(grid[None], boxes, ids)[0].any()
