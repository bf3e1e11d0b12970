"""KITTI's labels: a .txt for each image, with a type and 14 numbers in a line, of which four are the box."""

from pathlib import Path

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.listed import make_object
from ssdzoo.data.formats.per_image import AnnotationFile, PerImageReader
from ssdzoo.data.formats.text_files import number, read_head, read_text
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.quote import brief

_FIELDS = (15, 16)  # type, truncated, occluded, alpha, box, size, place, rotation; a score may follow
_BOX = slice(4, 8)
_REGION = "dontcare"  # a region in which nobody labeled the objects


class KITTIReader(PerImageReader):
    """A folder with label_2 and image_2, or with labels and images. Coordinates are pixels from 0."""

    format, suffix = "kitti", ".txt"
    layout = "KITTI's label_2/ beside image_2/"
    undivided = "without folders for its splits"

    @staticmethod
    def is_annotation(path: Path) -> bool:
        fields = read_head(path).partition("\n")[0].split()
        values = [number(field) for field in fields]
        return len(fields) in _FIELDS and values[0] != values[0] and all(value == value for value in values[1:])

    def read(self, path: Path) -> AnnotationFile:
        lines = enumerate(read_text(path).splitlines(), 1)
        return AnnotationFile("", None, [_object(line.split(), i, path) for i, line in lines if line.strip()])


def _object(fields: list, line: int, path: Path) -> AnnotatedObject | Problem:
    if len(fields) not in _FIELDS:
        message = f"line {line} is {brief(' '.join(fields))}; expected a type and 14 numbers"
        return Problem(path, message, "no box", ERROR)
    if fields[0].lower() == _REGION:
        return Problem(path, f"line {line} is a region whose objects are not labeled: left out", "no box", WARNING)
    return make_object(path, f"line {line}", fields[0], tuple(number(field) for field in fields[_BOX]))
