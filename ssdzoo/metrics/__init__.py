"""Metrics of detection in numpy; nothing here needs mxnet."""

from ssdzoo.metrics.coco import COCOMetrics
from ssdzoo.metrics.confusion import ConfusionMatrix
from ssdzoo.metrics.voc import VOCMeanAP

__all__ = ["COCOMetrics", "ConfusionMatrix", "VOCMeanAP"]
