"""What differs between two detectors on the same images: matched boxes, scores, what only one finds, head outputs, mAP."""

from dataclasses import dataclass

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.predict.backends.protocol import NoHeadOutputs
from ssdzoo.predict.detector import Detector

MIN_IOU = 0.5  # of two boxes that are the same object


@dataclass(frozen=True)
class Tolerance:
    """What counts as the same.

    Attributes:
        box: maximum difference of a coordinate, in pixels of the image.
        score: maximum difference of a score.
        map: maximum loss of mAP from A to B.
        agreement: minimum share of all detections that both have, 0 to 1.

    A network of lower precision moves boxes and scores. Where `map` or `agreement` is given, they alone decide, and the
    differences are only reported.

    Raises:
        CallError: a tolerance that is negative or not finite.
    """

    box: float = 0.05
    score: float = 1e-4
    map: float | None = None
    agreement: float | None = None

    def __post_init__(self):
        for what in ("box", "score", "map", "agreement"):
            value = getattr(self, what)
            if value is not None and not 0 <= value < np.inf:
                raise CallError(f"a {what} tolerance of {value}: expected a number from 0 on")


@dataclass(frozen=True)
class Match:
    """Two Detections of one image, side by side.

    Attributes:
        pairs: (K, 2) int, index in A and in B of detections of the same object.
        missing: indices of those that A alone has.
        extra: indices of those that B alone has.
        cut: (those of A, those of B) of which the other side may have the same just beyond its limit of detections; they are
            neither missing nor extra.
        pixels: (K,) float64, maximum difference of a coordinate of a pair, in pixels.
        iou: (K,) float64.
        scores: (K,) float64, difference of the scores.
    """

    pairs: np.ndarray
    missing: np.ndarray
    extra: np.ndarray
    pixels: np.ndarray
    iou: np.ndarray
    scores: np.ndarray
    cut: tuple = (0, 0)

    @property
    def badness(self) -> tuple:
        """Sorts images, the worst last: by what only one has, then by scores and boxes."""
        return len(self.missing) + len(self.extra), float(self.scores.max(initial=0)), float(self.pixels.max(initial=0))


def match_detections(a: Detections, b: Detections, score: float = 0.1, slack: float = 0.0, limits: tuple = (None, None)) -> Match:
    """Matches two Detections class by class, the pair of the highest IoU first, down to an IoU of 0.5.

    Args:
        a, b: Detections in pixels of the same image, the same number of classes.
        score: detections below it are ignored, unless their partner is above.
        slack: how far below `score` a partner may lie, so that rounding at the threshold is no missing detection.
        limits: maximum numbers of detections of A and B. Where one is reached, a detection of the other side that scores no
            better than the last one, by `slack`, may have fallen off the end by rounding.
    """
    candidates = (a.scores[:, None] >= score - slack) & (b.scores[None, :] >= score - slack)
    candidates &= (a.scores[:, None] >= score) | (b.scores[None, :] >= score)
    candidates &= a.class_ids[:, None] == b.class_ids[None, :]
    overlap = np.where(candidates, geometry.iou(a.boxes, b.boxes), -1)
    # Of equal overlaps that of the closest scores, and then the first: a pile of equal boxes is matched by rank.
    distance = np.abs(a.scores[:, None].astype(np.float64) - b.scores[None, :])
    rows, columns = np.nonzero(overlap >= MIN_IOU)
    order = np.lexsort((distance[rows, columns], -overlap[rows, columns]))
    free_a, free_b, found = np.ones(len(a), bool), np.ones(len(b), bool), []
    for i, j in zip(rows[order], columns[order]):
        if free_a[i] and free_b[j]:
            free_a[i] = free_b[j] = False
            found.append((i, j))
    pairs = np.array(sorted(found), int).reshape(-1, 2)
    first, second = pairs.T
    alone_a, alone_b = free_a & (a.scores >= score), free_b & (b.scores >= score)
    cut_a, cut_b = alone_a & _at_the_end(a, b, slack, limits[1]), alone_b & _at_the_end(b, a, slack, limits[0])
    return Match(
        pairs,
        np.flatnonzero(alone_a & ~cut_a),
        np.flatnonzero(alone_b & ~cut_b),
        np.abs(a.boxes[first].astype(np.float64) - b.boxes[second]).max(axis=1, initial=0),
        overlap[first, second].astype(np.float64),
        np.abs(a.scores[first].astype(np.float64) - b.scores[second]),
        (int(cut_a.sum()), int(cut_b.sum())),
    )


def _at_the_end(found: Detections, other: Detections, slack: float, limit: int | None) -> np.ndarray:
    """(N,) bool: which of `found` score no better than the last of `other`, where that is full."""
    full = limit is not None and len(other) >= limit > 0
    return found.scores <= other.scores.min() + slack if full else np.zeros(len(found), bool)


