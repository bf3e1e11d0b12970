import numpy as np
import pytest

from ssdzoo.runtime import mxnet
from ssdzoo.train.loss import MultiBoxLoss

mx = mxnet()


def slow_loss(logits, offsets, classes, boxes, ratio=3, rho=1.0):
    """One image, as loops."""
    entropy = [-row[int(c)] + np.log(np.exp(row).sum()) for row, c in zip(logits.astype(np.float64), classes)]
    positives = [n for n in range(len(classes)) if classes[n] > 0]
    negatives = sorted((n for n in range(len(classes)) if classes[n] == 0), key=lambda n: -entropy[n])
    chosen = positives + negatives[: int(ratio * len(positives))]
    box_loss = 0.0
    for n in positives:
        for d in np.abs(offsets[n] - boxes[n]):
            box_loss += d - 0.5 * rho if d > rho else 0.5 / rho * d * d
    return sum(entropy[n] for n in chosen), box_loss, len(positives)


def case(batch=3, anchors=80, classes=4, positive=0.1, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (batch, anchors, classes + 1)).astype(np.float32)
    offsets, boxes = rng.normal(0, 1.5, (2, batch, anchors, 4)).astype(np.float32)
    targets = rng.integers(1, classes + 1, (batch, anchors)) * (rng.random((batch, anchors)) < positive)
    return logits, offsets, targets.astype(np.float32), boxes


@pytest.mark.parametrize("ratio, rho, positive", [(3, 1.0, 0.1), (1, 0.5, 0.05), (3, 1.0, 0.6), (3, 1.0, 1.0)])
@pytest.mark.parametrize("hybridize", [False, True])
def test_loss_equals_a_loop(ratio, rho, positive, hybridize):
    arrays = case(positive=positive)
    block = MultiBoxLoss(ratio, rho)
    if hybridize:
        block.hybridize()
    got = np.stack([o.asnumpy() for o in block(*map(mx.nd.array, arrays))], 1)
    expected = [slow_loss(*(a[b] for a in arrays), ratio, rho) for b in range(3)]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_without_objects_the_loss_and_its_gradient_are_zero():
    logits, offsets, targets, boxes = map(mx.nd.array, case(positive=0))
    logits.attach_grad()
    offsets.attach_grad()
    with mx.autograd.record():
        class_loss, box_loss, count = MultiBoxLoss()(logits, offsets, targets, boxes)
        total = (class_loss + box_loss).sum()
    total.backward()
    assert total.asscalar() == 0 and count.asnumpy().tolist() == [0, 0, 0]
    assert (logits.grad.asnumpy() == 0).all() and (offsets.grad.asnumpy() == 0).all()


def test_gradients_reach_only_the_chosen_anchors():
    arrays = case(batch=1)
    logits, offsets, targets, boxes = map(mx.nd.array, arrays)
    logits.attach_grad()
    offsets.attach_grad()
    with mx.autograd.record():
        class_loss, box_loss, count = MultiBoxLoss()(logits, offsets, targets, boxes)
        total = (class_loss + box_loss).sum()
    total.backward()
    positives = int(count.asscalar())
    assert 0 < positives < 20
    assert (np.abs(logits.grad.asnumpy()[0]).sum(1) > 0).sum() == 4 * positives
    rows = np.flatnonzero(np.abs(offsets.grad.asnumpy()[0]).sum(1))
    assert rows.tolist() == np.flatnonzero(arrays[2][0]).tolist()
    n = rows[0]
    softmax = np.exp(arrays[0][0, n]) / np.exp(arrays[0][0, n]).sum()
    softmax[int(arrays[2][0, n])] -= 1
    np.testing.assert_allclose(logits.grad.asnumpy()[0, n], softmax, rtol=1e-4, atol=1e-6)


def test_empty_boxes_at_infinity_do_not_spoil_the_loss():
    logits, offsets, targets, boxes = case(positive=0.1)
    boxes[targets == 0] = np.inf
    assert np.isfinite(MultiBoxLoss()(*map(mx.nd.array, (logits, offsets, targets, boxes)))[1].asnumpy()).all()
