"""What a detector does wrong, mistake by mistake."""

from dataclasses import dataclass

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.metrics.matching import NOTHING, match

# Below this IoU a detection and an object have nothing to do with each other (TIDE, Bolya et al. 2020, section 2.2).
TOUCHING = 0.1
KINDS = ("missed", "false positive", "wrong class", "badly placed", "found twice")


@dataclass(frozen=True)
class Mistake:
    """One mistake in one image.

    Attributes:
        kind: one of KINDS.
        image: index of the image.
        detection, object: indices in that image, or None: nothing was detected, or nothing is there.
        iou: of the two, or 0.
        weight: what makes it worse than another of its kind: the score of the detection; of a missed object, its share of the
            image.
    """

    kind: str
    image: int
    detection: int | None
    object: int | None
    iou: float
    weight: float


def find_mistakes(image: int, detections, record, score: float = 0.5, iou: float = 0.5) -> list:
    """The mistakes in one image: an object that nothing found; a detection of nothing; an object under a wrong name; a box that
    overlaps a free object of its class, but not enough; a second box on an object.

    Args:
        image: the index that they get.
        detections: a Detections, best first.
        record: a Record; objects marked difficult and crowds count for nothing.
        score: least score of a detection that counts.
        iou: least IoU of a detection and its object.
    """
    found = detections.above(score)
    ignored = record.difficult | record.crowd
    matched = match(found.boxes, found.class_ids, record.boxes, record.class_ids, ignored, iou)
    overlaps = geometry.iou(found.boxes, record.boxes)
    overlaps[:, ignored] = 0
    free = ~ignored
    free[matched[matched >= 0]] = False
    mistakes = []

    def add(kind, n, m, weight):
        mistakes.append(
            Mistake(kind, image, n, m, float(overlaps[n, m]) if n is not None and m is not None else 0.0, float(weight))
        )

    for n, m in enumerate(matched.tolist()):
        if m >= 0 and found.class_ids[n] != record.class_ids[m]:
            add("wrong class", n, m, found.scores[n])
        if m != NOTHING:
            continue
        same = np.where(record.class_ids == found.class_ids[n], overlaps[n], 0)
        near, taken = np.where(free, same, 0), np.where(free, 0, same)
        if near.max(initial=0) >= TOUCHING:
            add("badly placed", n, int(near.argmax()), found.scores[n])
            free[near.argmax()] = False
        elif taken.max(initial=0) >= iou:
            add("found twice", n, int(taken.argmax()), found.scores[n])
        else:
            add("false positive", n, None, found.scores[n])
    shares = geometry.area(record.boxes) / max(1, record.height * record.width)
    for m in np.flatnonzero(free).tolist():
        add("missed", None, m, shares[m])
    return mistakes


def worst(mistakes: list, most: int) -> list:
    """At most `most` mistakes, as evenly from all kinds as there are some; kind by kind, the worst first."""
    piles = [sorted((m for m in mistakes if m.kind == kind), key=lambda m: -m.weight) for kind in KINDS]
    ranked = sorted((rank, k) for k, pile in enumerate(piles) for rank in range(len(pile)))[:most]
    return [piles[k][rank] for k, rank in sorted((k, rank) for rank, k in ranked)]
