"""The confusion matrix of a detector."""

from collections.abc import Iterable

import numpy as np

from ssdzoo.metrics.inputs import Array, as_detections, as_names, as_objects
from ssdzoo.metrics.matching import UNMATCHED, match


class ConfusionMatrix:
    """Counts the objects by true class and predicted class; `ssdzoo.metrics.matching.match` decides which detection belongs to
    which object.

    Args:
        class_names: names by class id.
        score: minimum score of a detection.
        iou: minimum IoU of a detection and its object.

    Raises:
        CallError: a name that comes twice.
    """

    def __init__(self, class_names: Iterable[str], score: float = 0.5, iou: float = 0.5):
        self.class_names = as_names(class_names)
        self.score, self.iou = score, iou
        self.reset()

    def reset(self) -> None:
        """Forgets all images."""
        self._matrix = np.zeros((len(self.class_names) + 1,) * 2, np.int64)

    def update(self, pred_boxes: Array, pred_ids: Array, pred_scores: Array, gt_boxes: Array, gt_ids: Array,
               gt_difficult: Array | None = None) -> None:  # fmt: skip
        """Adds one image; arguments and errors are those of `ssdzoo.metrics.VOCMeanAP.update`."""
        boxes, ids, scores = as_detections(self.class_names, pred_boxes, pred_ids, pred_scores)
        real_boxes, real_ids, ignored = as_objects(self.class_names, gt_boxes, gt_ids, gt_difficult)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.score]
        ids = ids[order]
        matched = match(boxes[order], ids, real_boxes, real_ids, ignored, self.iou)
        background = len(self.class_names)
        found = matched >= 0
        missed = ~ignored
        missed[matched[found]] = False
        np.add.at(self._matrix, (real_ids[matched[found]], ids[found]), 1)
        np.add.at(self._matrix, (np.full((matched == UNMATCHED).sum(), background), ids[matched == UNMATCHED]), 1)
        np.add.at(self._matrix, (real_ids[missed], np.full(missed.sum(), background)), 1)

    def value(self) -> np.ndarray:
        """(C + 1, C + 1) int64: a row for each true class, a column for each predicted class; the last of both is the background.
        Missed objects are in the last column, detections of background in the last row."""
        return self._matrix.copy()
