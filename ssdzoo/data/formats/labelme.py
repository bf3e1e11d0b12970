"""LabelMe: a .json for each image, with rectangles, polygons, circles and masks. Each becomes its bounding box."""

import math
import re
from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.json_file import read_json
from ssdzoo.data.formats.per_image import AnnotationFile, PerImageReader
from ssdzoo.data.formats.text_files import nfc, number, read_head
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short

MOST_JSON = 1 << 28  # bytes of an annotation, which may contain its image
_WITHOUT_AREA = ("point", "points", "line", "linestrip")


class LabelMeReader(PerImageReader):
    """A folder of LabelMe's annotations, beside the images or in a folder of their own.

    Coordinates are pixels from 0. Outlines of one label and one group are parts of one object. The image that a file contains is
    not read, but the one that its `imagePath` names.
    """

    format, suffix = "labelme", ".json"
    layout = "LabelMe's .json beside the images"
    undivided = "without folders for its splits"

    @staticmethod
    def is_annotation(path: Path) -> bool:
        return re.search(r'"shapes"\s*:\s*\[|"imageData"\s*:', read_head(path)) is not None

    def read(self, path: Path) -> AnnotationFile:
        table = read_json(path, MOST_JSON)
        shapes = table.get("shapes") if isinstance(table, dict) else None
        if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
            raise DataError(f'{path}: not an annotation of LabelMe; expected a list of objects under "shapes"')
        image, size = table.get("imagePath"), (number(table.get("imageHeight")), number(table.get("imageWidth")))
        objects = [_object(shape, i, path) for i, shape in enumerate(shapes, 1)]
        return AnnotationFile(image if isinstance(image, str) else "", size if min(size) > 0 else None, _united(objects, shapes))


def _object(shape: dict, index: int, path: Path) -> AnnotatedObject | Problem:
    where, label, kind = f"shape {index}", shape.get("label"), shape.get("shape_type") or "polygon"
    label = str(label) if type(label) is int else label
    if not isinstance(label, str) or not label.strip():
        return Problem(path, f"{where} has the label {brief(label)}; expected a text", "annotation", ERROR)
    if kind in _WITHOUT_AREA:
        return Problem(path, f"{where} ({short(label)}) is a {short(kind)}, which has no box: left out", "no box", WARNING)
    box = _box(shape.get("points"), kind)
    if box is None:
        found = brief(shape.get("points"))
        return Problem(
            path,
            f"{where} ({short(label)}) is a {short(kind)} with the points {found}; expected pairs of numbers",
            "no box",
            ERROR,
        )
    shown = ", ".join(f"{v:g}" for v in box)
    return AnnotatedObject(nfc(label.strip()), box, where, shown, shape.get("difficult") is True)


def _box(points: Any, kind: str) -> tuple | None:
    """The bounding box of a shape; None where its points are not those of one."""
    least = 3 if kind == "polygon" else 2
    if not isinstance(points, list) or len(points) < least:
        return None
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    values = [(number(x), number(y)) for x, y in points]
    if any(math.isnan(v) for point in values for v in point):
        return None
    if kind == "circle":  # its center, and a point on it
        (x, y), radius = values[0], math.dist(*values[:2])
        return x - radius, y - radius, x + radius, y + radius
    xs, ys = zip(*values)
    last = 1 if kind == "mask" else 0  # a mask's last pixel belongs to it
    return min(xs), min(ys), max(xs) + last, max(ys) + last


def _united(objects: list, shapes: list) -> list:
    """The objects, those of several outlines as one: of one label and one group_id. Rectangles are objects of their own."""
    whole: dict[Any, AnnotatedObject | Problem] = {}
    for index, (found, shape) in enumerate(zip(objects, shapes)):
        group = shape.get("group_id")
        parts = isinstance(found, AnnotatedObject) and type(group) in (int, str) and shape.get("shape_type") != "rectangle"
        key = (found.name, group) if parts else index
        first = whole.get(key)
        if isinstance(first, AnnotatedObject):
            pairs = list(zip(first.box, found.box))
            box = (*map(min, pairs[:2]), *map(max, pairs[2:]))
            shown = ", ".join(f"{v:g}" for v in box)
            whole[key] = first._replace(box=box, shown=shown, difficult=first.difficult and found.difficult)
        else:
            whole[key] = found
    return list(whole.values())
