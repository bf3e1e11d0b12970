"""Metrics of object detection in numpy, without mxnet and models."""

from ssdzoo.metrics.coco import COCOMetrics
from ssdzoo.metrics.confusion import ConfusionMatrix
from ssdzoo.metrics.voc import VOCMeanAP

__all__ = ["COCOMetrics", "ConfusionMatrix", "VOCMeanAP"]
