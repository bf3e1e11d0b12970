"""Two models on the same images, and everything that says which models, which programs and which machine that was."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.data.record import Record
from ssdzoo.data.video import VIDEO_SUFFIXES
from ssdzoo.errors import CallError
from ssdzoo.files import file_hash
from ssdzoo.machine import DETECTING, machine_summary, versions
from ssdzoo.measure import compare
from ssdzoo.measure.evaluate import average_precision, detect_all, name_classes, plain
from ssdzoo.model_source import ModelSource
from ssdzoo.predict.detector import Detector, Image, Images, list_images
from ssdzoo.predict.load import open_source
from ssdzoo.predict.multi_view import views_of
from ssdzoo.predict.views import Views
from ssdzoo.progress import Silent

HEAD_OUTPUTS_OF = 8  # images whose head outputs are compared


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        model: as the user named it.
        detector: runs it.
        files: paths that it was read from.
    """

    model: str
    detector: Detector
    files: list[Path]

    def named_by(self, data: str | Path, format: str | None = None, progress: Silent | None = None) -> "Side":
        """The side with the class names of a data set where it has none: see `name_classes`."""
        return replace(self, detector=name_classes(self.detector, data, format, progress))


@dataclass(frozen=True)
class Trial:
    """On what two models are compared, and what counts as the same.

    Attributes:
        images: what a Detector takes, without videos; None where there are records.
        records: Records with true boxes, for mAP, or None.
        score: minimum score of a detection that is compared; mAP counts all.
        tolerance: see Tolerance.
        worst: how many images to name that differ.

    Raises:
        CallError: a tolerance of mAP without true boxes.
    """

    images: Images | None = None
    records: Sequence[Record] | None = None
    score: float = 0.1
    tolerance: compare.Tolerance = field(default_factory=compare.Tolerance)
    worst: int = 6

    def __post_init__(self):
        if self.tolerance.map is not None and self.records is None:
            raise CallError("a tolerance of mAP needs true boxes: name a data set with data= in place of images")

    def items(self) -> list:
        """The images, one by one.

        Raises:
            CallError: videos, or no images at all.
        """
        images = self.images if self.records is None else [record.image for record in self.records]
        return list_stills([] if images is None else images)


@dataclass(frozen=True)
class Certificate:
    """What a comparison found.

    Attributes:
        summary: plain values for JSON; see docs/compare.md.
        items: the images, paths or parts of files.
        found: the Detections of A and of B, for each image.
        matches: the Match of each image.
        worst: indices of the images that differ most, the worst first; none of those that agree to the last bit.
    """

    summary: dict
    items: list
    found: list
    matches: list
    worst: list

    @property
    def passed(self) -> bool:
        return self.summary["passed"]


def open_side(source: ModelSource, backend: str | None = None, ctx: Any = None, precision: str = "f32",
              views: Views | None = None) -> Side:  # fmt: skip
    """Loads one side.

    Args:
        source: of `ssdzoo.model_source.resolve`.

    The other arguments and the errors are those of `ssdzoo.predict.load.load`.
    """
    detector = open_source(source, backend, ctx, precision, views=views)
    made = detector.backend.file  # an ONNX file that was made of it
    return Side(source.model, detector, [*source.files, *([made] if made and made not in source.files else [])])


def certify(a: Side, b: Side, trial: Trial, progress: Silent | None = None) -> Certificate:
    """Runs both models on the same images and compares what they find.

    Args:
        a, b: the model to trust, and the model to check.
        trial: the images, and what counts as the same.
        progress: shows the images: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.

    Raises:
        CallError: other numbers of classes, videos.
        DataError: an image that can't be read.
    """
    compare.check_classes(a.detector, b.detector)
    items, tolerance = trial.items(), trial.tolerance
    found = [list(detect_all(side.detector, items, (progress or Silent()).images, trial.records)) for side in (a, b)]
    limits = (a.detector.max_detections, b.detector.max_detections)
    matches = [compare.match_detections(x, y, trial.score, tolerance.score, limits) for x, y in zip(*found)]
    summary = {
        "a": describe(a), "b": describe(b), "images": len(items), "score": trial.score, "tolerance": asdict(tolerance),
        **compare.summarize(matches, a.detector.names, b.detector.names),
        "heads": compare.compare_heads(a.detector, b.detector, items[:HEAD_OUTPUTS_OF]),
        "mAP": _mean_ap(found, trial.records, a.detector.names),
    }  # fmt: skip
    failures = compare.judge(summary, tolerance)
    order = sorted(range(len(items)), key=lambda i: matches[i].badness, reverse=True)
    order = [i for i in order if any(matches[i].badness)][: trial.worst]
    summary = {
        "passed": not failures, "failures": failures, **summary, "worst": [_difference(i, items[i], matches[i]) for i in order],
        "versions": versions(DETECTING), "machine": machine_summary(),
    }  # fmt: skip
    return Certificate(plain(summary), items, found, matches, order)


def list_stills(images: Images) -> list[Image]:
    """Paths and arrays of what a user calls images.

    Raises:
        CallError: a video among them, or nothing at all.
    """
    items = list_images(images)
    videos = [item for item in items if isinstance(item, Path) and item.suffix.lower() in VIDEO_SUFFIXES]
    if videos or not items:
        raise CallError(f"{videos[0]}: a video; name images, such as some of its frames" if videos else "no images are named")
    return items


def _mean_ap(found: list, records: Sequence | None, names: list) -> dict:
    if records is None:
        return {"not_compared": "the true boxes are not known"}
    a, b = (average_precision(side, records, names)["mAP"] for side in found)
    loss = float(a - b)
    return {"a": float(a), "b": float(b), "loss": loss if loss == loss else None}


def _difference(index: int, item: Image, match: compare.Match) -> dict:
    _, score, pixels = match.badness
    counts = {"missing": len(match.missing), "extra": len(match.extra)}
    name = f"image {index}" if isinstance(item, np.ndarray) else str(item)
    return {"image": name, **counts, "matched": len(match.pairs), "largest_score": score, "largest_pixels": pixels}


def describe(side: Side) -> dict:
    """For JSON: the model as the user named it, its runtime, and its files with their SHA-256."""
    files = [{"path": str(f), "sha256": file_hash(f)} for f in side.files]
    views = views_of(side.detector)
    return {"model": side.model, "runtime": side.detector.runtime, **({"views": views} if views else {}), "files": files}
