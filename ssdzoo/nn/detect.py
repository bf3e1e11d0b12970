"""From head outputs to detections: softmax, decoding, and NMS class by class."""

from typing import Any

from ssdzoo.detections import SCORE_THRESHOLD
from ssdzoo.nn.coder import STDS, decode
from ssdzoo.runtime import mx


class Detect(mx.gluon.HybridBlock):
    """Detections from class logits and box offsets; holds no parameters.

    Every anchor is a candidate for each class whose score is above 0.01. The best `nms_topk` candidates over all classes
    are kept, then those are dropped that overlap a better one of the same class by more than `nms_thresh`, and the first
    `post_nms` are returned.

    Args:
        num_classes: C, without the background.
        nms_thresh: IoU threshold of the NMS; 0 or less, or 1 or more, returns all C * N candidates without NMS.
        nms_topk: maximum number of candidates that enter; -1 for all.
        post_nms: maximum number of detections; -1 for all.
        stds: of the box coder.
        suppress: what a box removes: "per-class", worse ones of its own class; or "across", of all classes.

    Input: logits (B, N, C + 1) with the background first, offsets (B, N, 4), anchors (1, N, 4) in center form.
    Output: class ids (B, post_nms, 1), scores (B, post_nms, 1), boxes (B, post_nms, 4) in corner form and input pixels, best
    first; -1 where there is no detection. All float32.
    """

    def __init__(self, num_classes: int, nms_thresh: float = 0.45, nms_topk: int = 400, post_nms: int = 100,
                 stds: tuple = STDS, suppress: str = "per-class", **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.num_classes, self._stds, self._suppress = num_classes, stds, suppress
        self.nms_thresh, self.nms_topk, self.post_nms = nms_thresh, nms_topk, post_nms

    def set_nms(self, nms_thresh: float, nms_topk: int, post_nms: int) -> None:
        """Changes the NMS, also after `hybridize`."""
        self._clear_cached_op()
        self.nms_thresh, self.nms_topk, self.post_nms = nms_thresh, nms_topk, post_nms

    def set_classes(self, num_classes: int) -> None:
        """Changes the number of classes, also after `hybridize`."""
        self._clear_cached_op()
        self.num_classes = num_classes

    def hybrid_forward(self, F, logits, offsets, anchors):
        boxes = decode(F, offsets, anchors, self._stds)
        scores = F.slice_axis(F.softmax(logits, axis=-1), axis=-1, begin=1, end=None)
        scores = F.transpose(scores, (0, 2, 1))  # (B, C, N): ties keep the order of classes, then anchors
        ids = F.broadcast_add(F.zeros_like(scores), F.arange(self.num_classes).reshape((1, -1, 1)))
        confident = scores > SCORE_THRESHOLD
        ids = F.where(confident, ids, F.ones_like(ids) * -1)
        scores = F.where(confident, scores, F.zeros_like(scores))
        boxes = F.broadcast_axis(F.expand_dims(boxes, axis=1), axis=1, size=self.num_classes)
        rows = F.concat(F.expand_dims(ids, -1), F.expand_dims(scores, -1), boxes, dim=-1).reshape((0, -3, 6))
        if 0 < self.nms_thresh < 1:
            rows = F.contrib.box_nms(
                rows, overlap_thresh=self.nms_thresh, topk=self.nms_topk, valid_thresh=SCORE_THRESHOLD,
                id_index=0, score_index=1, coord_start=2, force_suppress=self._suppress == "across",
            )  # fmt: skip
            if self.post_nms > 0:
                # Unlike slice_axis this takes what there is where a small input has fewer candidates.
                rows = F.slice(rows, begin=(None, 0), end=(None, self.post_nms))
        return tuple(F.slice_axis(rows, axis=2, begin=b, end=e) for b, e in ((0, 1), (1, 2), (2, 6)))
