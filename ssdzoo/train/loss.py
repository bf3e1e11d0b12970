"""The SSD loss: softmax cross-entropy with hard negative mining, and smooth L1 (Liu et al. 2016, equations 1 to 3)."""

from ssdzoo.runtime import mxnet

mx = mxnet()


class MultiBoxLoss(mx.gluon.HybridBlock):
    """Sums of the class and box losses of each image, not yet divided by the number of positives.

    Args:
        negative_ratio: hard negatives per positive of the same image: the background anchors of highest loss.
        rho: where smooth L1 turns from square to linear.

    Input: logits (B, N, C + 1); offsets (B, N, 4); class targets (B, N), 0 for the background; box targets (B, N, 4).
    Output: class loss (B,), box loss (B,), number of positives (B,). All float32.
    """

    def __init__(self, negative_ratio: float = 3, rho: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self._negative_ratio = negative_ratio
        self._rho = rho

    def hybrid_forward(self, F, logits, offsets, class_targets, box_targets):
        positive = class_targets > 0
        count = F.sum(positive, axis=1)
        entropy = -F.pick(F.log_softmax(logits, axis=-1), class_targets, axis=-1)
        # Positives have rank behind every negative, because cross-entropy is never below 0.
        candidates = F.where(positive, F.ones_like(entropy) * -1, F.BlockGrad(entropy))
        rank = F.argsort(F.argsort(candidates, axis=1, is_ascend=False), axis=1)
        hard = F.broadcast_lesser(rank, F.expand_dims(count * self._negative_ratio, 1)) * (1 - positive)
        class_loss = F.sum(F.where(positive + hard, entropy, F.zeros_like(entropy)), axis=1)
        distance = F.smooth_l1(offsets - box_targets, scalar=self._rho**-0.5)
        chosen = F.broadcast_like(F.expand_dims(positive, 2), distance)
        box_loss = F.sum(F.where(chosen, distance, F.zeros_like(distance)), axis=(1, 2))
        return class_loss, box_loss, count
