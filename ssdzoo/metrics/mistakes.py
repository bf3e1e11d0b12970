"""The mistakes of a detector, one by one, by the kinds of TIDE (Bolya et al. 2020, section 2.2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.detections import Detections
from ssdzoo.metrics.matching import UNMATCHED, match

BACKGROUND_IOU = 0.1  # TIDE's: with a lower IoU, a detection is not taken to mean the object
MEANINGS = {
    "missed": "an object without a detection",
    "background": "a detection that belongs to no object",
    "classification error": "a detection that matches an object of another class",
    "localization error": "a detection that overlaps a free object of its class, but not enough",
    "duplicate": "a second detection of an object",
}
KINDS = tuple(MEANINGS)


@dataclass(frozen=True)
class Mistake:
    """One mistake in one image.

    Attributes:
        kind: one of KINDS.
        image: index of the image.
        detection, object: indices in that image; None for the detection of a missed object, and for the object of background.
        iou: of the two, or 0.
        weight: by which mistakes of a kind are ranked: the score of the detection; of a missed object, its share of the image.
    """

    kind: str
    image: int
    detection: int | None
    object: int | None
    iou: float
    weight: float


def find_mistakes(image: int, detections: Detections, record: Any, score: float = 0.5, iou: float = 0.5) -> list[Mistake]:
    """The mistakes in one image.

    missed: an object without a detection. classification error: a detection of an object with the wrong class, also beside a
    right one. localization error: a detection that overlaps a free object of its class, but by less than `iou`. duplicate: a
    second detection of an object. background: any other detection that matches no object.

    Args:
        image: the index that the mistakes get.
        detections: best first.
        record: a Record; its objects marked difficult and crowds are ignored.
        score: minimum score of a detection.
        iou: minimum IoU of a detection and its object.
    """
    found = detections.above(score)
    ignored = record.difficult | record.crowd
    matched = match(found.boxes, found.class_ids, record.boxes, record.class_ids, ignored, iou)
    overlaps = geometry.iou(found.boxes, record.boxes)
    overlaps[:, ignored] = 0
    free = ~ignored
    free[matched[matched >= 0]] = False
    mistakes = []

    def add(kind: str, n: int, m: int | None) -> None:
        mistakes.append(Mistake(kind, image, n, m, 0.0 if m is None else float(overlaps[n, m]), float(found.scores[n])))

    for n, m in enumerate(matched.tolist()):
        if m >= 0 and found.class_ids[n] != record.class_ids[m]:
            add("classification error", n, m)
        if m != UNMATCHED:
            continue
        same = np.where(record.class_ids == found.class_ids[n], overlaps[n], 0)
        near, taken = np.where(free, same, 0), np.where(free, 0, same)
        if near.max(initial=0) >= BACKGROUND_IOU:
            add("localization error", n, int(near.argmax()))
            free[near.argmax()] = False
        elif taken.max(initial=0) >= iou:
            add("duplicate", n, int(taken.argmax()))
        elif overlaps[n].max(initial=0) >= iou:  # of an object of another class, which a right detection has found
            add("classification error", n, int(overlaps[n].argmax()))
        else:
            add("background", n, None)
    shares = geometry.area(record.boxes) / max(1, record.height * record.width)
    return mistakes + [Mistake("missed", image, None, int(m), 0.0, float(shares[m])) for m in np.flatnonzero(free)]


def worst(mistakes: list, limit: int) -> list[Mistake]:
    """Up to `limit` mistakes, of all kinds as evenly as there are some; in the order of KINDS, the worst of a kind first."""
    piles = [sorted((m for m in mistakes if m.kind == kind), key=lambda m: -m.weight) for kind in KINDS]
    ranked = sorted((rank, k) for k, pile in enumerate(piles) for rank in range(len(pile)))[:limit]
    return [piles[k][rank] for k, rank in sorted((k, rank) for rank, k in ranked)]
