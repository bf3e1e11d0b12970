"""The SSD loss and its alternatives, as `ssdzoo.train.mxnet.loss` computes them."""

from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssdzoo.nn.coder import STDS
from ssdzoo.train.torch.targets import center_to_corner

_MAX_LOG = log(1000 / 16)  # of a predicted side over its anchor's, so that exp stays finite


class ImageLosses(NamedTuple):
    """Losses of each image, tensors (B,) float32: see `MultiBoxLoss`."""

    class_loss: Tensor
    box_loss: Tensor
    divisor: Tensor


class MultiBoxLoss(torch.nn.Module):
    """Sums of the class and box losses of each image, not yet divided by the number of positives.

    Its arguments, inputs and outputs are those of `ssdzoo.train.mxnet.loss.MultiBoxLoss`; class targets are int64.
    """

    def __init__(self, classes: str = "ohem", boxes: str = "smooth_l1", negative_ratio: float = 3, min_negatives: int = 0,
                 box_weight: float = 1.0, rho: float = 1.0, alpha: float = 0.25, gamma: float = 2.0,
                 stds: tuple = STDS):  # fmt: skip
        super().__init__()
        self._class_loss = {"ohem": self._hardest, "focal": self._focal}[classes]
        self._boxes = boxes
        self._negative_ratio, self._min_negatives = negative_ratio, min_negatives
        self._box_weight, self._rho = box_weight, rho
        self._alpha, self._gamma = alpha, gamma
        self._stds = stds

    def forward(
        self, logits: Tensor, offsets: Tensor, class_targets: Tensor, box_targets: Tensor, anchors: Tensor
    ) -> ImageLosses:
        positive = class_targets > 0
        count = positive.sum(1)
        log_p = logits.log_softmax(-1).gather(2, class_targets[..., None])[..., 0]
        class_loss = self._class_loss(log_p, positive, count)
        # What lies under background anchors is meaningless, and might not be finite.
        offsets = torch.where(positive[..., None], offsets, 0.0)
        box_targets = torch.where(positive[..., None], box_targets, 0.0)
        if self._boxes == "smooth_l1":
            box_loss = functional.smooth_l1_loss(offsets, box_targets, reduction="none", beta=self._rho).sum((1, 2))
        else:
            predicted, wanted = self._decode(offsets, anchors), self._decode(box_targets, anchors)
            box_loss = (self._distance(predicted, wanted) * positive).sum(1)
        divisor = count.clamp(min=self._min_negatives / self._negative_ratio)
        return ImageLosses(class_loss, box_loss * self._box_weight, divisor.float())

    def _hardest(self, log_p: Tensor, positive: Tensor, count: Tensor) -> Tensor:
        # Positives have rank behind every negative, because cross-entropy is never below 0.
        candidates = torch.where(positive, -1.0, -log_p.detach())
        order = candidates.sort(dim=1, descending=True, stable=True).indices
        rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
        negatives = (count * self._negative_ratio).clamp(min=self._min_negatives)
        hard = (rank < negatives[:, None]) & ~positive
        return torch.where(positive | hard, -log_p, 0.0).sum(1)

    def _focal(self, log_p: Tensor, positive: Tensor, count: Tensor) -> Tensor:
        alpha = torch.where(positive, self._alpha, 1 - self._alpha)
        return (-log_p * alpha * (1 - log_p.exp()) ** self._gamma).sum(1)

    def _decode(self, offsets: Tensor, anchors: Tensor) -> Tensor:
        """Corner-form boxes (B, N, 4)."""
        center, sides = anchors[..., :2], anchors[..., 2:]
        dx, dy, wider, higher = (offset * std for offset, std in zip(offsets.unbind(-1), self._stds))
        moved = torch.stack([dx, dy], -1) * sides + center
        grown = torch.stack([wider, higher], -1).clamp(-_MAX_LOG, _MAX_LOG).exp() * sides
        return center_to_corner(torch.cat([moved, grown], -1))

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, N): 1 - GIoU or 1 - DIoU of corner-form boxes (B, N, 4) that all have width and height."""
        low_a, high_a, low_b, high_b = a[..., :2], a[..., 2:], b[..., :2], b[..., 2:]
        shared = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).relu().prod(-1)
        union = (high_a - low_a).prod(-1) + (high_b - low_b).prod(-1) - shared
        hull = torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)
        if self._boxes == "giou":
            penalty = 1 - union / hull.prod(-1)
        else:
            between = (low_a + high_a - low_b - high_b) / 2
            penalty = between.square().sum(-1) / hull.square().sum(-1)
        return 1 - shared / union + penalty
