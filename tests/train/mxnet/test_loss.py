import numpy as np
import pytest

from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.loss import MultiBoxLoss

mx = mxnet()


def slow_loss(logits, offsets, classes, boxes, anchors, ratio=3, least=0, rho=1.0, class_loss="ohem", box_loss="smooth_l1"):
    """One image, as loops: class loss, box loss, divisor."""
    probabilities = [np.exp(row[int(c)]) / np.exp(row).sum() for row, c in zip(logits.astype(np.float64), classes)]
    positives = [n for n in range(len(classes)) if classes[n] > 0]
    if class_loss == "ohem":
        negatives = sorted((n for n in range(len(classes)) if classes[n] == 0), key=lambda n: probabilities[n])
        chosen = positives + negatives[: int(max(ratio * len(positives), least))]
        class_sum = sum(-np.log(probabilities[n]) for n in chosen)
    else:
        weights = [0.25 if c > 0 else 0.75 for c in classes]
        class_sum = sum(-w * (1 - p) ** 2 * np.log(p) for w, p in zip(weights, probabilities))
    box_sum = 0.0
    for n in positives:
        if box_loss == "smooth_l1":
            for d in np.abs(offsets[n] - boxes[n]):
                box_sum += d - 0.5 * rho if d > rho else 0.5 / rho * d * d
        else:
            box_sum += slow_distance(box_loss, slow_decode(offsets[n], anchors[n]), slow_decode(boxes[n], anchors[n]))
    return class_sum, box_sum, max(len(positives), least / ratio)


