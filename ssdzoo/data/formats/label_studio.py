"""Label Studio's JSON, JSON-MIN and CSV: tasks with the address of an image, and regions in percent of its width and height."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.json_file import rows_of, table_of
from ssdzoo.data.formats.listed import Content, Listed, around, last_part, make_object, size_of, without_box
from ssdzoo.data.formats.rotation import around_rotated
from ssdzoo.data.formats.text_files import number
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.record import WARNING, Problem
from ssdzoo.quote import short

_PERCENT = 100.0
_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # of the name of an image that was uploaded


def read(content: Any, file: Path) -> Content:
    """The images of a file. Of several annotations of one task the newest counts; a task without any is left out, because nobody
    has labeled it."""
    images, problems = [], []
    for task in _tasks(rows_of(content)):
        where = f"task {short(task.get('id'))}"
        regions, note = _regions(task)
        if note:
            problems.append(Problem(file, f"{where} {note}", "no labels", WARNING))
        if regions is None:
            continue
        name = _path(table_of(task.get("data")))
        sizes = [size_of(number(each.get("original_height")), number(each.get("original_width"))) for each in regions]
        size, objects = next(filter(None, sizes), None), _objects(regions, last_part(name), file, sizes)
        plain = _PREFIX.sub("", name.rpartition("/")[2])
        images.append(Listed(name, where, size, objects, normalized=True, other=plain))
    return Content(images, [], problems)


def _tasks(rows: list) -> list:
    """Tasks as JSON has them: JSON-MIN and CSV have a row for each annotation, with lists of regions in some of its fields."""
    tasks: dict[str, dict] = {}
    for i, row in enumerate(rows, 1):
        if "annotations" in row:
            tasks[f"row {i}"] = {"id": i, **row}
            continue
        task = tasks.setdefault(f"task {row.get('id', i)}", {"id": row.get("id", i), "data": row, "annotations": []})
        regions = [{**each, "value": each} for value in row.values() for each in rows_of(value)]
        task["annotations"].append({"result": regions, "updated_at": row.get("updated_at")})
    return list(tasks.values())


def _regions(task: dict) -> tuple:
    """(the regions of a task, or None; what is to be told about that). A region has its value, kind and size of the image."""
    done = [each for each in rows_of(task["annotations"]) if not each.get("was_cancelled")]
    if not done:
        return None, "has no annotation: left out"
    newest = max(done, key=lambda each: (bool(each.get("ground_truth")), str(each.get("updated_at") or "")))
    several = f"has {len(done)} annotations: the ground truth, or else the newest, is taken" if len(done) > 1 else ""
    return rows_of(newest.get("result")), several


def _objects(regions: list, image: str, file: Path, sizes: list) -> list:
    """The objects of an image; a region of several labels is several."""
    found: list = []
    # The labels of a rectangle may be a region of their own with the same id.
    labeled = {str(each.get("id")) for each in regions if _labels(each)}
    for i, (each, size) in enumerate(zip(regions, sizes), 1):
        where, labels = f"region {i} of {image}", _labels(each)
        found += [_object(each, label, where, file, size) for label in labels]
        if not labels and "x" in table_of(each.get("value")) and str(each.get("id")) not in labeled:
            found.append(Problem(file, f"{where} has no label: left out", "no labels", WARNING))
    return [each for each in found if each]


def _labels(region: dict) -> list:
    """The labels of a region."""
    value = table_of(region.get("value"))
    return next((each for key, each in value.items() if key.endswith("labels") and isinstance(each, list)), [])


def _object(region: dict, label: Any, where: str, file: Path, size: tuple | None) -> AnnotatedObject | Problem | None:
    """An object in normalized coordinates; None for labels that are of the whole image."""
    value = table_of(region.get("value"))
    height, width = size or (1, 1)  # a rotation is one of pixels
    rotation = number(value.get("rotation") or 0)
    x, y = number(value.get("x")) * width, number(value.get("y")) * height
    if "radiusX" in value:
        across, up = number(value["radiusX"]) * width, number(value.get("radiusY")) * height
        box = around_rotated((x - across, y - up, x + across, y + up), rotation, None)
    elif isinstance(points := value.get("points"), list):
        pairs = [point if isinstance(point, list) and len(point) == 2 else (None, None) for point in points]
        box = around([number(px) * width for px, _ in pairs], [number(py) * height for _, py in pairs])
    elif "x" in value and "width" in value and "height" in value:
        box = x, y, x + number(value["width"]) * width, y + number(value["height"]) * height
        limits = (height * _PERCENT, width * _PERCENT)
        box = around_rotated(box, rotation, limits, by_corner=True) if rotation else box
    elif "x" in value or "rle" in value or "format" in value:
        return without_box(file, where, region.get("type", "mask or a point"))
    else:
        return None
    (x1, y1, x2, y2), across, up = box, width * _PERCENT, height * _PERCENT
    return make_object(file, where, label, (x1 / across, y1 / up, x2 / across, y2 / up))


def _path(data: dict) -> str:
    """The path of the image of a task, without the prefix and the query of its address."""
    texts = [text for text in data.values() if isinstance(text, str)]
    paths = [_plain(text) for text in texts]
    known = [path for path in paths if Path(path).suffix.lower() in IMAGE_SUFFIXES]
    return next(iter(known or paths), "")


def _plain(address: str) -> str:
    """The path in an address: `d` of "/data/local-files/?d=cells/x.jpg", otherwise what is in front of the query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    local = parse_qs(parts.query).get("d") if parts.path.rstrip("/").endswith("local-files") else None
    return local[0] if local else address.partition("?")[0]