def summarize(matches: list, names_a: list, names_b: list) -> dict:
    """Plain values over all images: counts, and the maximum differences; None where no pair was found."""
    count = sum(len(m.pairs) for m in matches)

    def over(key, reduce):
        return float(reduce(np.concatenate([getattr(m, key) for m in matches]))) if count else None

    missing, extra = (sum(len(getattr(m, key)) for m in matches) for key in ("missing", "extra"))
    cut_a, cut_b = (sum(m.cut[side] for m in matches) for side in (0, 1))
    return {
        "detections": {
            "a": count + missing + cut_a, "b": count + extra + cut_b, "matched": count, "missing": missing, "extra": extra,
            "cut_a": cut_a, "cut_b": cut_b,
            "agreement": count / (count + missing + extra) if count + missing + extra else None,
        },
        "boxes": {
            "largest_pixels": over("pixels", np.max), "mean_pixels": over("pixels", np.mean), "least_iou": over("iou", np.min),
        },
        "scores": {"largest": over("scores", np.max), "mean": over("scores", np.mean)},
        "notes": [] if list(names_a) == list(names_b) else ["the class names differ: classes were compared by their numbers"],
    }  # fmt: skip


def judge(summary: dict, tolerance: Tolerance) -> list:
    """What lies beyond the tolerance, one line each; empty where the two are the same within it."""
    failures = [] if tolerance.map is None else _judge_map(summary["mAP"]["loss"], tolerance.map)
    counts = summary["detections"]
    if tolerance.map is not None and tolerance.agreement is None:
        return failures
    if not counts["a"] + counts["b"]:
        return ["neither finds anything: there is nothing to compare; lower the minimum score, or take other images"]
    if tolerance.agreement is not None:
        if counts["agreement"] < tolerance.agreement:
            failures.append(f"{counts['agreement']:.4f} of the detections agree, at least {tolerance.agreement:g} should")
        return failures
    if counts["missing"]:
        failures.append(f"{counts['missing']} of {counts['a']} detections of A are missing in B")
    if counts["extra"]:
        failures.append(f"{counts['extra']} of {counts['b']} detections of B are not in A")
    pixels, score = summary["boxes"]["largest_pixels"], summary["scores"]["largest"]
    if pixels is not None and pixels > tolerance.box:
        failures.append(f"a box differs by {pixels:.3g} pixels, tolerance {tolerance.box:g}")
    if score is not None and score > tolerance.score:
        failures.append(f"a score differs by {score:.3g}, tolerance {tolerance.score:g}")
    return failures


def _judge_map(loss: float | None, limit: float) -> list:
    if loss is None:
        return ["mAP has no value: the images hold no objects of these classes"]
    return [f"mAP falls by {loss:.4f}, tolerance {limit:g}"] if loss > limit else []


def compare_heads(a: Detector, b: Detector, items: list) -> dict:
    """{"logits", "offsets"}: maximum differences of the head outputs of two Detectors on images; or {"not_compared": reason}.

    Images go through one by one, as each Detector prepares them.
    """
    if a.size != b.size:
        return {"not_compared": f"A takes images of {_size(a)}, B of {_size(b)}"}
    worst = {"logits": 0.0, "offsets": 0.0}
    for item in items:
        outputs = []
        for side, detector in (("A", a), ("B", b)):
            try:
                outputs.append(detector.backend.head_outputs(detector.prepare(item)[1][None]))
            except NoHeadOutputs as error:
                return {"not_compared": f"{side}: {error}"}
        for what, x, y in zip(worst, *outputs):
            if x.size != y.size:
                return {"not_compared": f"{what} of A are {x.shape}, of B {y.shape}"}
            if x.shape != y.shape and what == "logits":  # GluonCV's symbols hold them as (B, C + 1, N)
                x, y = (v if v.shape[2] == len(d.names) + 1 else v.transpose(0, 2, 1) for v, d in ((x, a), (y, b)))
            difference = float(np.abs(x.reshape(y.shape) - y).max(initial=0))
            if not np.isfinite(difference):
                return {"not_compared": f"{what} hold values that are not finite"}
            worst[what] = max(worst[what], difference)
    return {**worst, "images": len(items)}


def _size(detector: Detector) -> str:
    height, width = detector.size
    return f"{height}x{width} pixels"


def check_classes(a: Detector, b: Detector) -> None:
    """
    Raises:
        CallError: two Detectors with another number of classes.
    """
    if len(a.names) != len(b.names):
        raise CallError(
            f"A has {len(a.names)} classes ({', '.join(a.names[:3])} ...), B {len(b.names)} ({', '.join(b.names[:3])} ...): "
            "only models of the same classes can be compared"
        )
