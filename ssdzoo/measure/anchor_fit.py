"""Compares the anchors of a model with those proposed for a data set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ssdzoo.anchors.levels import best_of_all
from ssdzoo.anchors.objects import Objects, collect_objects
from ssdzoo.anchors.propose import farthest_iou, propose, with_shapes
from ssdzoo.anchors.recall import THRESHOLDS, mean_missed, recall_table
from ssdzoo.anchors.table import fitted_preset
from ssdzoo.data.record import Dataset
from ssdzoo.errors import DataError
from ssdzoo.preset import Preset

MISSED = 0.05  # share of the objects without an anchor, the mean over the classes, above which anchors don't fit
MORE_SHAPES = 4


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
        count: number of shapes over all feature maps; see `propose`. By default few, because each shape has weights of its own in
            the heads, which learn from its objects alone: MORE_SHAPES more than feature maps, and MORE_SHAPES more again as long
            as more than MISSED of the objects, the mean over the classes, have no anchor at IoU 0.5. With it the number of
            anchors in all grid cells does not grow.
        seed: see `propose`.

    Raises:
        CallError: `count` is out of range; see `propose`.
        DataError: no objects.
    """
    objects = collect_objects(dataset.records, preset.base_size)
    if not len(objects.boxes):
        raise DataError(f"no objects in the {len(dataset)} images, so there is nothing to fit anchors to")
    before = recall_table(objects, dataset.names, levels)

    def fit(count: int) -> Fit:
        sizes, ratios = propose(objects, levels, count, seed)
        fitted = with_shapes(levels, sizes, ratios)
        tables = before, recall_table(objects, dataset.names, fitted)
        return Fit(dataset, objects, (preset, fitted_preset(preset, sizes, ratios)), (levels, fitted), tables)

    return _few(fit, levels) if count is None else fit(count)


def _few(fit: Callable[[int], Fit], levels: list) -> Fit:
    """The fit with few shapes; see `fit_anchors`."""
    few, best = len(levels) + MORE_SHAPES, None
    for count in range(few, sum(len(level.shapes) for level in levels) + 1, MORE_SHAPES):
        found = fit(count)
        if _grows(found):
            break
        best = found
        if mean_missed(found.tables[1]) <= MISSED:
            break
    # With one shape for each feature map it does not grow.
    return best or next(found for count in range(few - 1, len(levels) - 1, -1) if not _grows(found := fit(count)))


def _grows(fit: Fit) -> bool:
    """Whether there are more anchors in all grid cells than the model has."""
    before, after = fit.tables
    return after["anchors"] > before["anchors"]