def slow_decode(offset, anchor):
    t, (x, y, w, h) = offset.astype(np.float64), anchor.astype(np.float64)
    x, y, w, h = x + t[0] / 10 * w, y + t[1] / 10 * h, w * np.exp(t[2] / 5), h * np.exp(t[3] / 5)
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def slow_distance(kind, a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    hull_width, hull_height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    iou = width * height / union
    if kind == "giou":
        hull = hull_width * hull_height
        return 1 - (iou - (hull - union) / hull)
    squared = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    return 1 - (iou - squared / (hull_width**2 + hull_height**2))


def case(batch=3, anchors=80, classes=4, positive=0.1, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (batch, anchors, classes + 1)).astype(np.float32)
    offsets, boxes = rng.normal(0, 1.5, (2, batch, anchors, 4)).astype(np.float32)
    targets = rng.integers(1, classes + 1, (batch, anchors)) * (rng.random((batch, anchors)) < positive)
    grid = np.concatenate([rng.uniform(0, 300, (1, anchors, 2)), rng.uniform(20, 90, (1, anchors, 2))], 2)
    return logits, offsets, targets.astype(np.float32), boxes, grid.astype(np.float32)


def evaluated(block, arrays, hybridize=True):
    if hybridize:
        block.hybridize()
    return np.stack([o.asnumpy() for o in block(*map(mx.nd.array, arrays))], 1)


@pytest.mark.parametrize(
    "ratio, least, rho, positive", [(3, 0, 1, 0.1), (1, 0, 0.5, 0.05), (3, 9, 1, 0.6), (3, 60, 1, 0.01), (3, 0, 1, 1)]
)
@pytest.mark.parametrize("hybridize", [False, True])
def test_loss_equals_a_loop(ratio, least, rho, positive, hybridize):
    *arrays, grid = case(positive=positive)
    got = evaluated(MultiBoxLoss(negative_ratio=ratio, min_negatives=least, rho=rho), (*arrays, grid), hybridize)
    expected = [slow_loss(*(a[b] for a in arrays), grid[0], ratio, least, rho) for b in range(3)]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("classes", ["ohem", "focal"])
@pytest.mark.parametrize("boxes", ["smooth_l1", "giou", "diou"])
@pytest.mark.parametrize("positive", [0, 0.2])
def test_every_kind_of_loss_equals_a_loop(classes, boxes, positive):
    *arrays, grid = case(positive=positive, seed=1)
    got = evaluated(MultiBoxLoss(classes, boxes, min_negatives=3, box_weight=2.5), (*arrays, grid))
    expected = [slow_loss(*(a[b] for a in arrays), grid[0], least=3, class_loss=classes, box_loss=boxes) for b in range(3)]
    np.testing.assert_allclose(got, np.array(expected) * [1, 2.5, 1], rtol=1e-4)
    assert positive or (got[:, 1:] == [0, 1]).all()


@pytest.mark.parametrize("kind", ["giou", "diou"])
def test_distances_of_boxes_by_hand(kind):
    """20x20 pixels from an anchor of that size: in its place, moved by half, and 60 to the right (and as far down)."""
    grid = np.array([[[100, 100, 20, 20]] * 3], np.float32)
    wanted = np.zeros((1, 3, 4), np.float32)
    offsets = np.array([[[0, 0, 0, 0], [5, 0, 0, 0], [30, 30, 0, 0]]], np.float32)
    logits = np.zeros((1, 3, 2), np.float32)

    def loss(n):
        targets = np.eye(3, dtype=np.float32)[n : n + 1]
        return evaluated(MultiBoxLoss(boxes=kind), (logits, offsets, targets, wanted, grid))[0, 1]

    assert loss(0) == pytest.approx(0, abs=1e-6)
    # Half moved: IoU 1/3 in a hull of 30x20 that the boxes fill; centers 10 apart, the hull's diagonal is the root of 1300.
    assert loss(1) == pytest.approx(2 / 3 if kind == "giou" else 2 / 3 + 100 / 1300, rel=1e-5)
    # Apart: a hull of 80x80 with 800 pixels filled; centers the root of 7200 apart in a diagonal of the root of 12800.
    assert loss(2) == pytest.approx(1 + 5600 / 6400 if kind == "giou" else 1 + 7200 / 12800, rel=1e-5)


def gradients(block, arrays):
    logits, offsets, *rest = map(mx.nd.array, arrays)
    logits.attach_grad()
    offsets.attach_grad()
    with mx.autograd.record():
        class_loss, box_loss, divisor = block(logits, offsets, *rest)
        total = (class_loss + box_loss).sum()
    total.backward()
    return logits.grad.asnumpy(), offsets.grad.asnumpy(), divisor.asnumpy(), total.asscalar()


@pytest.mark.parametrize("boxes", ["smooth_l1", "giou", "diou"])
def test_without_objects_the_loss_and_its_gradient_are_zero(boxes):
    logits, offsets, divisor, total = gradients(MultiBoxLoss(boxes=boxes), case(positive=0))
    assert total == 0 and divisor.tolist() == [0, 0, 0] and (logits == 0).all() and (offsets == 0).all()


def test_without_objects_the_hardest_negatives_teach():
    logits, offsets, divisor, _ = gradients(MultiBoxLoss(min_negatives=6), case(positive=0))
    assert ((np.abs(logits).sum(2) > 0).sum(1) == 6).all() and (offsets == 0).all() and divisor.tolist() == [2, 2, 2]


def test_gradients_reach_only_the_chosen_anchors():
    arrays = case(batch=1)
    logits, offsets, divisor, _ = gradients(MultiBoxLoss(), arrays)
    positives = int(divisor[0])
    assert 0 < positives < 20
    assert (np.abs(logits[0]).sum(1) > 0).sum() == 4 * positives
    rows = np.flatnonzero(np.abs(offsets[0]).sum(1))
    assert rows.tolist() == np.flatnonzero(arrays[2][0]).tolist()
    n = rows[0]
    softmax = np.exp(arrays[0][0, n]) / np.exp(arrays[0][0, n]).sum()
    softmax[int(arrays[2][0, n])] -= 1
    np.testing.assert_allclose(logits[0, n], softmax, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("boxes", ["smooth_l1", "giou", "diou"])
def test_meaningless_targets_under_the_background_spoil_nothing(boxes):
    logits, offsets, targets, wanted, grid = case(positive=0.1)
    clean = gradients(MultiBoxLoss(boxes=boxes), (logits, offsets, targets, wanted, grid))
    wanted[targets == 0], offsets[targets == 0] = np.inf, 1e30
    for a, b in zip(clean, gradients(MultiBoxLoss(boxes=boxes), (logits, offsets, targets, wanted, grid))):
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("boxes", ["giou", "diou"])
def test_wild_predictions_have_a_finite_gradient(boxes):
    logits, offsets, targets, wanted, grid = case(positive=0.5)
    assert all(np.isfinite(g).all() for g in gradients(MultiBoxLoss(boxes=boxes), (logits, offsets * 300, targets, wanted, grid)))


@pytest.mark.parametrize("boxes", ["giou", "diou"])
def test_box_gradients_equal_differences(boxes):
    logits, offsets, targets, wanted, grid = case(batch=1, anchors=12, positive=0.5, seed=3)
    _, grad, *_ = gradients(MultiBoxLoss(boxes=boxes), (logits, offsets, targets, wanted, grid))
    n = int(np.flatnonzero(targets[0])[0])
    for k in range(4):
        sides = [slow_decode(offsets[0, n] + np.eye(4)[k] * e, grid[0, n]) for e in (1e-5, -1e-5)]
        far, near = (slow_distance(boxes, side, slow_decode(wanted[0, n], grid[0, n])) for side in sides)
        assert grad[0, n, k] == pytest.approx((far - near) / 2e-5, rel=2e-3, abs=1e-5)
