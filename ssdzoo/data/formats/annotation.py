"""One image as its annotation has it, and how it becomes a record: the checks that hold for every format are here."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.data.formats.box_checks import FAULTS, are_normalized, check_boxes
from ssdzoo.data.images import FilePart, ImageInfo
from ssdzoo.data.record import ERROR, Problem, Record
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short
from ssdzoo.suggest import did_you_mean

LISTED = 20  # known classes that a message lists
SUGGESTIONS = 1000  # problems up to which near names are looked for: that takes milliseconds each


class AnnotatedObject(NamedTuple):
    """An object as its file has it.

    Attributes:
        name: of its class.
        box: (xmin, ymin, xmax, ymax) as Python numbers, counted from 0: pixels, or normalized coordinates.
        where: where in the file it is, for messages.
        shown: the numbers that the file has for the box, for messages.
        difficult, crowd: see Record.
    """

    name: str
    box: tuple
    where: str
    shown: str
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class ImageAnnotation:
    """An image as its annotation has it.

    Attributes:
        image: see Record.
        source: the file that messages about its objects name.
        objects: an AnnotatedObject for each object, or the Problem that is there instead.
        size: (height, width) that the annotation claims, or None.
        normalized: boxes are in normalized coordinates, 0 to 1 across the image, instead of pixels.
        origin: what the file calls the first pixel: 1 in Pascal VOC. It is subtracted from the boxes already.
    """

    image: Path | FilePart
    source: Path
    objects: list
    size: tuple | None = None
    normalized: bool = False
    origin: int = 0

    def raw_boxes(self) -> np.ndarray:
        """(M, 4) float64 boxes of the objects that have one, as they are."""
        boxes = [found.box for found in self.objects if isinstance(found, AnnotatedObject)]
        return np.array(boxes, np.float64).reshape(-1, 4)


def make_record(annotation: ImageAnnotation, info: ImageInfo | DataError, ids: dict, problems: list) -> Record | None:
    """The record of an annotation; None where the image is missing or broken, or has another size than the annotation says.

    Args:
        info: what is known of the image, or why it cannot be read.
        ids: class id of each name.
        problems: a list that gets what is wrong. Objects with an error and boxes without width or height are left out; corners in
            the wrong order are swapped.
    """
    if isinstance(info, DataError):
        problems.append(Problem.of(info, annotation.image, "image"))
        return None
    height, width, orientation = info
    if annotation.size and tuple(annotation.size) != (height, width):
        problems.append(wrong_size(annotation.image, annotation.size, (height, width), annotation.source))
        return None
    if orientation > 1 and not annotation.size and annotation.objects:
        problems.append(turned(annotation.image, "its annotation does not give its size"))
    problems += [o for o in annotation.objects if isinstance(o, Problem)]
    objects = [o for o in annotation.objects if isinstance(o, AnnotatedObject)]
    with np.errstate(over="ignore"):
        raw = annotation.raw_boxes() * ((width, height) * 2 if annotation.normalized else 1)
    boxes, faults = check_boxes(raw, height, width)
    kept = []
    for i, (found, number) in enumerate(zip(objects, faults.tolist())):
        if found.name not in ids:
            message = f"{found.where} {_unknown(found.name, ids, len(problems) < SUGGESTIONS)}"
            problems.append(Problem(annotation.source, message, "unknown class", ERROR))
            continue
        fault = FAULTS.get(number)
        if fault:
            message = (
                f"{found.where} ({short(found.name)}): box ({found.shown}) {fault.message.format(width=width, height=height)}"
            )
            problems.append(Problem(annotation.source, message, fault.kind, fault.severity))
        if fault is None or fault.is_kept:
            kept.append(i)
    class_ids = np.array([ids[objects[i].name] for i in kept], np.int32)
    difficult, crowd = np.array([(objects[i].difficult, objects[i].crowd) for i in kept], bool).reshape(-1, 2).T
    return Record(annotation.image, boxes[kept], class_ids, difficult, crowd, height, width)


def wrong_size(image: Path | FilePart, claimed: tuple, size: tuple, source: Path | None = None) -> Problem:
    """The error of an annotation that gives another size (height, width) than its image has.

    Args:
        source: the annotation's file, where it is known.
    """
    about = f" of {image}" if source and source.stem != image.stem else ""
    says = (
        f"says {claimed[1]:g}x{claimed[0]:g}, the image{about}"
        if source
        else f"its annotation says {claimed[1]}x{claimed[0]}, it"
    )
    reason = "an annotation of another image, or one from before the image was resized or rotated"
    return Problem(source or image, f"{says} is {size[1]}x{size[0]}: {reason}", "image size", ERROR)


def turned(image: Path | FilePart, why: str) -> Problem:
    """The warning that nothing says whether boxes were drawn in an image as EXIF turns it, or as it is stored."""
    frame = "boxes are taken in the turned image, as viewers show it; draw some to see whether they fit"
    return Problem(image, f"is turned by its EXIF orientation, and {why}: {frame}", "EXIF orientation")


def _unknown(name: str, names: dict, suggests: bool) -> str:
    known = ", ".join(map(short, islice(names, LISTED)))
    known += f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    near = did_you_mean(name, names) if suggests else ""
    return f"is of class {brief(name)}, which is not among {known or 'no classes'}{near}"


class PixelCheck:
    """Looks for normalized coordinates where a format has pixels: the boxes of a file, or of all files of a split, all lie
    within 0 and 1. As pixels they would vanish without an error."""

    def __init__(self, path: Path, format: str):
        self._path, self._format = path, format
        self._files: dict[Path, tuple] = {}  # (number of boxes, whether all are normalized) of each annotation file

    def add(self, annotation: ImageAnnotation) -> None:
        """Takes note of the boxes of an image."""
        if not annotation.normalized:
            self.add_boxes(annotation.source, annotation.raw_boxes() + annotation.origin)

    def add_boxes(self, source: Path, boxes: np.ndarray) -> None:
        """Takes note of boxes (M, 4) of a file, xyxy in its numbers."""
        if len(boxes):
            count, normalized = self._files.get(source, (0, True))
            self._files[source] = count + len(boxes), normalized and are_normalized(boxes)

    def report(self, problems: list) -> None:
        """Adds an error for the whole split or for each file, in the place of the warnings about each of their boxes."""
        if self._files and all(normalized for _, normalized in self._files.values()):
            path = next(iter(self._files)) if len(self._files) == 1 else self._path
            wrong, found = set(self._files), {path: sum(count for count, _ in self._files.values())}
        else:
            # A single such box may be a slip of the hand in the corner of the image.
            found = {path: count for path, (count, normalized) in self._files.items() if normalized and count > 1}
            wrong = set(found)
        kinds = ("degenerate box", "tiny box")
        problems[:] = [p for p in problems if p.path not in wrong or p.kind not in kinds]
        for path, count in found.items():
            boxes = "its only box lies" if count == 1 else f"all {count} boxes lie"
            message = (
                f"{boxes} within 0 and 1, as normalized coordinates do, but the format {self._format} has pixels: multiply x by "
                "the width and y by the height of each image, or export again"
            )
            problems.append(Problem(path, message, "normalized boxes", ERROR))
