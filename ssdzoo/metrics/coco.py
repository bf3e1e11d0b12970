"""COCO's twelve numbers (cocodataset.org, "Detection Evaluation"), counted by the package faster-coco-eval."""

from collections.abc import Callable, Iterable

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.errors import CallError
from ssdzoo.metrics.inputs import Array, as_detections, as_names, as_objects

# Name: (what, IoU or None for the mean over 0.50, 0.55, ... 0.95, size, detections per image)
NUMBERS = {
    "AP": ("precision", None, "all", 100),
    "AP50": ("precision", 0.5, "all", 100),
    "AP75": ("precision", 0.75, "all", 100),
    "AP_small": ("precision", None, "small", 100),
    "AP_medium": ("precision", None, "medium", 100),
    "AP_large": ("precision", None, "large", 100),
    "AR1": ("recall", None, "all", 1),
    "AR10": ("recall", None, "all", 10),
    "AR100": ("recall", None, "all", 100),
    "AR_small": ("recall", None, "small", 100),
    "AR_medium": ("recall", None, "medium", 100),
    "AR_large": ("recall", None, "large", 100),
}


class COCOMetrics:
    """COCO's average precision and recall, of the 100 best detections of a class in an image.

    A crowd, a box around many objects, is not an object to be found, and any number of detections may lie in it: one that
    matches no object is ignored if at least the IoU's share of its own area lies inside. COCO has no other way to ignore an
    object, so objects marked difficult are treated as crowds.

    Args:
        class_names: names by class id.

    Raises:
        CallError: a name that comes twice.
    """

    def __init__(self, class_names: Iterable[str]):
        self.class_names = as_names(class_names)
        self.reset()

    def reset(self) -> None:
        """Forgets all images."""
        self._images: set[int] = set()
        self._last = 0
        self._objects: list[dict] = []
        self._detections: list[dict] = []

    def update(self, pred_boxes: Array, pred_ids: Array, pred_scores: Array, gt_boxes: Array, gt_ids: Array,
               gt_difficult: Array | None = None, gt_crowd: Array | None = None, gt_areas: Array | None = None,
               image_id: int | None = None) -> None:  # fmt: skip
        """Adds one image.

        Args:
            pred_boxes (N, 4), pred_ids (N,), pred_scores (N,): detections, boxes as xyxy pixels; those with id -1 are padding.
            gt_boxes (M, 4), gt_ids (M,): objects; those with id -1 are padding.
            gt_difficult, gt_crowd: (M,) whether each object is ignored, see above; None for none.
            gt_areas: (M,) square pixels that decide whether an object is small, medium or large: COCO's own annotations give
                those of the outlines; None takes the boxes'.
            image_id: an integer of its own; COCO sorts images by it, which decides between equal scores in different images.
                None is one more than the largest so far.

        Raises:
            CallError: shapes or lengths that don't match, an id without a name, a box or a score that is not finite, an image
                that comes twice.
        """
        boxes, ids, scores = as_detections(self.class_names, pred_boxes, pred_ids, pred_scores)
        real = np.asarray(gt_ids, np.float64).reshape(-1) >= 0
        real_boxes, real_ids, difficult, crowd = as_objects(self.class_names, gt_boxes, gt_ids, gt_difficult, gt_crowd)
        areas = geometry.area(real_boxes) if gt_areas is None else np.asarray(gt_areas, np.float64).reshape(-1)
        if gt_areas is not None and len(areas) == len(real):
            areas = areas[real]
        if len(areas) != len(real_boxes):
            raise CallError(f"objects: {len(real_boxes)} boxes and {len(areas)} areas don't belong together")
        image = self._last + 1 if image_id is None else int(image_id)
        if image in self._images:
            raise CallError(f"image_id {image} comes twice")
        self._images.add(image)
        self._last = max(self._last, image)
        ignored, plain = (difficult | crowd).astype(int), np.zeros(len(ids), int)
        own = geometry.area(boxes)
        self._objects += as_rows(image, category_id=real_ids, bbox=xywh(real_boxes), area=areas, iscrowd=ignored)
        self._detections += as_rows(image, category_id=ids, bbox=xywh(boxes), score=scores, area=own, iscrowd=plain)

    def value(self) -> dict:
        """{"mAP": AP, "AP": {name: AP}, "AP50": {name: AP50}, "coco": {the names in `NUMBERS`: value}}; NaN where there are no
        objects to find, or none of that size."""
        counted = _count(self._images, self._objects, self._detections, len(self.class_names))
        numbers = {name: counted(*what) for name, what in NUMBERS.items()}
        by_class = {key: {name: counted(*NUMBERS[key], i) for i, name in enumerate(self.class_names)} for key in ("AP", "AP50")}
        return {"mAP": numbers["AP"], **by_class, "coco": numbers}


def xywh(boxes: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) xmin, ymin, xmax, ymax as xmin, ymin, width, height."""
    boxes = np.asarray(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def as_rows(image_id: int, **columns: np.ndarray | list) -> list:
    """COCO's annotations of one image: a dict for each place in the columns, which are equally long."""
    values = [column if isinstance(column, list) else column.tolist() for column in columns.values()]
    return [{"image_id": image_id, **dict(zip(columns, row))} for row in zip(*values)]


def _count(images: set, objects: list, detections: list, classes: int) -> Callable[..., float]:
    """A function of (what, IoU, size, detections per image, class or None for all) that returns the mean; NaN without objects."""
    from faster_coco_eval import COCO, COCOeval_faster

    sides = []
    for annotations in (objects, detections):
        side = COCO()
        side.dataset = {
            "images": [{"id": image} for image in images],
            "categories": [{"id": i} for i in range(classes)],
            "annotations": [{**annotation, "id": i} for i, annotation in enumerate(annotations, 1)],
        }
        side.createIndex()
        sides.append(side)
    evaluation = COCOeval_faster(*sides, iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    parameters, tables = evaluation.params, evaluation.eval

    def mean(what: str, iou: float | None, size: str, limit: int, category: int | None = None) -> float:
        # precision is (IoU, recall, class, size, detections), recall lacks its second axis; -1 stands for no objects.
        table = np.asarray(tables[what])[..., parameters.areaRngLbl.index(size), list(parameters.maxDets).index(limit)]
        table = table if iou is None else table[np.isclose(parameters.iouThrs, iou)]
        table = table if category is None else table[..., category]
        table = table[table > -1]
        return float(table.mean()) if table.size else float("nan")

    return mean
