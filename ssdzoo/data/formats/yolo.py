"""YOLO's layout: a data.yaml, images, and for each image a text file with a line "class cx cy w h" for each object, in
normalized coordinates.

A data.yaml may name any folders, also by absolute paths and `..`, because that is how it is used. What it names is only read as
images and labels.
"""

import os
from pathlib import Path

import yaml

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.image_files import images_below
from ssdzoo.data.formats.paths import path_inside
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.splits import EmptySplitError, split_word
from ssdzoo.data.formats.text_files import brief, number, read_class_list, read_text
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError


class YOLOReader(Reader):
    """A data.yaml, or a folder with one; items are paths of images."""

    format, layout = "yolo", "YOLO's data.yaml"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._file = self.path if self.path.is_file() else _yaml_file(self.path) or self.path
        self._table = _read_yaml(self._file)
        root = self._table.get("path")
        given = self._file.parent / root if isinstance(root, str) and root else self._file.parent
        # A folder that is not there was written on another machine: the images lie beside the file then.
        self._root = given if os.path.isdir(given) else self._file.parent
        self._names = self._read_names()

    @staticmethod
    def recognizes(path: Path) -> bool:
        return _yaml_file(path) is not None if path.is_dir() else path.suffix.lower() in (".yaml", ".yml")

    def splits(self) -> list:
        return [key for key, value in self._table.items() if isinstance(key, str) and split_word(key) and value]

    def class_names(self, problems: list) -> list:
        return list(self._names)

    def _read_names(self) -> list:
        names, count = self._table.get("names"), self._table.get("nc")
        if isinstance(names, dict):
            if sorted(names, key=str) != sorted(range(len(names)), key=str):
                keys = ", ".join(brief(key) for key in list(names)[:5])
                raise DataError(f"{self._file}: names has the ids {keys}; expected 0 to {len(names) - 1}, each once")
            names = [names[i] for i in range(len(names))]
        if names is None:
            names = read_class_list(self._file.parent, "classes.txt")
        if names is None and isinstance(count, int) and 0 < count < 100_000:
            self.nameless = True
            names = [str(i) for i in range(count)]
        names = [str(name) if type(name) is int else name for name in names] if isinstance(names, list) else None
        for name in names or []:
            if not isinstance(name, str) or not name:
                raise DataError(f"{self._file}: a class is called {brief(name)}; expected a text, in quotes if it is yes or no")
        if not names:
            raise DataError(f"{self._file}: no class names; expected names: [first, second] or names: {{0: first, 1: second}}")
        if len(set(names)) < len(names):
            raise DataError(f"{self._file}: class {next(n for n in names if names.count(n) > 1)!r} is there twice")
        if count is not None and count != len(names):
            raise DataError(f"{self._file}: nc is {brief(count)}, but there are {len(names)} names")
        return names

    def items(self, split: str | None, problems: list) -> list:
        if split is None:
            raise DataError(f"{self._file}: names no images; expected train: FOLDER and val: FOLDER")
        value, known = self._table[split], len(problems)
        images = []
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                raise DataError(f"{self._file}: {split} is {brief(text)}; expected a folder or a .txt file, or a list of them")
            images += self._images(self._place(text, split), problems)
        if not images and len(problems) == known:
            raise EmptySplitError(f"{self._file}: {split}: no images in {brief(value)}")
        if images and not any(os.path.isfile(label_path(image)) for image in images):
            message = f"none of the {len(images)} images of {split} has labels, such as {label_path(images[0])}"
            problems.append(Problem(self._file, message, "labels", ERROR))
        return images

    def _place(self, text: str, split: str) -> Path:
        # Exports of Roboflow have ../train/images where train/images is meant.
        for place in (self._root / text, self._file.parent / text.removeprefix("../")):
            if os.path.exists(place):
                return place
        raise DataError(f"{self._file}: {split}: {self._root / text} is not there")

    def _images(self, place: Path, problems: list) -> list:
        if place.is_dir():
            return images_below(place)
        images = []
        for line_number, line in enumerate(read_text(place).splitlines(), 1):
            line = line.strip()
            if not line:
                continue
            try:
                images.append(self._listed(line, place, line_number))
            except DataError as error:
                problems.append(Problem.of(error, place, "image"))
        return images

    def _listed(self, line: str, place: Path, line_number: int) -> Path:
        """The image of a line: an absolute path, or one that starts from the list's folder or the data set's."""
        where = f"{place}: line {line_number}"
        if Path(line).suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"{where}: {brief(line)} is no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        if os.path.isabs(line):
            return Path(line)
        beside = Path(os.path.normpath(place.parent / line))  # from lists/train.txt, ../images is inside the data set
        if beside.is_relative_to(os.path.normpath(self._root)) and os.path.exists(beside):
            return beside
        paths = [path_inside(folder, line, where) for folder in (place.parent, self._root)]
        return next((path for path in paths if os.path.exists(path)), paths[0])

    def annotation(self, item: Path) -> ImageAnnotation:
        path, objects = label_path(item), []
        try:
            lines = read_text(path).splitlines() if os.path.lexists(path) else []
            objects = [_object(line.split(), i, self._names, path) for i, line in enumerate(lines, 1) if line.strip()]
        except DataError as error:
            objects = [Problem.of(error, path, "labels")]
        return ImageAnnotation(item, path, objects, normalized=True)


def label_path(image: Path) -> Path:
    """labels/x.txt for images/x.jpg, replacing the last folder of that name; x.txt beside the image where there is none."""
    folders = list(image.parts[:-1])
    if "images" in folders:
        folders[-1 - folders[::-1].index("images")] = "labels"
    return Path(*folders, f"{image.stem}.txt")


def _yaml_file(folder: Path) -> Path | None:
    """data.yaml, or the only .yaml file of a folder."""
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".yaml", ".yml"))
    named = [p for p in files if p.stem == "data"]
    return named[0] if named else files[0] if len(files) == 1 else None


def _read_yaml(file: Path) -> dict:
    text = read_text(file)
    try:
        # A few lines of references to references can expand to gigabytes, and no data.yaml needs one.
        refers = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader))
        table = None if refers else yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, TypeError, OverflowError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        reason = getattr(error, "problem", None) or (error if isinstance(error, ValueError) else type(error).__name__)
        raise DataError(f"{file}: not YAML: {where}{reason}") from None
    if refers:
        raise DataError(f"{file}: contains references (*name), which are refused; write the values out")
    if not isinstance(table, dict):
        raise DataError(f"{file}: not a data.yaml; expected train:, val: and names:")
    return table


def _object(fields: list, line: int, names: list, path: Path) -> AnnotatedObject | Problem:
    where = f"line {line}"
    values = [number(field) for field in fields]
    polygon = len(values) >= 7 and len(values) % 2 == 1
    if any(v != v for v in values) or (len(values) != 5 and not polygon):
        message = f"{where} is {brief(' '.join(fields))}; expected five numbers: class, center x, center y, width, height"
        return Problem(path, message, "no box", ERROR)
    id_ = values[0]
    if not 0 <= id_ < len(names) or id_ != int(id_):
        message = f"{where} has class {brief(fields[0])}, but there are {len(names)} classes: 0 to {len(names) - 1}"
        return Problem(path, message, "unknown class", ERROR)
    if polygon:  # an outline, as for segmentation
        box = min(values[1::2]), min(values[2::2]), max(values[1::2]), max(values[2::2])
    else:
        x, y, width, height = values[1:]
        box = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    shown = ", ".join(f"{v:g}" for v in (box if polygon else values[1:]))
    return AnnotatedObject(names[int(id_)], box, where, shown)
