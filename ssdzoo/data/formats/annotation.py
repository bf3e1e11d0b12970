"""One image as its annotation has it, and how it becomes a record: the checks that hold for every format are here."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.boxes import clip
from ssdzoo.data.formats.text_files import brief
from ssdzoo.data.images import FilePart, image_size
from ssdzoo.data.record import ERROR, Problem, Record
from ssdzoo.errors import DataError
from ssdzoo.suggest import did_you_mean

SLACK = 1.0  # pixels that a box may stick out of its image, by rounding or by counting from 1; it is clipped


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
    """

    image: Path | FilePart
    source: Path
    objects: list
    size: tuple | None = None
    normalized: bool = False


def make_record(annotation: ImageAnnotation, ids: dict, problems: list) -> Record | None:
    """The record of an annotation; None where the image is missing or broken, or has another size than the annotation says.

    Args:
        ids: class id of each name.
        problems: a list that gets what is wrong. Objects with an error and boxes without width or height are left out.
    """
    try:
        height, width = image_size(annotation.image)
    except DataError as error:
        problems.append(Problem.of(error, annotation.image, "image"))
        return None
    if annotation.size and tuple(annotation.size) != (height, width):
        claimed = f"{annotation.size[1]:g}x{annotation.size[0]:g}"
        about = "" if annotation.source.stem == annotation.image.stem else f" of {annotation.image}"
        reason = "an annotation of another image, or one from before the image was resized or rotated"
        message = f"says {claimed}, the image{about} is {width}x{height}: {reason}"
        problems.append(Problem(annotation.source, message, "image size", ERROR))
        return None
    problems += [o for o in annotation.objects if isinstance(o, Problem)]
    objects = [o for o in annotation.objects if isinstance(o, AnnotatedObject)]
    raw = np.array([o.box for o in objects], np.float64).reshape(-1, 4) * ((width, height) * 2 if annotation.normalized else 1)
    with np.errstate(over="ignore"):
        boxes = clip(raw, height, width).astype(np.float32)
    wrong = [_problem(*each, ids, annotation.source, (height, width)) for each in zip(objects, raw, boxes)]
    problems += [problem for problem in wrong if problem]
    kept = [i for i, problem in enumerate(wrong) if not problem]
    class_ids = np.array([ids[objects[i].name] for i in kept], np.int32)
    difficult, crowd = np.array([(objects[i].difficult, objects[i].crowd) for i in kept], bool).reshape(-1, 2).T
    return Record(annotation.image, boxes[kept], class_ids, difficult, crowd, height, width)


def _problem(found: AnnotatedObject, raw: np.ndarray, box: np.ndarray, ids: dict, source: Path, size: tuple) -> Problem | None:
    """Why an object cannot be used: `raw` (4,) float64 is its box in pixels, `box` (4,) float32 the same clipped to the image."""
    height, width = size
    what = f"{found.where} ({found.name}): box ({found.shown})"
    x1, y1, x2, y2 = raw.tolist()
    inside = x1 >= -SLACK and y1 >= -SLACK and x2 <= width + SLACK and y2 <= height + SLACK
    left, top, right, bottom = box.tolist() if inside else (x1, y1, x2, y2)
    if found.name not in ids:
        return Problem(source, f"{found.where} {_unknown(found.name, list(ids))}", "unknown class", ERROR)
    if not np.isfinite(raw).all():
        return Problem(source, f"{what} is not finite", "no box", ERROR)
    if right <= left or bottom <= top:
        return Problem(source, f"{what} has no width or no height: left out", "degenerate box")
    return None if inside else Problem(source, f"{what} is outside of the {width}x{height} image", "box outside", ERROR)


def _unknown(name: str, names: list) -> str:
    known = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"is of class {brief(name)}, which is not among {known or 'no classes'}{did_you_mean(name, names)}"
