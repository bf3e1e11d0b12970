"""The SSD loss (Liu et al. 2016, equations 1 to 3), and alternatives to its two parts."""

from math import log
from typing import Any

from ssdzoo.nn.coder import STDS, center_to_corner
from ssdzoo.runtime import mx

_MAX_LOG = log(1000 / 16)  # of a predicted side over its anchor's, so that exp stays finite


class MultiBoxLoss(mx.gluon.HybridBlock):
    """Sums of the class and box losses of each image, not yet divided by the number of positives.

    Args:
        classes: "ohem" is the paper's softmax cross-entropy of the positives and of the hardest negatives; "focal" that of
            all anchors, times alpha (1 - alpha for the background) times (1 - p)^gamma (Lin et al. 2017, equation 5).
        boxes: "smooth_l1" of the offsets (Girshick 2015, equation 3), or, of the decoded boxes, "giou": 1 - GIoU
            (Rezatofighi et al. 2019, algorithm 1) or "diou": 1 - DIoU (Zheng et al. 2020, equation 7).
        negative_ratio: hard negatives, which are the background anchors of highest loss, per positive of the same image.
        min_negatives: minimum number of hard negatives of an image, such as one without objects.
        box_weight: factor of the box loss.
        rho: where smooth L1 turns from square to linear.
        alpha, gamma: of the focal loss.
        stds: of the box coder.

    Input: logits (B, N, C + 1); offsets (B, N, 4); class targets (B, N), 0 for the background; box targets (B, N, 4); anchors
    (1, N, 4), center form.
    Output: class loss (B,), box loss (B,) and a divisor (B,): the number of positives, but at least min_negatives /
    negative_ratio. The loss of a batch is the sum of its losses over the sum of its divisors. All float32.
    """

    def __init__(self, classes: str = "ohem", boxes: str = "smooth_l1", negative_ratio: float = 3, min_negatives: int = 0,
                 box_weight: float = 1.0, rho: float = 1.0, alpha: float = 0.25, gamma: float = 2.0, stds: tuple = STDS,
                 **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self._class_loss = {"ohem": self._hardest, "focal": self._focal}[classes]
        self._boxes = boxes
        self._negative_ratio, self._min_negatives = negative_ratio, min_negatives
        self._box_weight, self._rho = box_weight, rho
        self._alpha, self._gamma = alpha, gamma
        self._stds = stds

    def hybrid_forward(self, F, logits, offsets, class_targets, box_targets, anchors):
        positive = class_targets > 0
        count = F.sum(positive, axis=1)
        log_p = F.pick(F.log_softmax(logits, axis=-1), class_targets, axis=-1)
        class_loss = self._class_loss(F, log_p, positive, count)
        # What lies under background anchors is meaningless, and might not be finite.
        chosen = F.broadcast_like(F.expand_dims(positive, 2), offsets)
        offsets = F.where(chosen, offsets, F.zeros_like(offsets))
        box_targets = F.where(chosen, box_targets, F.zeros_like(offsets))
        if self._boxes == "smooth_l1":
            box_loss = F.sum(F.smooth_l1(offsets - box_targets, scalar=self._rho**-0.5), axis=(1, 2))
        else:
            predicted, wanted = self._decode(F, offsets, anchors), self._decode(F, box_targets, anchors)
            box_loss = F.sum(self._distance(F, predicted, wanted) * positive, axis=1)
        return class_loss, box_loss * self._box_weight, F.clip(count, self._min_negatives / self._negative_ratio, 1e9)

    def _hardest(self, F, log_p, positive, count):
        # Positives have rank behind every negative, because cross-entropy is never below 0.
        candidates = F.where(positive, F.ones_like(log_p) * -1, F.BlockGrad(-log_p))
        rank = F.argsort(F.argsort(candidates, axis=1, is_ascend=False), axis=1)
        negatives = F.clip(count * self._negative_ratio, self._min_negatives, 1e9)
        hard = F.broadcast_lesser(rank, F.expand_dims(negatives, 1)) * (1 - positive)
        return F.sum(F.where(positive + hard, -log_p, F.zeros_like(log_p)), axis=1)

    def _focal(self, F, log_p, positive, count):
        alpha = positive * (2 * self._alpha - 1) + (1 - self._alpha)
        return F.sum(-log_p * alpha * (1 - F.exp(log_p)) ** self._gamma, axis=1)

    def _decode(self, F, offsets, anchors):
        """Corner-form boxes (B, N, 4)."""
        tx, ty, tw, th = F.split(offsets, axis=-1, num_outputs=4)
        cx, cy, w, h = F.split(anchors, axis=-1, num_outputs=4)
        cx = F.broadcast_add(F.broadcast_mul(tx * self._stds[0], w), cx)
        cy = F.broadcast_add(F.broadcast_mul(ty * self._stds[1], h), cy)
        w = F.broadcast_mul(F.exp(F.clip(tw * self._stds[2], -_MAX_LOG, _MAX_LOG)), w)
        h = F.broadcast_mul(F.exp(F.clip(th * self._stds[3], -_MAX_LOG, _MAX_LOG)), h)
        return center_to_corner(F, F.concat(cx, cy, w, h, dim=-1))

    def _distance(self, F, a, b):
        """(B, N): 1 - GIoU or 1 - DIoU of corner-form boxes (B, N, 4) that all have width and height."""

        def part(x, begin, end):
            return F.slice_axis(x, axis=-1, begin=begin, end=end)

        def area(sides):
            return part(sides, 0, 1) * part(sides, 1, 2)

        low_a, high_a, low_b, high_b = part(a, 0, 2), part(a, 2, 4), part(b, 0, 2), part(b, 2, 4)
        shared = area(F.relu(F.minimum(high_a, high_b) - F.maximum(low_a, low_b)))
        union = area(high_a - low_a) + area(high_b - low_b) - shared
        hull = F.maximum(high_a, high_b) - F.minimum(low_a, low_b)
        if self._boxes == "giou":
            penalty = 1 - union / area(hull)
        else:
            between = (low_a + high_a - low_b - high_b) / 2
            penalty = F.sum(between**2, axis=-1, keepdims=True) / F.sum(hull**2, axis=-1, keepdims=True)
        return F.squeeze(1 - shared / union + penalty, axis=2)
