"""Training targets: which anchor learns which object (Liu et al. 2016, section 2.2, "Matching strategy")."""

from typing import Any

from ssdzoo.nn.coder import STDS, center_to_corner, encode
from ssdzoo.runtime import mx


class TargetGenerator(mx.gluon.HybridBlock):
    """Class and box targets of every anchor.

    First every object gets an anchor of its own: in the order of their best IoU, objects take their best anchor among
    those that are still free, also where another object overlaps that anchor more. Then every other anchor whose best
    IoU is at least `iou_thresh` goes to the object of that IoU. The rest is background.

    Args:
        iou_thresh: IoU from which an anchor is positive.
        stds: of the box coder.

    Input: anchors (1, N, 4), center form; boxes (B, M, 4), corner form; both in pixels of the network input; class ids (B, M); -1
    where there is no object. Output: class targets (B, N), 0 for the background and class id + 1; offsets (B, N, 4), meaningless
    where the class target is 0. All float32.
    """

    def __init__(self, iou_thresh: float = 0.5, stds: tuple = STDS, **kwargs: Any):
        super().__init__(**kwargs)
        self._iou_thresh = iou_thresh
        self._stds = stds

    def hybrid_forward(self, F, anchors, boxes, ids):
        matches = self._match(F, anchors, boxes, ids)
        objects = F.clip(matches, 0, 1e9)
        batch = F.broadcast_like(F.expand_dims(F.contrib.arange_like(matches, axis=0), 1), matches)
        where = F.stack(batch, objects)
        positive = matches >= 0
        classes = F.where(positive, F.gather_nd(ids, where) + 1, F.zeros_like(matches))
        return classes, encode(F, F.gather_nd(boxes, where), anchors, self._stds)

    def _match(self, F, anchors, boxes, ids):
        """(B, N): index of each anchor's object, -1 for the background."""
        corners = center_to_corner(F, anchors).reshape((-1, 4))
        iou = F.contrib.box_iou(boxes, corners, format="corner")  # (B, M, N); 0 for missing objects
        order = F.argsort(F.max(iou, axis=2), axis=1, is_ascend=False)  # (B, M): object numbers, best first
        batch = F.broadcast_like(F.expand_dims(F.contrib.arange_like(order, axis=0), 1), order)
        where = F.stack(batch, order)
        overlaps = F.transpose(F.gather_nd(iou, where), (1, 0, 2))  # (M, B, N)
        # What an anchor's owner, -1 so far, becomes greater by: 0 where the object is missing.
        gains = F.transpose((order + 1) * (F.gather_nd(ids, where) >= 0))  # (M, B)
        nobody = F.zeros_like(F.squeeze(F.slice_axis(iou, axis=1, begin=0, end=1), axis=1)) - 1
        columns = F.reshape(F.contrib.arange_like(nobody, axis=1), (1, -1))

        def take_best(row, owner):
            overlap, gain = row  # (B, N), (B,)
            best = F.argmax(overlap - (owner >= 0) * 2, axis=1, keepdims=True)
            taken = F.broadcast_mul(F.broadcast_equal(columns, best), F.expand_dims(gain, 1))
            return gain, owner + taken

        _, owner = F.contrib.foreach(take_best, [overlaps, gains], nobody)
        overlapped = F.where(F.max(iou, axis=1) >= self._iou_thresh, F.argmax(iou, axis=1), nobody)
        return F.where(owner >= 0, owner, overlapped)
