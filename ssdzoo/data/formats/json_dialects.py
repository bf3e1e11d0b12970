"""The content of JSON files in which tools list images with their objects, each in a way of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.json_file import rows_of, table_of
from ssdzoo.data.formats.listed import Content, Listed, around, last_part, make_object, size_of, without_box
from ssdzoo.data.formats.rotation import around_rotated, rotation_of
from ssdzoo.data.formats.text_files import nfc, number
from ssdzoo.data.record import Problem
from ssdzoo.quote import short


def createml(content: Any, file: Path) -> Content:
    """[{"image", "annotations": [{"label", "coordinates": {x, y, width, height}}]}]; x and y are the center, in pixels."""

    def objects(row: dict, name: str) -> Iterator:
        for i, each in enumerate(rows_of(row.get("annotations", row.get("annotation"))), 1):
            x, y, width, height = _numbers(each.get("coordinates"), "x", "y", "width", "height")
            box = x - width / 2, y - height / 2, x + width / 2, y + height / 2
            yield make_object(file, f"annotation {i} of {name}", each.get("label"), box)

    images = [(i, row, _text(row.get("image", row.get("imagefilename")))) for i, row in enumerate(rows_of(content), 1)]
    return Content([Listed(name, f"image {i}", None, [*objects(row, last_part(name))]) for i, row, name in images], [], [])


def datumaro(content: Any, file: Path) -> Content:
    """{"categories": {"label": {"labels": [{"name"}]}}, "items": [{"id", "annotations", "image": {"path", "size"}}]}."""
    labels = rows_of(table_of(table_of(table_of(content).get("categories")).get("label")).get("labels"))
    names = [nfc(_text(label.get("name")).strip()) for label in labels]

    def listed(i: int, item: dict) -> Listed:
        image = table_of(item.get("image"))
        size = image.get("size")
        size = size_of(number(size[0]), number(size[1])) if isinstance(size, list) and len(size) == 2 else None
        name = _text(image.get("path")) or _text(item.get("id"))
        shapes = [each for each in rows_of(item.get("annotations")) if each.get("type") not in ("label", "caption")]
        return Listed(
            name,
            f"item {i}",
            size,
            [shape(each, f"annotation {k} of {last_part(name)}", size) for k, each in enumerate(shapes, 1)],
        )

    def shape(each: dict, where: str, size: tuple | None) -> AnnotatedObject | Problem:
        index, values = each.get("label_id"), each.get("bbox") if each.get("type") == "bbox" else each.get("points")
        numbers = [number(value) for value in values] if isinstance(values, list) else []
        if each.get("type") == "bbox":
            x, y, width, height = numbers if len(numbers) == 4 else [float("nan")] * 4
            box, rotation = (x, y, x + width, y + height), rotation_of(each.get("attributes"))
            box = around_rotated(box, rotation, size) if rotation else box
        elif each.get("type") == "polygon":
            box = around(numbers[::2], numbers[1::2])
        else:
            return without_box(file, where, each.get("type"))
        name = names[index] if type(index) is int and 0 <= index < len(names) else None
        return make_object(file, where, name, box)

    items = rows_of(table_of(content).get("items"))
    return Content([listed(i, item) for i, item in enumerate(items, 1)], list(dict.fromkeys(filter(None, names))), [])


def vott(content: Any, file: Path) -> Content:
    """{"tags": [{"name"}], "assets": {id: {"asset": {"name", "size"}, "regions": [{"tags", "boundingBox"}]}}}."""
    table = table_of(content)
    names = [nfc(_text(tag.get("name")).strip()) for tag in rows_of(table.get("tags"))]

    def objects(row: dict, name: str) -> Iterator:
        for i, region in enumerate(rows_of(row.get("regions")), 1):
            left, top, width, height = _numbers(region.get("boundingBox"), "left", "top", "width", "height")
            tags = region.get("tags")
            for tag in tags if isinstance(tags, list) and tags else [None]:
                yield make_object(file, f"region {i} of {name}", tag, (left, top, left + width, top + height))

    images = []
    for key, row in table_of(table.get("assets")).items():
        asset = table_of(row).get("asset")
        name, (height, width) = _text(table_of(asset).get("name")), _numbers(table_of(asset).get("size"), "height", "width")
        images.append(Listed(name, f"asset {short(key)}", size_of(height, width), [*objects(table_of(row), last_part(name))]))
    return Content(images, list(dict.fromkeys(filter(None, names))), [])


def bdd100k(content: Any, file: Path) -> Content:
    """[{"name", "labels": [{"category", "box2d": {x1, y1, x2, y2}}]}]; labels without a box are lanes and areas."""

    def objects(row: dict, name: str) -> Iterator:
        for i, each in enumerate(rows_of(row.get("labels")), 1):
            if "box2d" in each:
                box = tuple(_numbers(each["box2d"], "x1", "y1", "x2", "y2"))
                yield make_object(file, f"label {i} of {name}", each.get("category"), box)

    images = [(i, row, _text(row.get("name"))) for i, row in enumerate(rows_of(content), 1)]
    return Content([Listed(name, f"image {i}", None, [*objects(row, last_part(name))]) for i, row, name in images], [], [])


def hugging_face(content: Any, file: Path) -> Content:
    """A line {"file_name", "objects": {"bbox": [[x, y, width, height]], "categories": [...]}} for each image."""

    def objects(row: dict, name: str) -> Iterator:
        columns = table_of(row.get("objects"))
        boxes = columns.get("bbox")
        named = (columns[key] for key in ("categories", "category", "label", "labels", "category_id") if key in columns)
        classes = next((values for values in named if isinstance(values, list)), [])
        for i, values in enumerate(boxes if isinstance(boxes, list) else []):
            numbers = [number(value) for value in values] if isinstance(values, list) and len(values) == 4 else [float("nan")] * 4
            x, y, width, height = numbers
            kind = classes[i] if i < len(classes) else None
            yield make_object(file, f"object {i + 1} of {name}", kind, (x, y, x + width, y + height))

    images = [(i, row, _text(row.get("file_name"))) for i, row in enumerate(rows_of(content), 1)]
    return Content([Listed(name, f"line {i}", None, [*objects(row, last_part(name))]) for i, row, name in images], [], [])


def azure_ml(content: Any, file: Path) -> Content:
    """A line {"image_url", "label": [{"label", "topX", "topY", "bottomX", "bottomY", "isCrowd"}]} for each image; normalized."""

    def objects(row: dict, name: str) -> Iterator:
        for i, each in enumerate(rows_of(row.get("label")), 1):
            box = tuple(_numbers(each, "topX", "topY", "bottomX", "bottomY"))
            crowd = str(each.get("isCrowd")).lower() in ("1", "true")
            yield make_object(file, f"label {i} of {name}", each.get("label"), box, crowd=crowd)

    images = [(i, row, _text(row.get("image_url"))) for i, row in enumerate(rows_of(content), 1)]
    return Content([Listed(name, f"line {i}", None, [*objects(row, last_part(name))], True) for i, row, name in images], [], [])


def vertex_ai(content: Any, file: Path) -> Content:
    """A line {"imageGcsUri", "boundingBoxAnnotations": [{"displayName", "xMin", "yMin", "xMax", "yMax"}]} for each image, with
    the split in "dataItemResourceLabels"; normalized."""

    def objects(row: dict, name: str) -> Iterator:
        for i, each in enumerate(rows_of(row.get("boundingBoxAnnotations")), 1):
            box = tuple(_numbers(each, "xMin", "yMin", "xMax", "yMax"))
            yield make_object(file, f"annotation {i} of {name}", each.get("displayName"), box)

    images = []
    for i, row in enumerate(rows_of(content), 1):
        name = _text(row.get("imageGcsUri"))
        use = _text(table_of(row.get("dataItemResourceLabels")).get("aiplatform.googleapis.com/ml_use"))
        images.append(Listed(name, f"line {i}", None, [*objects(row, last_part(name))], True, use))
    return Content(images, [], [])


def _numbers(value: Any, *keys: str) -> list:
    """The numbers that a table has under some keys; NaN for those that it has not."""
    return [number(table_of(value).get(key)) for key in keys]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
