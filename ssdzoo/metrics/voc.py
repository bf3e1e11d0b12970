"""Pascal VOC's average precision, as its devkit computes it (Everingham et al. 2010, section 4.2)."""

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.errors import CallError


class VOCMeanAP:
    """Mean over the classes of the average precision.

    Within a class, detections of all images come in the order of their scores (equal scores in the order of `update`). Each
    is compared with the object of its image that it overlaps most: a hit if that IoU is at least `iou` and no better detection
    has taken the object; nothing if the object is difficult; otherwise a miss.

    Args:
        class_names: names by class id.
        iou: least IoU of a hit.
        use_07: averages the precision at 11 recalls, as VOC did until 2009; else takes the area under the monotone curve.
        inclusive: counts the last pixel in widths and heights, as the devkit does.

    Raises:
        CallError: a name that comes twice.
    """

    def __init__(self, class_names, iou: float = 0.5, use_07: bool = True, inclusive: bool = False):
        self.class_names = list(class_names)
        twice = [name for i, name in enumerate(self.class_names) if name in self.class_names[:i]]
        if twice:
            raise CallError(f"class name {twice[0]!r} comes twice: each needs a name of its own")
        self._iou, self._use_07, self._inclusive = iou, use_07, inclusive
        self.reset()

    def reset(self) -> None:
        """Forgets all images."""
        self._objects = np.zeros(len(self.class_names), np.int64)
        self._scores, self._outcomes, self._classes = [], [], []

    def update(self, pred_boxes, pred_ids, pred_scores, gt_boxes, gt_ids, gt_difficult=None) -> None:
        """Adds one image.

        Args:
            pred_boxes (N, 4), pred_ids (N,), pred_scores (N,): detections; those with id -1 are padding.
            gt_boxes (M, 4), gt_ids (M,): objects; those with id -1 are padding.
            gt_difficult: (M,) objects that count for nothing; None for none.

        Raises:
            CallError: shapes or lengths that don't match, an id without a name, a box or a score that is not finite.
        """
        boxes, (ids, scores) = self._checked("detections", pred_boxes, pred_ids, pred_scores)
        if not np.isfinite(scores).all():
            raise CallError(f"scores must be finite, got {scores[~np.isfinite(scores)][0]}")
        difficult = np.zeros(np.size(gt_ids), bool) if gt_difficult is None else gt_difficult
        gt_boxes, (gt_ids, difficult) = self._checked("objects", gt_boxes, gt_ids, difficult)
        difficult = difficult.astype(bool)
        np.add.at(self._objects, gt_ids[~difficult], 1)
        order = np.argsort(-scores, kind="stable")
        boxes, ids, scores = boxes[order], ids[order], scores[order]
        self._scores.append(scores)
        self._classes.append(ids)
        self._outcomes.append(self._judge(boxes, ids, gt_boxes, gt_ids, difficult))

    def _checked(self, what: str, boxes, ids, extra) -> tuple:
        boxes = np.asarray(boxes, np.float64)
        if boxes.size and boxes.shape[-1] != 4:
            raise CallError(f"{what}: boxes must be (N, 4), got {boxes.shape}")
        boxes = boxes.reshape(-1, 4)
        ids, extra = np.asarray(ids, np.float64).reshape(-1), np.asarray(extra, np.float64).reshape(-1)
        if not len(boxes) == len(ids) == len(extra):
            raise CallError(f"{what}: {len(boxes)} boxes, {len(ids)} ids and {len(extra)} scores or flags don't belong together")
        count = len(self.class_names)
        wrong = ~((ids == np.floor(ids)) & (ids >= -1) & (ids < count))  # NaN is wrong too
        if wrong.any():
            raise CallError(f"{what}: class id {ids[wrong][0]:g}, but there are {count} names: expected 0 to {count - 1}, or -1")
        real = ids >= 0
        broken = ~np.isfinite(boxes[real]).all(axis=1)
        if broken.any():
            raise CallError(f"{what}: boxes must be finite, got {boxes[real][broken][0].tolist()}")
        return boxes[real], (ids[real].astype(np.int64), extra[real])

    def _judge(self, boxes, ids, gt_boxes, gt_ids, difficult) -> np.ndarray:
        """(N,) int8: 1 a hit, 0 a miss, -1 to be ignored; boxes in falling order of score."""
        outcomes = np.zeros(len(ids), np.int8)
        if not len(ids) or not len(gt_ids):
            return outcomes
        overlaps = geometry.iou(boxes, gt_boxes, self._inclusive)
        overlaps[ids[:, None] != gt_ids[None, :]] = -1
        best = overlaps.argmax(axis=1)
        near = overlaps[np.arange(len(ids)), best] >= self._iou
        outcomes[near & difficult[best]] = -1
        hits = np.flatnonzero(near & ~difficult[best])
        _, first = np.unique(best[hits], return_index=True)  # the best detection takes the object
        outcomes[hits[first]] = 1
        return outcomes

    def curve(self, name: str) -> tuple:
        """Recall, precision and score (each (K,) float64) after each counted detection of a class, best first; the recall of
        a class without objects is NaN.

        Raises:
            CallError: an unknown name.
        """
        if name not in self.class_names:
            raise CallError(f"no class {name!r}; known are {', '.join(self.class_names)}")
        return self._curve(self.class_names.index(name), *self._sorted())

    def _sorted(self) -> tuple:
        if not self._scores:
            return (np.zeros(0),) * 3
        scores, outcomes, classes = (np.concatenate(v) for v in (self._scores, self._outcomes, self._classes))
        order = np.argsort(-scores, kind="stable")
        return scores[order], outcomes[order], classes[order]

    def _curve(self, index: int, scores, outcomes, classes) -> tuple:
        counted = (classes == index) & (outcomes >= 0)
        hits = np.cumsum(outcomes[counted] == 1)
        total = self._objects[index]
        recall = hits / total if total else np.full(len(hits), np.nan)
        return recall, hits / np.arange(1, len(hits) + 1), scores[counted]

    def value(self) -> dict:
        """{"mAP": mean, "AP": {name: average precision}}. A class without objects has NaN and is left out of the mean."""
        detections = self._sorted()
        precisions = {}
        for index, name in enumerate(self.class_names):
            recall, precision, _ = self._curve(index, *detections)
            average = eleven_points if self._use_07 else area_under
            precisions[name] = float(average(recall, precision)) if self._objects[index] else float("nan")
        known = [v for v in precisions.values() if v == v]
        return {"mAP": float(np.mean(known)) if known else float("nan"), "AP": precisions}


def eleven_points(recall, precision) -> float:
    """Mean of the best precision at recalls of at least 0, 0.1, ... 1."""
    # np.arange's 0.6 lies a rounding error above 3/5, as in the evaluators whose results are published; exact tenths would
    # move the published VOC2007 answers by up to 8e-4.
    return np.mean([precision[recall >= r].max(initial=0) for r in np.arange(0, 1.1, 0.1)])


def area_under(recall, precision) -> float:
    """Area under the curve, after precision is made to fall with recall."""
    recall = np.concatenate([[0], recall, [1]])
    envelope = np.maximum.accumulate(np.concatenate([[0], precision, [0]])[::-1])[::-1]
    return np.sum(np.diff(recall) * envelope[1:])
