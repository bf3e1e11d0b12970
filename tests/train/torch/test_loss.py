"""Torch's losses and their gradients are MXNet's."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.loss import MultiBoxLoss as TheirLoss
from ssdzoo.train.torch.loss import MultiBoxLoss
from tests.train.mxnet.test_loss import case
from tests.train.mxnet.test_loss import gradients as their_gradients

mx = mxnet()


def gradients(loss, arrays):
    """Of logits and offsets, the divisor, and the sum of the losses: as `their_gradients`."""
    logits, offsets, classes, *rest = map(torch.from_numpy, arrays)
    logits.requires_grad_()
    offsets.requires_grad_()
    class_loss, box_loss, divisor = loss(logits, offsets, classes.long(), *rest)
    total = (class_loss + box_loss).sum()
    total.backward()
    return logits.grad.numpy(), offsets.grad.numpy(), divisor.numpy(), total.item()


@pytest.mark.parametrize("classes", ["ohem", "focal"])
@pytest.mark.parametrize("boxes", ["smooth_l1", "giou", "diou"])
@pytest.mark.parametrize("positive, settings", [
    (0, {"min_negatives": 3}), (0, {}), (0.1, {"box_weight": 2.5}), (0.2, {"rho": 0.5, "negative_ratio": 1}),
    (0.6, {"min_negatives": 9}), (1, {}),
])  # fmt: skip
def test_every_kind_of_loss(classes, boxes, positive, settings):
    arrays = case(positive=positive, seed=1)
    found, expected = (of(loss(classes, boxes, **settings), arrays)
                       for of, loss in ((gradients, MultiBoxLoss), (their_gradients, TheirLoss)))  # fmt: skip
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_losses_of_each_image():
    arrays = case(positive=0.1)
    found = MultiBoxLoss(min_negatives=3)(*(torch.from_numpy(a).long() if i == 2 else torch.from_numpy(a)
                                            for i, a in enumerate(arrays)))  # fmt: skip
    expected = TheirLoss(min_negatives=3)(*map(mx.nd.array, arrays))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("boxes", ["smooth_l1", "giou", "diou"])
def test_meaningless_targets_and_wild_predictions(boxes):
    logits, offsets, targets, wanted, grid = case(positive=0.1)
    clean = gradients(MultiBoxLoss(boxes=boxes), (logits, offsets, targets, wanted, grid))
    wanted[targets == 0], offsets[targets == 0] = np.inf, 1e30
    for a, b in zip(clean, gradients(MultiBoxLoss(boxes=boxes), (logits, offsets, targets, wanted, grid))):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    logits, offsets, targets, wanted, grid = case(positive=0.5)
    assert all(np.isfinite(g).all() for g in gradients(MultiBoxLoss(boxes=boxes), (logits, offsets * 300, targets, wanted, grid)))
