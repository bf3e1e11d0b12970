"""Pascal VOC's average precision, as its devkit computes it (Everingham et al. 2010, section 4.2)."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.errors import CallError
from ssdzoo.metrics.inputs import Array, as_detections, as_names, as_objects
from ssdzoo.metrics.sizes import SIZES, within


class VOCMeanAP:
    """Mean over the classes of the average precision.

    The detections of a class, in all images, are sorted by score (equal scores in the order of `update`). Each is compared with
    the object of its image that it overlaps most. With an IoU of at least `iou` it is a true positive, unless a better detection
    has taken the object, and ignored if the object is difficult. All others are false positives.

    Args:
        class_names: names by class id.
        iou: minimum IoU of a true positive.
        use_07: averages the precision at 11 recalls, as VOC did until 2009; otherwise takes the area under the monotone curve.
        inclusive: adds the last pixel to widths and heights, as the devkit does.

    Raises:
        CallError: a name that comes twice.
    """

    def __init__(self, class_names: Iterable[str], iou: float = 0.5, use_07: bool = True, inclusive: bool = False):
        self.class_names = as_names(class_names)
        self._iou, self._use_07, self._inclusive = iou, use_07, inclusive
        self.reset()

    def reset(self) -> None:
        """Forgets all images."""
        self._detections: list[tuple] = []
        self._objects: list[tuple] = []
        self._ordered: list[tuple] | None = None

    def update(self, pred_boxes: Array, pred_ids: Array, pred_scores: Array, gt_boxes: Array, gt_ids: Array,
               gt_difficult: Array | None = None) -> None:  # fmt: skip
        """Adds one image.

        Args:
            pred_boxes (N, 4), pred_ids (N,), pred_scores (N,): detections, boxes as xyxy pixels; those with id -1 are padding.
            gt_boxes (M, 4), gt_ids (M,): objects; those with id -1 are padding.
            gt_difficult: (M,) whether each object is ignored; None for none.

        Raises:
            CallError: shapes or lengths that don't match, an id without a name, a box or a score that is not finite.
        """
        boxes, ids, scores = as_detections(self.class_names, pred_boxes, pred_ids, pred_scores)
        real_boxes, real_ids, difficult = as_objects(self.class_names, gt_boxes, gt_ids, gt_difficult)
        order = np.argsort(-scores, kind="stable")
        boxes, ids, scores = boxes[order], ids[order], scores[order]
        areas, gt_areas = geometry.area(boxes, self._inclusive), geometry.area(real_boxes, self._inclusive)
        outcomes, best = self._judge(boxes, ids, real_boxes, real_ids, difficult)
        # The size of a detection is that of the object that it hits, or else its own.
        sized = np.where(best >= 0, np.append(gt_areas, 0)[best], areas)
        self._detections.append((ids, outcomes, scores, sized))
        self._objects.append((real_ids[~difficult], gt_areas[~difficult]))
        self._ordered = None

    def _judge(self, boxes, ids, gt_boxes, gt_ids, difficult):
        """Outcomes (N,) int8: 1 a true positive, 0 a false one, -1 ignored; and the object (N,) that each hits, or -1. Boxes are
        in falling order of score."""
        outcomes, on = np.zeros(len(ids), np.int8), np.full(len(ids), -1)
        if not len(ids) or not len(gt_ids):
            return outcomes, on
        overlaps = geometry.iou(boxes, gt_boxes, self._inclusive)
        overlaps[ids[:, None] != gt_ids[None, :]] = -1
        best = overlaps.argmax(axis=1)
        near = overlaps[np.arange(len(ids)), best] >= self._iou
        outcomes[near & difficult[best]] = -1
        hits = np.flatnonzero(near & ~difficult[best])
        _, first = np.unique(best[hits], return_index=True)  # the best detection takes the object
        outcomes[hits[first]] = 1
        on[hits[first]] = best[hits[first]]
        return outcomes, on

    def curve(self, name: str, size: str | None = None) -> tuple:
        """Recall, precision and score (each (K,) float64) after each counted detection of a class, best first; the recall of
        a class without objects is NaN.

        Args:
            name: the class.
            size: "small", "medium" or "large" counts only objects of that size, as COCO does: others are ignored, and so is a
                detection that hits none and has another size. None counts all.

        Raises:
            CallError: an unknown name or size.
        """
        outcomes, scores, objects = self._counted(name, size)
        hits = np.cumsum(outcomes)
        recall = hits / objects if objects else np.full(len(hits), np.nan)
        return recall, hits / np.arange(1, len(hits) + 1), scores

    def _counted(self, name: str, size: str | None) -> tuple:
        """Outcome and score of each detection of a class that is not ignored, best first; and the number of its objects."""
        if name not in self.class_names:
            raise CallError(f"no class {name!r}; known are {', '.join(self.class_names)}")
        if size is not None and size not in SIZES:
            raise CallError(f"no size {size!r}; there are {', '.join(SIZES)}")
        if self._ordered is None:
            columns = [np.concatenate(c) for c in zip(*self._detections)] or [np.zeros(0)] * 4
            columns = [column[columns[1] >= 0] for column in columns]
            ids, outcomes, scores, areas = (column[np.lexsort((-columns[2], columns[0]))] for column in columns)
            gt_ids, gt_areas = [np.concatenate(c) for c in zip(*self._objects)] or [np.zeros(0)] * 2
            ends = pairwise(np.searchsorted(ids, np.arange(len(self.class_names) + 1)))
            self._ordered = [(outcomes[a:b], scores[a:b], areas[a:b], gt_areas[gt_ids == i]) for i, (a, b) in enumerate(ends)]
        outcomes, scores, areas, objects = self._ordered[self.class_names.index(name)]
        if size:
            counted, objects = within(areas, size), objects[within(objects, size)]
            outcomes, scores = outcomes[counted], scores[counted]
        return outcomes, scores, len(objects)

    def value(self, size: str | None = None) -> dict:
        """{"mAP": mean, "AP": {name: average precision}}. A class without objects has NaN and is left out of the mean.

        Args:
            size: see `curve`.
        """
        precisions = {}
        for name in self.class_names:
            recall, precision, _ = self.curve(name, size)
            average = eleven_points if self._use_07 else area_under
            precisions[name] = float(average(recall, precision)) if self.counts(name, size)["objects"] else float("nan")
        known = [v for v in precisions.values() if v == v]
        return {"mAP": float(np.mean(known)) if known else float("nan"), "AP": precisions}

    def counts(self, name: str, size: str | None = None) -> dict:
        """{"objects", "detections"} of a class that count, and "hits": the true positives; see `curve` for `size`."""
        outcomes, _, objects = self._counted(name, size)
        return {"objects": objects, "detections": len(outcomes), "hits": int(outcomes.sum())}

    def best_threshold(self, name: str) -> dict | None:
        """The score threshold with which a class has the best F1, the harmonic mean of precision and recall (van Rijsbergen
        1979): {"score", "f1", "precision", "recall"}; None for a class without true positives."""
        recall, precision, scores = self.curve(name)
        if not self.counts(name)["hits"]:
            return None
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        f1[:-1][scores[:-1] == scores[1:]] = -1  # a threshold takes all equal scores or none
        best = int(f1.argmax())
        values = {"score": scores, "f1": f1, "precision": precision, "recall": recall}
        return {key: float(value[best]) for key, value in values.items()}


def eleven_points(recall: np.ndarray, precision: np.ndarray) -> float:
    """Mean over the recalls 0, 0.1, ... 1 of the best precision at that recall or a higher one."""
    # np.arange's 0.6 lies a rounding error above 3/5, as in the evaluators whose results are published; exact tenths would
    # move the published VOC2007 answers by up to 8e-4.
    return np.mean([precision[recall >= r].max(initial=0) for r in np.arange(0, 1.1, 0.1)])


def area_under(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the curve, after precision is made to fall with rising recall."""
    recall = np.concatenate([[0], recall, [1]])
    envelope = np.maximum.accumulate(np.concatenate([[0], precision, [0]])[::-1])[::-1]
    return np.sum(np.diff(recall) * envelope[1:])
