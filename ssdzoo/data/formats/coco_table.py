"""What a COCO json holds, as arrays: read without making Python objects of what no detector needs, such as outlines."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ssdzoo.data.formats.json_file import read_json
from ssdzoo.data.formats.json_lists import list_pieces
from ssdzoo.data.formats.rotation import around_rotated, rotation_of
from ssdzoo.data.formats.text_files import nfc, number
from ssdzoo.data.index import load_index, save_index
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

KEYS = ("images", "annotations", "categories")
_DIGITS = re.compile(r"0|[1-9][0-9]{0,17}")  # "007" is a name


class COCOTable(NamedTuple):
    """N images with M objects, which are sorted by image.

    Attributes:
        names: of the classes.
        images: list of N file names.
        sizes: (N, 2) float64 height and width; 0 where there are none.
        offsets: (N + 1,) int64; the objects of image i are those from offsets[i] to offsets[i + 1].
        boxes: (M, 4) float64 x, y, width, height as in the file; those around boxes that are rotated.
        class_ids: (M,) int64, index in `names`; -1 for objects in `wrong`.
        crowd: (M,) bool.
        ids: (M,) int64; or a list of M, where some are no numbers.
        wrong: {object: (kind, message)} of those that cannot be used.
        strays: what is said about annotations of images that are not listed, or "".
    """

    names: list
    images: list
    sizes: np.ndarray
    offsets: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    crowd: np.ndarray
    ids: np.ndarray | list
    wrong: dict
    strays: str


def read_table(file: Path) -> COCOTable:
    """The table of a json file; that of a large one is kept in the index.

    Raises:
        DataError: the file cannot be read, is not JSON, or not COCO's.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    return _read_once(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=6)  # train, val and test of two data sets
def _read_once(file: Path, changed: int, size: int) -> COCOTable:
    source = [str(file.resolve()), changed, size]
    if found := load_index("coco", source):
        try:
            return COCOTable(**found)
        except TypeError:  # of another version
            pass
    table = _read(file)
    if not table.wrong and isinstance(table.ids, np.ndarray):
        save_index("coco", source, len(table.images), table._asdict())
    return table


class _Image(msgspec.Struct):
    id: int
    file_name: str
    height: int | float | None = None
    width: int | float | None = None


class _Attributes(msgspec.Struct):
    rotation: float = 0  # of the box around its center, in degrees, as CVAT writes it


class _Annotation(msgspec.Struct):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int | bool = 0
    attributes: _Attributes | None = None


_DECODERS: dict[str, msgspec.json.Decoder] = {
    "images": msgspec.json.Decoder(list[_Image]),
    "annotations": msgspec.json.Decoder(list[_Annotation]),
    "categories": msgspec.json.Decoder(list[dict]),
}


class _Part(NamedTuple):
    """Some annotations: ids, of images and categories too, as numbers or texts, boxes (K, 4), crowd (K,), and by their index the
    bboxes that are none, and the rotations in degrees that are not 0."""

    ids: list
    images: list
    categories: list
    boxes: np.ndarray
    crowd: np.ndarray
    no_boxes: dict
    rotations: dict


def _read(file: Path) -> COCOTable:
    try:
        found = _collect(file, list_pieces(file))
    except DataError:
        raise
    except (ValueError, RecursionError):  # not as expected: read in the plain way, which knows what is wrong and where
        found = _collect(file, _whole(file))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    return _table(file, *found)


def _whole(file: Path) -> list:
    """[(key, list)] of a json file."""
    content = read_json(file)
    return [(key, content[key]) for key in KEYS if isinstance(content, dict) and key in content]


def _collect(file: Path, pieces: Any) -> tuple:
    """({id: (file name, size)} of the images, list of _Part, list of categories) of (key, rows or their JSON)."""
    images: dict = {}
    parts: list[_Part] = []
    categories: list[dict] = []
    seen = set()
    for key, piece in pieces:
        if key not in KEYS:
            continue
        rows, typed = piece, False
        if isinstance(piece, bytes):
            try:
                rows, typed = _DECODERS[key].decode(piece), True
            except msgspec.MsgspecError:  # something in it is unusual, or wrong
                rows = json.loads(piece)
        if not isinstance(rows, list) or not (typed or all(isinstance(row, dict) for row in rows)):
            break
        seen.add(key)
        if key == "categories":
            categories += rows
        elif key == "images":
            _add_images(file, rows if not typed else [msgspec.structs.asdict(row) for row in rows], images)
        else:
            parts.append(_typed_part(rows) if typed else _part(rows))
    for key in KEYS:
        if key not in seen:
            raise DataError(f"{file}: not COCO's json; expected a list of objects under {key!r}")
    return images, parts, categories


def _typed_part(rows: list) -> _Part:
    boxes = np.array([row.bbox for row in rows], np.float64).reshape(-1, 4)
    ids, images, categories = ([getattr(row, key) for row in rows] for key in ("id", "image_id", "category_id"))
    rotations = {i: row.attributes.rotation for i, row in enumerate(rows) if row.attributes and row.attributes.rotation}
    return _Part(ids, images, categories, boxes, np.array([row.iscrowd for row in rows], bool), {}, rotations)


