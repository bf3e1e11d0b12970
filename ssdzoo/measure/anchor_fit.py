"""Compares the anchors of a model with those proposed for a data set."""

from dataclasses import dataclass

import numpy as np

from ssdzoo.anchors.levels import best_of_all
from ssdzoo.anchors.objects import Objects, collect_objects
from ssdzoo.anchors.propose import farthest_iou, propose, with_shapes
from ssdzoo.anchors.recall import THRESHOLDS, recall_table
from ssdzoo.anchors.table import fitted_preset
from ssdzoo.data.record import Dataset
from ssdzoo.errors import DataError
from ssdzoo.preset import Preset


@dataclass(frozen=True)
class Fit:
    """What `fit_anchors` found.

    Attributes:
        dataset: the images.
        objects: their objects in pixels of the network's input.
        presets, levels, tables: of the model, and of the proposal: Preset, list of Level, and `recall_table`.
    """

    dataset: Dataset
    objects: Objects
    presets: tuple
    levels: tuple
    tables: tuple

    @property
    def missed(self) -> tuple:
        """Numbers of objects without an anchor at IoU 0.5, of the model and of the proposal."""
        return tuple(int((best_of_all(self.objects.boxes, each)[0] < THRESHOLDS[0]).sum()) for each in self.levels)

    def uncovered(self) -> list[dict]:
        """The objects without an anchor of the model at IoU 0.5, the worst first: {"file", "class", "box" in pixels of the image,
        "iou": best with the model's anchors, "proposed": best with the proposed ones}."""
        before, after = (best_of_all(self.objects.boxes, levels)[0] for levels in self.levels)
        missed = np.flatnonzero(before < THRESHOLDS[0])
        return [self._example(i, before[i], after[i]) for i in missed[np.argsort(before[missed], kind="stable")]]

    def too_small(self) -> int:
        """The number of objects that an anchor of their shape, on the finest feature map, would not cover at every position."""
        shapes = self.objects.boxes[:, 2:] - self.objects.boxes[:, :2]
        return int((farthest_iou(shapes, self.levels[0][0].steps) < THRESHOLDS[0]).sum())

    def _example(self, i: int, before: float, after: float) -> dict:
        record, size = self.dataset.records[self.objects.images[i]], self.presets[0].base_size
        box = self.objects.boxes[i] * np.array([record.width / size[1], record.height / size[0]] * 2, np.float32)
        return {
            "file": str(record.image), "class": self.dataset.names[self.objects.class_ids[i]],
            "box": [round(float(v), 1) for v in box], "iou": round(float(before), 4), "proposed": round(float(after), 4),
        }  # fmt: skip

    def to_dict(self) -> dict:
        """All of it as plain values for JSON."""
        model, proposal = self.presets
        return {
            "model": model.name, "size": list(model.base_size), "images": len(self.dataset),
            "before": self.tables[0], "after": self.tables[1],
            "sizes": [list(sizes) for sizes in proposal.sizes], "ratios": [list(ratios) for ratios in proposal.ratios],
            "missed": list(self.missed), "too_small": self.too_small(), "uncovered": self.uncovered(),
        }  # fmt: skip


def fit_anchors(dataset: Dataset, preset: Preset, levels: list, count: int | None = None, seed: int = 0) -> Fit:
    """The recall of a model's anchors on a data set, and a proposal of anchors with a higher one.

    Args:
        preset, levels: of the model; see `ssdzoo.nn.anchors.network_levels`.
        count, seed: see `propose`.

    Raises:
        CallError: `count` is out of range; see `propose`.
        DataError: no objects.
    """
    objects = collect_objects(dataset.records, preset.base_size)
    if not len(objects.boxes):
        raise DataError(f"no objects in the {len(dataset)} images, so there is nothing to fit anchors to")
    sizes, ratios = propose(objects, levels, count, seed)
    both = levels, with_shapes(levels, sizes, ratios)
    tables = tuple(recall_table(objects, dataset.names, each) for each in both)
    return Fit(dataset, objects, (preset, fitted_preset(preset, sizes, ratios)), both, tables)
