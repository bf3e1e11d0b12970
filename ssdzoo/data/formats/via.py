"""VIA's JSON, project and CSV (VGG Image Annotator 1 and 2): images with regions, whose attributes the user named."""

from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.json_file import rows_of, table_of
from ssdzoo.data.formats.listed import ONLY_CLASS, Content, Listed, around, make_object, without_box
from ssdzoo.data.formats.text_files import number
from ssdzoo.data.record import WARNING, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short

# The attribute that is the class, where regions have several.
_CLASS_NAMES = ("class", "label", "name", "category", "type", "object", "species")


def read(content: Any, file: Path) -> Content:
    """The images of a file.

    Raises:
        DataError: regions have several attributes, of which none is called like a class.
    """
    images = _images(content)
    attribute = _class_attribute([region for _, regions in images for region in regions], file)
    listed = [
        Listed(name, f"image {i}", None, [_object(each, k, attribute, short(name), file) for k, each in enumerate(regions, 1)])
        for i, (name, regions) in enumerate(images, 1)
    ]
    boxes = attribute is None and any(each.objects for each in listed)
    message = f"its regions have no attributes, and so no class: all are of the class {ONLY_CLASS!r}"
    return Content(listed, [], [Problem(file, message, "class names", WARNING)] if boxes else [])


def _images(content: Any) -> list:
    """[(name of the image, its regions)]; version 1 has the regions under numbers, CSV has one in a row."""
    if isinstance(content, list):
        images: dict[str, list] = {}
        for row in rows_of(content):
            regions = images.setdefault(str(row.get("filename", row.get("#filename", ""))), [])
            attributes = {"shape_attributes": row.get("region_shape_attributes")}
            regions += (
                [{**attributes, "region_attributes": row.get("region_attributes")}] if attributes["shape_attributes"] else []
            )
        return list(images.items())
    table = table_of(content)
    found = [table_of(row) for row in table_of(table.get("_via_img_metadata", table)).values()]
    rows = [(row.get("filename"), row.get("regions")) for row in found if isinstance(row.get("filename"), str)]
    return [(name, rows_of(list(regions.values()) if isinstance(regions, dict) else regions)) for name, regions in rows]


def _class_attribute(regions: list, file: Path) -> str | None:
    """The name of the attribute that is the class; None where regions have no attributes."""
    names = list(dict.fromkeys(name for region in regions for name in table_of(region.get("region_attributes"))))
    known = [name for wanted in _CLASS_NAMES for name in names if name.lower() == wanted]
    if len(names) > 1 and not known:
        found = ", ".join(map(brief, names[:5]))
        raise DataError(f"{file}: its regions have the attributes {found}; call the one that is the class 'class'")
    return next(iter(known or names), None)


def _object(region: dict, index: int, attribute: str | None, image: str, file: Path) -> AnnotatedObject | Problem:
    shape, where = table_of(region.get("shape_attributes")), f"region {index} of {image}"
    value = table_of(region.get("region_attributes")).get(attribute) if attribute else ONLY_CLASS
    if isinstance(value, dict):  # of a checkbox: {name: whether it is chosen}
        value = next((name for name, chosen in value.items() if chosen), None)
    kind = shape.get("name")
    x, y, across, up = (number(shape.get(key)) for key in ("cx", "cy", "rx", "ry"))
    if kind == "rect":
        x, y, width, height = (number(shape.get(key)) for key in ("x", "y", "width", "height"))
        box = x, y, x + width, y + height
    elif kind == "circle":
        across = number(shape.get("r"))
        box = x - across, y - across, x + across, y + across
    elif kind == "ellipse":
        box = x - across, y - up, x + across, y + up
    elif kind == "polygon":
        xs, ys = (shape.get(f"all_points_{axis}") for axis in "xy")
        box = around(*([number(v) for v in values] if isinstance(values, list) else [] for values in (xs, ys)))
    else:
        return without_box(file, where, kind)
    return make_object(file, where, value, box)
