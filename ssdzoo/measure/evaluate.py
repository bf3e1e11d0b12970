"""Average precision and more of a detector on a data set."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.class_names import are_numbered
from ssdzoo.data import Dataset, load_dataset
from ssdzoo.data.check.object_limit import too_many_objects
from ssdzoo.data.loading.size_check import check_size
from ssdzoo.data.reading import class_names
from ssdzoo.data.record import Record, brief_problems
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.metrics import COCOMetrics, ConfusionMatrix, VOCMeanAP
from ssdzoo.metrics.sizes import SIZES
from ssdzoo.model_source import Numbers
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.load import load
from ssdzoo.predict.views import Views
from ssdzoo.progress import Silent
from ssdzoo.suggest import did_you_mean

METRICS = ("voc07", "voc12", "coco")


@dataclass(frozen=True)
class Evaluation:
    """The results of a detector on a data set.

    Attributes:
        names: the classes.
        records: the Record of each image.
        found: the Detections of each image, down to the lowest score that the network gives.
        summary: plain values for JSON, None where there is no value; see docs/eval.md.
        curves: VOCMeanAP of all images, for the precision-recall curves.
        confusion: ConfusionMatrix of all images.
    """

    names: list
    records: Sequence[Record]
    found: list
    summary: dict
    curves: VOCMeanAP
    confusion: ConfusionMatrix


def check_metric(metric: str) -> None:
    """
    Raises:
        CallError: an unknown metric; suggests the nearest one.
    """
    if metric not in METRICS:
        nearest = did_you_mean(metric.lower(), METRICS, similarity=0.3)
        raise CallError(f"no metric {metric!r}: there are {', '.join(METRICS)}{nearest}")


def evaluate(model: str | Path | Detector, data: str | Path | Dataset, split: str = "test", metric: str = "voc07",
             iou: float = 0.5, *, format: str | None = None, image_folder: str | Path | None = None,
             backend: str | None = None, weights: str | Path | None = None, ctx: Any = None,
             mean: Numbers | None = None, std: Numbers | None = None, classes: Iterable[str] | None = None,
             suppress: str | None = None, views: Views | None = None,
             progress: Silent | None = None) -> dict:  # fmt: skip
    """Average precision of a model on a data set, in pixels of the original images.

    Args:
        model: a Detector, or what `ssdzoo.load` takes: a run folder, an exported model, an .onnx, the name of a preset.
        data: a Dataset of the same classes, or a path: a Pascal VOC folder, COCO's json or folder, YOLO's data.yaml, MXNet's .rec
            or .lst, SageMaker's .manifest, or a .csv. Objects marked difficult and crowds are ignored.
        split: of a path: the images to evaluate on, such as "test" or "train[80%:]".
        metric: "voc07" (11 points) or "voc12" (area under the curve), both with the inclusive pixels of the devkit, or "coco"
            (the mean over IoU 0.50, 0.55, ... 0.95; see `ssdzoo.metrics.COCOMetrics.value`).
        iou: minimum IoU of a hit; "coco" has its own.
        format: of the data: "voc", "coco", "yolo", "recordio", "csv", "labelme" or "sagemaker"; recognized by default.
        image_folder: of a path: where the images lie that the data name by paths or addresses.
        backend, weights, ctx, mean, std, classes, suppress, views: of `ssdzoo.load`, where `model` is no Detector.
        progress: shows the images: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.

    Returns:
        {"mAP": float, "AP": {class: float}}, and COCO's twelve numbers for "coco". NaN for a class without objects.

    Raises:
        CallError: an unknown metric, model or split.
        DataError, WeightsError: what cannot be read.

    Example:
        >>> import ssdzoo
        >>> ssdzoo.evaluate("runs/cells", "data/cells", split="test")["mAP"]
    """
    check_metric(metric)
    progress = progress or Silent()
    if isinstance(model, (str, Path)):
        model = load(model, backend, ctx, weights, mean=mean, std=std, classes=classes, suppress=suppress, views=views)
    if not isinstance(data, Dataset):
        model = name_classes(model, data, format, progress)
        data = load_dataset(data, split, model.names, format, image_folder, progress)
        for line in brief_problems(data.problems):
            progress.say(f"  {line}")
        _say_too_many(model, data, progress)
    found = detect_all(model, [record.image for record in data.records], progress.images, data.records)
    return average_precision(found, data.records, model.names, metric, iou)


def name_classes(detector: Detector, data: str | Path, format: str | None = None, progress: Silent | None = None) -> Detector:
    """The detector, with the class names of a data set in their order, which is said, where it has none, as SageMaker saves it.

    Raises:
        CallError: another number of classes.
        DataError: the data set can't be read.
    """
    if not are_numbered(detector.names):
        return detector
    names = class_names(data, format)
    if names == [str(i) for i in range(len(names))]:  # they have no names there either
        return detector
    if len(names) != len(detector.names):
        raise CallError(
            f"{data} has {len(names)} classes, the model {len(detector.names)} without names: name them with classes=, in the "
            "order of its training"
        )
    (progress or Silent()).say(f"  the model does not name its classes: taken for those of the data, {', '.join(names)}")
    return detector.with_names(names)


def average_precision(found: Iterable[Detections], records: Sequence[Record], names: list, metric: str = "voc07",
                      iou: float = 0.5) -> dict:  # fmt: skip
    """What `evaluate` returns, of the Detections of each Record."""
    scorer = COCOMetrics(names) if metric == "coco" else VOCMeanAP(names, iou, use_07=metric == "voc07", inclusive=True)
    for detections, record in zip(found, records):  # in this order, so that progress ends too
        _add(scorer, record, detections)
    return scorer.value()


def detect_all(detector: Detector, images: list, progress: Callable,
               records: Sequence[Record] | None = None) -> Iterator[Detections]:  # fmt: skip
    """Yields the Detections of each image, down to the lowest score that the network gives.

    Args:
        progress: called with an iterable and the number of its items; returns an iterable of the same items.
        records: of the images.

    Raises:
        DataError: an image has another size than its record.
    """
    results = progress(detector.stream(images, score=0.0), len(images))
    for i, (image, found) in enumerate(results):
        if records is not None:
            check_size(records[i], image)
        yield found


def evaluate_fully(detector: Detector, dataset: Dataset, metric: str = "voc07", progress: Silent | None = None,
                   iou: float = 0.5, score: float = 0.5, image_ids: list | None = None) -> Evaluation:  # fmt: skip
    """What `evaluate` gives, and the rest: AP by size, best thresholds, curves, confusions, speed.

    Args:
        detector: a Detector; `dataset`: a Dataset of the same classes.
        score: minimum score of a detection in the confusion matrix.
        image_ids: COCO's id of each image; None counts from 1.

    The other arguments and the errors are those of `evaluate`.
    """
    check_metric(metric)
    names = detector.names
    curves = VOCMeanAP(names, iou, use_07=metric == "voc07", inclusive=metric != "coco")
    confusion = ConfusionMatrix(names, score, iou)
    coco = COCOMetrics(names) if metric == "coco" else None
    started = time.perf_counter()
    images = [record.image for record in dataset.records]
    progress = progress or Silent()
    _say_too_many(detector, dataset, progress)
    found = list(detect_all(detector, images, progress.images, dataset.records))
    seconds = time.perf_counter() - started
    for i, (record, detections) in enumerate(zip(dataset.records, found)):
        for scorer in (curves, confusion):
            _add(scorer, record, detections)
        if coco:
            _add(coco, record, detections, image_ids[i] if image_ids else None)
    value = (coco or curves).value()
    summary = {
        "metric": metric,
        "iou": iou,
        **value,
        "by_size": {size: curves.value(size) for size in SIZES},
        "best_threshold": {name: curves.best_threshold(name) for name in names},
        "counts": _counts(dataset, names, curves),
        "confusion": {"score": score, "iou": iou, "names": [*names, "background"], "matrix": confusion.value().tolist()},
        "images_per_s": round(len(found) / seconds, 2) if found else None,
    }
    return Evaluation(names, dataset.records, found, plain(summary), curves, confusion)


def _say_too_many(detector: Detector, dataset: Dataset, progress: Silent) -> None:
    if crowded := too_many_objects(dataset.records, detector.max_detections, "the model"):
        progress.say(f"  {crowded}: the others count as missed")


def _add(scorer: Any, record: Record, found: Detections, image_id: int | None = None) -> None:
    detections = found.boxes, found.class_ids, found.scores
    if isinstance(scorer, COCOMetrics):
        scorer.update(*detections, record.boxes, record.class_ids, record.difficult, record.crowd, image_id=image_id)
    else:
        scorer.update(*detections, record.boxes, record.class_ids, record.difficult | record.crowd)


def _counts(dataset: Dataset, names: list, curves: VOCMeanAP) -> dict:
    def total(flags):
        return int(sum(np.sum(flag) for flag in flags))

    by_class = {name: curves.counts(name) for name in names}
    return {
        "images": len(dataset),
        "images_without_objects": total(not len(record.boxes) for record in dataset.records),
        "objects": sum(count["objects"] for count in by_class.values()),
        "difficult": total(record.difficult & ~record.crowd for record in dataset.records),
        "crowd": total(record.crowd for record in dataset.records),
        "detections": sum(count["detections"] for count in by_class.values()),
        "by_class": by_class,
        "by_size": {size: {name: curves.counts(name, size)["objects"] for name in names} for size in SIZES},
    }


def plain(value: Any) -> Any:
    """Values for JSON: a number that is not finite, such as the AP of a class without objects, becomes None."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
