"""COCO's json: images, annotations with [x, y, width, height] boxes, categories."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.paths import path_inside
from ssdzoo.data.formats.text_files import brief, number, read_text
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError

TRIED = 20  # images that are looked for to find the folder of the images


class COCOReader(FilesReader):
    """A json file, or a folder with annotations/instances_SPLIT.json or SPLIT/_annotations.coco.json; items are (file,
    (folder of its images, number of the image in it)).

    Categories become class ids from 0 in the order of their ids; those of equal names are one class.
    """

    format, suffixes, prefix = "coco", (".json",), "instances_"
    layout = "a COCO .json or a folder with annotations/instances_*.json"

    def __init__(self, path: str | Path):
        super().__init__(path)
        if self.path.is_dir() and self._files[0].name == "_annotations.coco.json":
            self._splits = {file.parent.name: file for file in self._files}

    @staticmethod
    def files_in(folder: Path) -> list:
        patterns = "annotations/instances_*.json", "*/_annotations.coco.json", "_annotations.coco.json", "annotations/*.json"
        return next((files for pattern in patterns if (files := sorted(folder.glob(pattern)))), [])

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        file = next(iter(sorted(path.glob("*.json"))), None)
        return f'{file} is not COCO\'s json, which has "images", "annotations" and "categories"' if file else None

    def class_names(self, problems: list) -> list:
        return list(dict.fromkeys(name for file in self._files for name in _parsed(file)["names"].values()))

    def places(self, file: Path, problems: list) -> list:
        data = _parsed(file)
        problems += data["problems"]
        folder = self.image_folder or (_image_folder(file, data["images"]) if data["images"] else None)
        return [(folder, i) for i in range(len(data["images"]))]

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        file, (folder, index) = item
        data = _parsed(file)
        name, size, annotations = data["images"][index]
        try:
            image = path_inside(folder, name, f"{file}: an image's file_name")
        except DataError as error:
            return Problem.of(error, file, "image")
        return ImageAnnotation(image, file, [_object(each, data["names"], file, image) for each in annotations], size)


def _image_folder(file: Path, images: list) -> Path:
    """The folder that the file names of the images start from."""
    split = file.stem.removeprefix("instances_")
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    places = [root / "images" / split, root / split, root / "images", file.parent / "images", file.parent, root]
    places += [root / split / "images", root / "JPEGImages"]
    names = [name for name, _, _ in images[:TRIED]]
    hits = {place: sum(_is_there(place, name) for name in names) for place in dict.fromkeys(places)}
    best = max(hits, key=lambda place: hits[place])
    if not hits[best]:
        looked = ", ".join(map(str, hits))
        raise DataError(f"{file}: no image such as {brief(names[0])} in {looked}; put the images in one of them")
    return best


def _is_there(folder: Path, name: str) -> bool:
    try:
        return path_inside(folder, name, "").exists()
    except (DataError, OSError):
        return False


def _parsed(file: Path) -> dict:
    """{"names": {category id: name}, "images": [(file name, size or None, annotations)], "problems"} of a json file. An
    annotation is (id, category id, bbox, whether it is a crowd)."""
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    return _parsed_once(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)  # those of train and val: `annotation` asks for them image by image
def _parsed_once(file: Path, *_: int) -> dict:
    text = read_text(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON: {error}") from None
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{file}: not COCO's json; expected a list of objects under {key!r}")
    names, problems = _categories(content["categories"], file), []
    images = _images(content["images"], file)
    strays = []
    for row in content["annotations"]:
        image = images.get(_key(row.get("image_id")))
        if image is None:
            strays.append(row)
        else:
            image[2].append((_key(row.get("id")), _key(row.get("category_id")), row.get("bbox"), bool(row.get("iscrowd"))))
    if strays:
        about = f"annotation {brief(strays[0].get('id'))} of image {brief(strays[0].get('image_id'))}"
        message = f"{len(strays)} annotations are of images that it does not list, such as {about}: left out"
        problems.append(Problem(file, message, "annotation", WARNING))
    return {"names": names, "images": list(images.values()), "problems": problems}


def _categories(rows: list, file: Path) -> dict:
    names: dict = {}
    for row in rows:
        name, key = row.get("name"), _key(row.get("id"))
        if not isinstance(name, str) or not name.strip() or key is None:
            found = f"id {brief(row.get('id'))} and name {brief(name)}"
            raise DataError(f"{file}: a category has {found}; expected a number and a text")
        if key in names:
            raise DataError(f"{file}: category {brief(row['id'])} is there twice, as {names[key]!r} and {name!r}")
        names[key] = name.strip()
    return {key: names[key] for key in sorted(names, key=lambda k: (isinstance(k, str), k))}


def _images(rows: list, file: Path) -> dict:
    images: dict = {}
    for row in rows:
        key, name = _key(row.get("id")), row.get("file_name")
        if key is None or not isinstance(name, str):
            found = f"id {brief(row.get('id'))} and file_name {brief(name)}"
            raise DataError(f"{file}: an image has {found}; expected a number and a text")
        if key in images:
            raise DataError(f"{file}: image {brief(row['id'])} is there twice, as {brief(images[key][0])} and {brief(name)}")
        size = number(row.get("height")), number(row.get("width"))
        images[key] = (name, size if min(size) > 0 else None, [])
    return images


def _key(value: Any) -> int | str | None:
    """An id, which some files have as a text or as 1.0; None for a value that cannot be an id."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _object(annotation: tuple, names: dict, file: Path, image: Path) -> AnnotatedObject | Problem:
    key, category, bbox, crowd = annotation
    where = f"annotation {brief(key)} of {image.name}"
    if category not in names:
        message = f"{where} has category_id {brief(category)}, which is not among its {len(names)} categories"
        return Problem(file, message, "unknown class", ERROR)
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(v, (int, float)) for v in bbox):
        return Problem(file, f"{where} has no bbox of four numbers, but {brief(bbox)}", "no box", ERROR)
    x, y, width, height = map(number, bbox)
    shown = ", ".join(f"{v:g}" for v in (x, y, width, height))
    return AnnotatedObject(names[category], (x, y, x + width, y + height), where, shown, crowd=crowd)