def _part(rows: list) -> _Part:
    no_boxes, boxes = {}, np.full((len(rows), 4), np.nan)
    for i, row in enumerate(rows):
        bbox = row.get("bbox")
        if isinstance(bbox, list) and len(bbox) == 4 and all(isinstance(value, (int, float)) for value in bbox):
            boxes[i] = [number(value) for value in bbox]
        else:
            no_boxes[i] = bbox
    ids, images, categories = ([_key(row.get(key)) for row in rows] for key in ("id", "image_id", "category_id"))
    crowd = np.array([bool(row.get("iscrowd")) for row in rows], bool)
    rotations = {i: found for i, row in enumerate(rows) if (found := rotation_of(row.get("attributes")))}
    return _Part(ids, images, categories, boxes, crowd, no_boxes, rotations)


def _key(value: Any) -> int | str | None:
    """An id; None for a value that cannot be one. Some files have 1.0 for 1, and VIA has "1" in annotations and 1 in images."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _add_images(file: Path, rows: list, images: dict) -> None:
    for row in rows:
        key, name = _key(row.get("id")), row.get("file_name", row.get("coco_url"))  # LVIS has the address only
        if key is None or not isinstance(name, str):
            found = f"id {brief(row.get('id'))} and file_name {brief(name)}"
            raise DataError(f"{file}: an image has {found}; expected a number and a text")
        if key in images:
            raise DataError(f"{file}: image {brief(row['id'])} is there twice, as {brief(images[key][0])} and {brief(name)}")
        images[key] = name, number(row.get("height")), number(row.get("width"))


def _categories(rows: list, file: Path) -> dict:
    """{id: name} by rising ids."""
    names: dict = {}
    for row in rows:
        name, key = row.get("name"), _key(row.get("id"))
        if not isinstance(name, str) or not name.strip() or key is None:
            found = f"id {brief(row.get('id'))} and name {brief(name)}"
            raise DataError(f"{file}: a category has {found}; expected a number and a text")
        if key in names:
            raise DataError(f"{file}: category {brief(row['id'])} is there twice, as {brief(names[key])} and {brief(name)}")
        names[key] = nfc(name.strip())
    return {key: names[key] for key in sorted(names, key=lambda k: (isinstance(k, str), k))}


def _groups(rows: list, used: set) -> list:
    """Ids of the categories that are no classes, but the name of all others together: Roboflow lists its project as such one,
    which has no objects."""
    tops = [row for row in rows if row.get("supercategory") == "none"]
    below = [row for row in rows if tops and row.get("supercategory") == tops[0].get("name")]
    is_group = len(tops) == 1 and below and len(below) == len(rows) - 1 and _key(tops[0].get("id")) not in used
    return [_key(tops[0].get("id"))] if is_group else []


def _table(file: Path, images: dict, parts: list, categories: list) -> COCOTable:
    by_id = _categories(categories, file)
    for group in _groups(categories, {key for part in parts for key in part.categories}):
        del by_id[group]
    names = list(dict.fromkeys(by_id.values()))
    index = {name: i for i, name in enumerate(names)}
    class_of, image_of = {key: index[name] for key, name in by_id.items()}, {key: i for i, key in enumerate(images)}
    owners = _looked_up(image_of, [part.images for part in parts])
    class_ids = _looked_up(class_of, [part.categories for part in parts])
    sizes = np.array([size for _, *size in images.values()], np.float64).reshape(-1, 2)
    sizes = np.where((sizes > 0).all(axis=1, keepdims=True), sizes, 0)
    order = np.argsort(owners, kind="stable")
    lost = int((owners < 0).sum())  # they come first in the order
    ids, wrong, first = [], {}, 0
    for part in parts:
        for i, rotation in part.rotations.items():
            x, y, width, height = part.boxes[i].tolist()
            place = int(owners[first + i])
            x1, y1, x2, y2 = around_rotated((x, y, x + width, y + height), rotation, sizes[place] if place >= 0 else None)
            part.boxes[i] = x1, y1, x2 - x1, y2 - y1
        for i in np.flatnonzero(class_ids[first : first + len(part.ids)] < 0).tolist():
            found = f"category_id {brief(part.categories[i])}"
            wrong[first + i] = "unknown class", f"has {found}, which is not among its {len(by_id)} categories"
        for i, bbox in part.no_boxes.items():
            if first + i not in wrong:
                wrong[first + i] = "no box", f"has no bbox of four numbers, but {brief(bbox)}"
        ids += part.ids
        first += len(part.ids)
    strays = ""
    if lost:
        stray = int(order[0])
        image = next(key for part in parts for key in part.images if key not in image_of)
        about = f"annotation {brief(ids[stray])} of image {brief(image)}"
        strays = f"{lost} annotations are of images that it does not list, such as {about}: left out"
    order = order[lost:]
    places = {int(old): new for new, old in enumerate(order)} if wrong else {}
    class_ids[list(wrong)] = -1
    return COCOTable(
        names,
        [name for name, *_ in images.values()],
        sizes,
        np.concatenate([[0], np.cumsum(np.bincount(owners[order], minlength=len(images)))]).astype(np.int64),
        np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)])[order],
        class_ids[order],
        np.concatenate([np.zeros(0, bool), *(part.crowd for part in parts)])[order],
        _numbers(ids, order),
        {places[old]: message for old, message in wrong.items() if old in places},
        strays,
    )


def _looked_up(indices: dict, keys: list) -> np.ndarray:
    """(M,) int64: the index of each of M keys, which come in several lists; -1 for one that is not there."""
    return np.array([indices.get(key, -1) for part in keys for key in part], np.int64)


def _numbers(ids: list, order: np.ndarray) -> np.ndarray | list:
    if all(type(i) is int and -(2**63) <= i < 2**63 for i in ids):
        return np.array(ids, np.int64)[order]
    return [ids[i] for i in order.tolist()]
