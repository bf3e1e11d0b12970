"""What a data set asks of a training: rules on numbers of its images, objects and classes. They need no framework.

Their thresholds rest on what docs/training.md measures, and on the geometry of anchors (`ssdzoo.anchors.propose.farthest_iou`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdzoo.anchors.levels import Level
from ssdzoo.anchors.objects import collect_objects
from ssdzoo.anchors.recall import mean_missed, missed_by_class, recall_table
from ssdzoo.boxes import anchor_shapes
from ssdzoo.data.record import Dataset
from ssdzoo.errors import DataError
from ssdzoo.measure.anchor_fit import MISSED
from ssdzoo.preset import Preset
from ssdzoo.progress import counted
from ssdzoo.quote import short
from ssdzoo.zoo import find_preset

USUAL, LARGE = 300, 512  # inputs of the presets, in pixels
STRIDE = 8  # of their finest feature maps
SMALL = 14  # pixels of the smaller objects in an input of 300, below which a larger input shows more of them
SMALLER = 0.1  # the quantile of the sides that stands for "the smaller objects"
_RANKS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "jack", "queen", "king",
    "ace", "joker",
)  # fmt: skip
_CHARACTER = re.compile(r"(?:(?:digit|letter|number|char|character)[\s_-]*)?(?:[^\W_]|\d{2})", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """One decision: the name of what was chosen, its value, and the reason in a few words."""

    name: str
    value: Any
    reason: str

    def __str__(self):
        return f"{self.name}={self.value}: {self.reason}"


@dataclass(frozen=True)
class Look:
    """What is looked at in a data set.

    Attributes:
        images, objects: their numbers.
        names: the classes.
        side: pixels, the root of the area that the smaller objects (the 10th percentile, all classes with equal weight) have in
            an input of 300x300.
    """

    images: int
    objects: int
    names: tuple
    side: float


def look_at(dataset: Dataset) -> Look:
    """
    Raises:
        DataError: no objects.
    """
    objects = collect_objects(dataset.records, (USUAL, USUAL))
    if not len(objects.boxes):
        raise DataError(f"no objects in the {counted(len(dataset), 'image')} to train on, so there is nothing to learn")
    sides = np.sqrt((objects.boxes[:, 2:] - objects.boxes[:, :2]).astype(np.float64).prod(axis=1))
    weights = 1 / np.bincount(objects.class_ids)[objects.class_ids]
    order = np.argsort(sides, kind="stable")
    place = np.searchsorted(np.cumsum(weights[order]) / weights.sum(), SMALLER)
    return Look(len(dataset), len(sides), tuple(dataset.names), float(sides[order][min(place, len(sides) - 1)]))


def choose_input(look: Look) -> Choice:
    """Pixels of a side of the input."""
    if look.side < SMALL:
        larger = look.side * LARGE / USUAL
        reason = f"the smaller objects have {look.side:.0f} pixels in an input of {USUAL}, {larger:.0f} in this one"
        return Choice("input", LARGE, reason)
    return Choice("input", USUAL, f"the smaller objects have {look.side:.0f} pixels in this input, which is enough")


def model_name(backbone: str, size: int) -> str:
    """The preset of a backbone and an input, with a feature map of stride 8: without it, large objects are found less well too
    (docs/training.md)."""
    return f"ssd_{size}_{backbone}_s8_custom"


def grid_levels(preset: Preset) -> list[Level]:
    """The anchors of each feature map of a preset of `model_name`, without mxnet: those that
    `ssdzoo.nn.anchors.network_levels` finds in its network."""
    levels, cells = [], [-(-side // STRIDE) for side in preset.base_size]
    for index, ratios in enumerate(preset.ratios):
        size, larger = preset.sizes[index : index + 2]
        steps = tuple(side / count for side, count in zip(preset.base_size, cells))
        levels.append(Level(tuple(cells), anchor_shapes(size, np.sqrt(size * larger), ratios), steps))
        cells = [-(-count // 2) for count in cells]
    return levels


def choose_flip(names: Sequence[str]) -> Choice:
    """Whether images may be mirrored: not where the names of the classes say that a mirrored object is another one, or none."""
    characters = [name for name in names if _is_character(name)]
    ids = [str(i) for i in range(len(names))]
    if list(names) == ids and len(names) != 10:  # of a file without names; ten of them are the digits
        characters = []
    if 2 * len(characters) > len(names) or len(characters) >= 5:
        shown = ", ".join(short(name) for name in characters[:4])
        return Choice("flip", "none", f"classes such as {shown} look like characters, which must not be mirrored")
    words = {word for name in names for word in re.split(r"[\W_]+", name.lower())}
    if {"left", "right"} <= words:
        return Choice("flip", "none", "some classes are called left and others right: mirrored, one is the other")
    return Choice("flip", "horizontal", "nothing in the names of the classes says that a mirrored object is another one")


def _is_character(name: str) -> bool:
    """Whether a class is a single letter or digit, a number of two digits, or the rank of a playing card."""
    name = name.strip()
    return bool(_CHARACTER.fullmatch(name)) or name.lower() in _RANKS


def choose_anchors(table: dict, preset: Preset) -> Choice:
    """Whether the anchors of a preset stay or are fitted.

    Args:
        table: of `ssdzoo.anchors.recall.recall_table`.

    Returns:
        A Choice of "preset" or "fitted".
    """
    missed, mean = missed_by_class(table), mean_missed(table)
    worst = max(missed, key=lambda name: missed[name])
    if not missed[worst]:
        return Choice("anchors", "preset", f"those of {preset.name} miss no object (IoU below 0.5)")
    average = f", {_percent(mean)} on average over the classes" if len(missed) > 1 else ""
    share = f"{_percent(missed[worst])} of the objects of class {short(worst)}"
    reason = f"those of {preset.name} miss {share}{average} (IoU below 0.5)"
    return Choice("anchors", "fitted" if mean > MISSED else "preset", reason)


def _percent(share: float) -> str:
    """Rounded, but a share above 0 does not look like 0."""
    return f"{share:.0%}" if share >= 0.005 else "less than 1%"


def fitting_model(dataset: Dataset, backbone: str = "mobilenet0.25") -> str | None:
    """The preset of a backbone that fits a data set, or None where its anchors miss too many objects.

    Raises:
        DataError: no objects.
    """
    preset = find_preset(model_name(backbone, choose_input(look_at(dataset)).value))
    objects = collect_objects(dataset.records, preset.base_size)
    fit = choose_anchors(recall_table(objects, dataset.names, grid_levels(preset)), preset)
    return preset.name if fit.value == "preset" else None


def choose_batch_size(look: Look, image_bytes: float, available: float | None) -> Choice:
    """Images per step.

    Args:
        image_bytes: what an image of a batch takes in training.
        available: bytes of memory that a training may use; None where nobody knows.
    """
    usual = 8
    most = usual if available is None else max(1, int(available / image_bytes))
    size = min(usual, most, look.images)
    if size == usual:
        known = "" if available is None else f"; the memory has room for {counted(most, 'image')}"
        return Choice("batch_size", size, f"the usual number{known}")
    if size == look.images and size <= most:
        return Choice("batch_size", size, "there are no more images")
    return Choice("batch_size", size, f"an image takes about {image_bytes / 2**20:.0f} MiB of memory in training")


def choose_rate(settings_lr: float, batch_size: int, usual: int = 8) -> Choice:
    """The learning rate of a batch size: in proportion to it (Goyal et al. 2017, section 2.1, "Linear Scaling Rule")."""
    rate = float(f"{settings_lr * batch_size / usual:.3g}")
    same = "that of batches of 8 images" if batch_size == usual else f"{settings_lr:g} in proportion to the batch size"
    return Choice("lr", rate, same)
