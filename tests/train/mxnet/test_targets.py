import numpy as np
import pytest

from ssdzoo.boxes import center_to_corner, corner_to_center, iou
from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.targets import TargetGenerator

mx = mxnet()


def slow_match(anchors, boxes, ids, threshold=0.5):
    """One image, as loops: (N,) number of each anchor's object, -1 for the background."""
    real = [m for m in range(len(ids)) if ids[m] >= 0]
    overlaps = iou(center_to_corner(anchors), boxes)
    owner = np.full(len(anchors), -1)
    for m in sorted(real, key=lambda m: -overlaps[:, m].max()):
        free = [n for n in range(len(anchors)) if owner[n] < 0]
        owner[max(free, key=lambda n: overlaps[n, m])] = m
    for n in range(len(anchors)):
        if owner[n] < 0 and real:
            best = max(real, key=lambda m: overlaps[n, m])
            owner[n] = best if overlaps[n, best] >= threshold else -1
    return owner


def slow_offsets(anchor, box):
    center = corner_to_center(box[None])[0]
    return [
        (center[0] - anchor[0]) / anchor[2] * 10, (center[1] - anchor[1]) / anchor[3] * 10,
        np.log(center[2] / anchor[2]) * 5, np.log(center[3] / anchor[3]) * 5,
    ]  # fmt: skip


def case(batch, objects, anchors=150, seed=0, real=None):
    rng = np.random.default_rng(seed)
    grid = np.concatenate([rng.uniform(0, 300, (anchors, 2)), rng.uniform(20, 150, (anchors, 2))], 1).astype(np.float32)
    centers = np.concatenate([rng.uniform(30, 270, (batch, objects, 2)), rng.uniform(15, 160, (batch, objects, 2))], 2)
    boxes = np.stack([center_to_corner(c) for c in centers]).astype(np.float32)
    ids = rng.integers(0, 4, (batch, objects)).astype(np.float32)
    for b in range(batch):
        missing = objects if real is None else real[b]
        ids[b, missing:], boxes[b, missing:] = -1, -1
    return grid, boxes, ids


def targets(grid, boxes, ids, hybridize=True):
    block = TargetGenerator()
    if hybridize:
        block.hybridize()
    return [o.asnumpy() for o in block(mx.nd.array(grid[None]), mx.nd.array(boxes), mx.nd.array(ids))]


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("objects, real", [(1, None), (6, None), (40, None), (8, [0, 8, 3, 1])])
def test_targets_equal_a_loop(objects, real, hybridize):
    grid, boxes, ids = case(4, objects, real=real)
    classes, offsets = targets(grid, boxes, ids, hybridize)
    for b in range(4):
        owner = slow_match(grid, boxes[b], ids[b])
        assert classes[b].tolist() == [0 if m < 0 else ids[b, m] + 1 for m in owner]
        for n in np.flatnonzero(owner >= 0):
            np.testing.assert_allclose(offsets[b, n], slow_offsets(grid[n], boxes[b, owner[n]]), rtol=1e-3, atol=1e-3)


def test_an_object_gets_its_best_anchor_even_where_another_one_overlaps_it_more():
    grid = np.array([[50, 50, 40, 40], [58, 50, 40, 40]], np.float32)
    boxes = center_to_corner(np.array([[50, 50, 40, 40], [72, 50, 80, 40]], np.float32))
    overlaps = iou(center_to_corner(grid), boxes)
    assert overlaps[1, 0] > overlaps[1, 1] and overlaps[:, 1].argmax() == 1
    classes, _ = targets(grid, boxes[None], np.array([[0, 1]], np.float32))
    assert classes.tolist() == [[1, 2]]


def test_two_objects_with_the_same_best_anchor_get_one_each():
    grid = np.array([[50, 50, 40, 40], [90, 50, 40, 40], [250, 250, 20, 20]], np.float32)
    boxes = center_to_corner(np.array([[52, 50, 30, 30], [50, 50, 40, 40]], np.float32))
    classes, _ = targets(grid, boxes[None], np.array([[0, 1]], np.float32))
    assert classes.tolist() == [[2, 1, 0]]


def test_an_object_far_from_every_anchor_still_gets_one():
    grid = np.array([[50, 50, 40, 40], [90, 50, 40, 40]], np.float32)
    boxes = np.array([[[400, 400, 410, 410]]], np.float32)
    classes, offsets = targets(grid, boxes, np.array([[2]], np.float32))
    assert sorted(classes[0].tolist()) == [0, 3] and np.isfinite(offsets).all()


def test_no_objects_at_all():
    grid, boxes, ids = case(2, 3, real=[0, 0])
    classes, offsets = targets(grid, boxes, ids)
    assert (classes == 0).all() and np.isfinite(offsets).all()


def test_the_threshold():
    grid = np.array([[50, 50, 40, 40], [63.3, 50, 40, 40], [63.4, 50, 40, 40]], np.float32)
    boxes = center_to_corner(np.array([[50, 50, 40, 40]], np.float32))
    overlaps = iou(center_to_corner(grid), boxes)[:, 0]
    assert overlaps[1] > 0.5 > overlaps[2]
    assert targets(grid, boxes[None], np.array([[0]], np.float32))[0].tolist() == [[1, 1, 0]]
