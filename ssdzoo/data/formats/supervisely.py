"""Supervisely's format: datasets with img/ and ann/, which has a .json for each image, called like the image."""

import base64
import binascii
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.json_file import read_json, rows_of, table_of
from ssdzoo.data.formats.listed import around, make_object, size_of, without_box
from ssdzoo.data.formats.per_image import AnnotationFile, PerImageReader
from ssdzoo.data.formats.text_files import number, read_head
from ssdzoo.data.record import Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

MOST_JSON = 1 << 28  # bytes of an annotation
_PNG = struct.Struct(">16xII")  # width and height, behind the signature and the name of the first chunk


class SuperviselyReader(PerImageReader):
    """A dataset with ann/ and img/, or a project whose datasets are called like splits.

    Coordinates are pixels from 0. Polygons and bitmaps become the boxes around them.
    """

    format, suffix = "supervisely", ".json"
    layout = "Supervisely's ann/ beside img/"
    undivided = "without datasets called like splits"

    @staticmethod
    def is_annotation(path: Path) -> bool:
        head = read_head(path)
        return re.search(r'"objects"\s*:\s*\[', head) is not None and '"size"' in head

    def read(self, path: Path) -> AnnotationFile:
        table = table_of(read_json(path, MOST_JSON))
        if not isinstance(table.get("objects"), list):
            raise DataError(f'{path}: not an annotation of Supervisely; expected a list under "objects"')
        size = table_of(table.get("size"))
        objects = [_object(each, f"object {i}", path) for i, each in enumerate(rows_of(table["objects"]), 1)]
        name = path.name.removesuffix(self.suffix)
        return AnnotationFile(name, size_of(number(size.get("height")), number(size.get("width"))), objects)


def _object(found: dict, where: str, path: Path) -> AnnotatedObject | Problem:
    name, kind = found.get("classTitle"), found.get("geometryType")
    if kind in ("rectangle", "polygon"):
        return make_object(path, where, name, _points_box(table_of(found.get("points")).get("exterior")))
    if kind == "bitmap":
        return make_object(path, where, name, _bitmap_box(table_of(found.get("bitmap"))))
    return without_box(path, f"{where} ({brief(name)})", kind)


def _points_box(points: Any) -> tuple:
    pairs = [p if isinstance(p, list) and len(p) == 2 else (None, None) for p in points] if isinstance(points, list) else []
    return around([number(x) for x, _ in pairs], [number(y) for _, y in pairs])


def _bitmap_box(bitmap: dict) -> tuple:
    """Of a compressed PNG, which is as large as the object, at a place in the image."""
    try:
        left, top = map(number, bitmap["origin"])
        data = zlib.decompressobj().decompress(base64.b64decode(bitmap["data"]), _PNG.size)
        width, height = _PNG.unpack(data)
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error, struct.error):
        return (math.nan,) * 4
    return left, top, left + width, top + height
