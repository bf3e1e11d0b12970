import numpy as np
import pytest

from ssdzoo.boxes import iou
from ssdzoo.nn.detect import Detect
from ssdzoo.runtime import mxnet

mx = mxnet()


def slow_detect(logits, boxes, thresh, topk, post):
    """One image: softmax, then greedy suppression within each class, written as loops."""
    scores = np.exp(logits - logits.max(1, keepdims=True))
    scores /= scores.sum(1, keepdims=True)
    candidates = [
        (scores[n, c + 1], c, n) for c in range(logits.shape[1] - 1) for n in range(len(logits)) if scores[n, c + 1] > 0.01
    ]
    candidates = sorted(candidates, key=lambda row: -row[0])[:topk]
    kept = []
    for score, c, n in candidates:
        if all(c != other or iou(boxes[n : n + 1], boxes[m : m + 1])[0, 0] <= thresh for _, other, m in kept):
            kept.append((score, c, n))
    return kept[:post]


def run(block, logits, boxes):
    """Detections for boxes that are given as anchors, with offsets of zero."""
    centers = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    outputs = block(mx.nd.array(logits[None]), mx.nd.zeros((1, len(boxes), 4)), mx.nd.array(centers[None]))
    ids, scores, found = (o.asnumpy()[0] for o in outputs)
    return ids[:, 0], scores[:, 0], found


def random_case(count=120, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 100, (count, 2))], 1).astype(np.float32)
    return rng.normal(0, 2, (count, classes + 1)).astype(np.float32), boxes


@pytest.mark.parametrize("thresh, topk, post", [(0.45, 400, 100), (0.3, 60, 100), (0.6, 400, 7), (0.45, -1, -1)])
@pytest.mark.parametrize("hybridize", [False, True])
def test_detections_equal_a_loop(thresh, topk, post, hybridize):
    logits, boxes = random_case()
    block = Detect(3, thresh, topk, post)
    if hybridize:
        block.hybridize()
    ids, scores, found = run(block, logits, boxes)
    expected = slow_detect(logits, boxes, thresh, topk if topk > 0 else None, post if post > 0 else None)
    count = len(expected)
    assert (ids >= 0).sum() == count
    assert ids[:count].tolist() == [c for _, c, _ in expected]
    np.testing.assert_allclose(scores[:count], [s for s, _, _ in expected], rtol=1e-5)
    np.testing.assert_allclose(found[:count], boxes[[n for _, _, n in expected]], atol=1e-3)
    assert (ids[count:] == -1).all() and (scores[count:] == -1).all() and (found[count:] == -1).all()


def test_two_classes_on_one_place_both_survive():
    boxes = np.array([[10, 10, 110, 110], [12, 10, 112, 110], [11, 10, 111, 110]], np.float32)
    logits = np.array([[0, 5, 0], [0, 0, 5], [0, 4, 0]], np.float32)
    ids, scores, _ = run(Detect(2), logits, boxes)
    kept = scores > 0.9
    assert sorted(ids[kept].tolist()) == [0, 1]  # the third lies on the first, of the same class


def test_at_most_100_of_400():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(25), np.arange(25)), -1).reshape(-1, 2) * 20.0
    boxes = np.concatenate([grid, grid + 10], 1).astype(np.float32)
    logits = np.stack([np.zeros(625), rng.uniform(1, 5, 625)], 1).astype(np.float32)
    block = Detect(1)
    ids, scores, _ = run(block, logits, boxes)
    assert len(ids) == 100 and (ids == 0).all() and (np.diff(scores) <= 0).all()
    block.set_nms(0.45, 400, -1)
    assert (run(block, logits, boxes)[0] == 0).sum() == 400


def test_fewer_candidates_than_places():
    ids, _, _ = run(Detect(2), np.zeros((3, 3), np.float32), random_case(3)[1])
    assert len(ids) == 6


def test_without_suppression_everything_comes_back():
    logits, boxes = random_case(30)
    assert len(run(Detect(3, nms_thresh=0), logits, boxes)[0]) == 90


def test_nothing_found():
    logits, boxes = random_case(30)
    logits[:, 0] = 50
    ids, scores, found = run(Detect(3), logits, boxes)
    assert (ids == -1).all() and (scores == -1).all() and (found == -1).all()
