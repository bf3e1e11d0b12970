"""Training targets: which anchor learns which object (Liu et al. 2016, section 2.2, "Matching strategy")."""

from ssdzoo.nn.coder import STDS, center_to_corner, encode
from ssdzoo.runtime import mxnet

mx = mxnet()


class TargetGenerator(mx.gluon.HybridBlock):
    """Class and box targets of every anchor.

    First every object gets an anchor of its own: in the order of their best IoU, objects take their best anchor among those that are
    still free, also where another object overlaps that anchor more. Then every other anchor whose best IoU is at least
    `iou_thresh` goes to the object of that IoU. The rest is background.

    Args:
        iou_thresh: IoU from which an anchor is positive.
        stds: of the box coder.

    Input: anchors (1, N, 4), center form; boxes (B, M, 4), corner form; both in pixels of the network input; class ids (B, M); -1
    where there is no object. Output: class targets (B, N), 0 for the background and class id + 1; offsets (B, N, 4), meaningless
    where the class target is 0. All float32.
    """

    def __init__(self, iou_thresh: float = 0.5, stds=STDS, **kwargs):
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
        iou = F.contrib.box_iou(boxes, corners, format="corner")  # (B, M, N)
        # A missing object is below every threshold; an object that no anchor overlaps stays at 0 and takes one all the same.
        iou = F.broadcast_mul(iou + 1, F.expand_dims(ids >= 0, 2)) - 1
        order = F.argsort(F.max(iou, axis=2), axis=1, is_ascend=False)  # (B, M): object numbers, best first
        batch = F.broadcast_like(F.expand_dims(F.contrib.arange_like(order, axis=0), 1), order)
        ordered = F.transpose(F.gather_nd(iou, F.stack(batch, order)), (1, 0, 2))  # (M, B, N)

        def take_best(row, owner):
            overlaps, number = row  # (B, N) and (B,)
            free = F.where(owner < 0, overlaps, F.ones_like(overlaps) * -2)
            best = F.broadcast_equal(F.contrib.arange_like(free, axis=1).reshape((1, -1)),
                                     F.argmax(free, axis=1, keepdims=True))  # fmt: skip
            real = F.max(overlaps, axis=1, keepdims=True) >= 0
            taken = F.broadcast_mul(best, real)
            number = F.broadcast_like(F.expand_dims(number, 1), owner)
            owner = F.where(taken, number, owner)
            return owner.sum(), owner

        nobody = F.ones_like(F.max(iou, axis=1)) * -1
        _, owner = F.contrib.foreach(take_best, [ordered, F.transpose(order)], nobody)
        best_object = F.argmax(iou, axis=1)
        overlapped = F.where(F.max(iou, axis=1) >= self._iou_thresh, best_object, nobody)
        return F.where(owner >= 0, owner, overlapped)
