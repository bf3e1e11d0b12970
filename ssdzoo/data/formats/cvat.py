"""CVAT's own XML, "CVAT for images 1.1": one file with all images of a task or a project."""

from pathlib import Path
from xml.etree.ElementTree import Element

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.listed import Content, Listed, ListReader, around, last_part, make_object, size_of, without_box
from ssdzoo.data.formats.rotation import around_rotated
from ssdzoo.data.formats.text_files import nfc, number
from ssdzoo.data.formats.xml_file import outermost, read_xml
from ssdzoo.data.record import Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short


class CVATReader(ListReader):
    """An annotations.xml, or its folder, with the images beside it or in images/. The subsets of a project are the splits. The
    classes are in the order of the task.

    Coordinates are pixels from 0. Polygons, ellipses, masks and rotated boxes become the boxes around them.
    """

    format, suffixes, patterns = "cvat", (".xml",), ("*.xml",)
    layout = "CVAT's annotations.xml"
    undivided = "without subsets"

    @classmethod
    def is_own(cls, file: Path) -> bool:
        return outermost(file) == "annotations"

    def content(self, file: Path) -> Content:
        tree = read_xml(file)
        if tree.tag != "annotations":
            raise DataError(f"{file}: not CVAT's; its outermost element is <{short(tree.tag)}>, expected <annotations>")
        if tree.find("track") is not None:
            raise DataError(f'{file}: is "CVAT for video", whose tracks are not read; export "CVAT for images 1.1"')
        names = [nfc((label.findtext("name") or "").strip()) for label in tree.iterfind("meta//labels/label")]
        images = [_listed(element, file) for element in tree.iterfind("image")]
        return Content(images, list(dict.fromkeys(filter(None, names))), [])


def _listed(element: Element, file: Path) -> Listed:
    name, size = element.get("name", ""), size_of(number(element.get("height")), number(element.get("width")))
    shapes = [shape for shape in element if shape.tag != "tag"]  # a tag is about the whole image
    objects = [_object(shape, f"shape {i} of {last_part(name)}", file, size) for i, shape in enumerate(shapes, 1)]
    return Listed(name, f"image {brief(element.get('id'))}", size, objects, split=element.get("subset", ""))


def _object(shape: Element, where: str, file: Path, size: tuple | None) -> AnnotatedObject | Problem:
    if shape.tag not in _BOXES:
        return without_box(file, where, shape.tag)
    box, rotation = _BOXES[shape.tag](shape), number(shape.get("rotation", 0))
    return make_object(file, where, shape.get("label"), around_rotated(box, rotation, size) if rotation else box)


def _values(shape: Element, *names: str) -> list:
    return [number(shape.get(name)) for name in names]


def _ellipse(shape: Element) -> tuple:
    x, y, width, height = _values(shape, "cx", "cy", "rx", "ry")
    return x - width, y - height, x + width, y + height


def _mask(shape: Element) -> tuple:
    left, top, width, height = _values(shape, "left", "top", "width", "height")
    return left, top, left + width, top + height


def _polygon(shape: Element) -> tuple:
    points = [pair.partition(",") for pair in shape.get("points", "").split(";")]
    return around([number(x) for x, _, _ in points], [number(y) for _, _, y in points])


_BOXES = {
    "box": lambda shape: tuple(_values(shape, "xtl", "ytl", "xbr", "ybr")),
    "polygon": _polygon,
    "ellipse": _ellipse,
    "mask": _mask,
}
