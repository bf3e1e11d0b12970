"""Metrics of detection in numpy; nothing here needs mxnet."""

from ssdzoo.metrics.voc import VOCMeanAP

__all__ = ["VOCMeanAP"]
