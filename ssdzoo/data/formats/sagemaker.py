"""Data for Amazon SageMaker: an augmented manifest, as Ground Truth writes it, or folders with a json for each image.

A manifest has a line of json for each image: its address under `source-ref`, the labels under a name that the user chose
({"image_size": [{"width", "height", "depth"}], "annotations": [{"class_id", "left", "top", "width", "height"}]}), and under this
name with "-metadata" {"class-map": {id: name}, "type": "groundtruth/object-detection"}. A class-map holds the classes of its
line only. The folders are train/ and validation/ with images, and train_annotation/ and validation_annotation/ with a json for
each that has the keys file, image_size, annotations and categories ([{"class_id", "name"}]).
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.json_file import parse_json
from ssdzoo.data.formats.text_files import class_id, nfc, number, read_class_list, read_head, read_text
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

_TYPE = "groundtruth/object-detection"
_PATTERNS = ("*.manifest", "*.jsonl", "manifests/output/*.manifest", "*_annotation")
_EXPECTED = 'expected lines with "source-ref" and labels with "annotations" and "image_size"'


@dataclass(frozen=True, eq=False)
class _Row:
    """An image in either kind of file: its path or address, its labels, names of classes by id, and where it is."""

    image: str
    labels: dict
    names: dict
    file: Path
    where: str


class SageMakerReader(FilesReader):
    """A manifest (.manifest or .jsonl), or a folder with one for each split, or with folders SPLIT_annotation; items are (file or
    folder, its row).

    Classes are in the order of their ids. Without a class-map they are those of a classes.txt beside the file, or "0", "1", ...
    """

    format, suffixes = "sagemaker", (".manifest", ".jsonl")
    layout = "SageMaker's .manifest"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._rows: dict = {}

    @staticmethod
    def files_in(folder: Path) -> list:
        found = ([path for path in sorted(folder.glob(pattern)) if _begins_well(path)] for pattern in _PATTERNS)
        return next(filter(None, found), [])

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        file = next((file for pattern in _PATTERNS[:2] for file in sorted(path.glob(pattern))), None)
        return f"{file} is not a manifest of SageMaker; {_EXPECTED}" if file else None

    def places(self, file: Path, problems: list) -> list:
        if file not in self._rows:
            self._rows[file] = _read_folder(file) if os.path.isdir(file) else _read_manifest(file)
        rows, found = self._rows[file]
        problems += found
        return rows

    @cached_property
    def _names(self) -> dict:
        """{class id: name} of all files together.

        Raises:
            DataError: an id with two names.
        """
        names: dict = {}
        for row in (row for file in self._files for row in self.places(file, [])):
            for id_, name in row.names.items():
                if names.setdefault(id_, name) != name:
                    two = f"{brief(name)}, others call it {brief(names[id_])}"
                    raise DataError(f"{row.where} calls class {id_} {two}; expected one name for each id")
        if not names:
            listed = [read_class_list(folder, "classes.txt") for folder in self.own_folders(self._files[0])]
            names = dict(enumerate(next(filter(None, listed), [])))
        return dict(sorted(names.items()))

    @property
    def nameless(self) -> bool:
        return not self._names and bool(self._ids)

    @cached_property
    def _ids(self) -> set:
        rows = [row for file in self._files for row in self.places(file, [])]
        return {
            class_id(each.get("class_id")) for row in rows for each in row.labels["annotations"] if isinstance(each, dict)
        } - {None}

    def class_names(self, problems: list) -> list:
        if self.nameless:
            return [str(i) for i in range(max(self._ids) + 1)]
        return list(dict.fromkeys(self._names.values()))

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        file, row = item
        try:
            image, size = self.finder(file).find(row.image, row.where), _size(row)
        except DataError as error:
            return Problem.of(error, row.file, "image")
        short = row.where.removeprefix(f"{row.file}").removeprefix(": ")
        objects = [
            self._object(each, f"{short}, annotation {i}".removeprefix(", "), row.file)
            for i, each in enumerate(row.labels["annotations"], 1)
        ]
        return ImageAnnotation(image, row.file, objects, size)

    def _object(self, found: Any, where: str, file: Path) -> AnnotatedObject | Problem:
        found = found if isinstance(found, dict) else {}
        index = class_id(found.get("class_id"))
        if index is None or (index not in self._names and not self.nameless):
            known = ", ".join(map(str, list(self._names)[:20])) or "0, 1, ..."
            return Problem(file, f"{where} has class_id {brief(found.get('class_id'))}; expected {known}", "unknown class", ERROR)
        left, top, width, height = values = [number(found.get(key)) for key in ("left", "top", "width", "height")]
        if any(v != v for v in values):
            return Problem(
                file, f"{where} is {brief(json.dumps(found))}; expected the numbers left, top, width, height", "no box", ERROR
            )
        shown = ", ".join(f"{v:g}" for v in values)
        return AnnotatedObject(self._names.get(index, str(index)), (left, top, left + width, top + height), where, shown)


def _begins_well(path: Path) -> bool:
    """Whether a file is a manifest of objects, or a folder holds annotations."""
    if os.path.isdir(path):
        first = next(path.glob("*.json"), None)
        return first is not None and all(key in read_head(first) for key in ('"file"', '"image_size"'))
    return '"source-ref"' in read_head(path)


def _read_manifest(file: Path) -> tuple:
    """(rows, problems) of a manifest."""
    lines = []
    for i, text in enumerate(read_text(file).split("\n"), 1):
        if text.strip():
            line = _parsed(text, f"{file}: line {i}")
            if not isinstance(line.get("source-ref"), str):
                raise DataError(f"{file}: line {i} has no source-ref; {_EXPECTED}")
            lines.append((i, line))
    attribute = _attribute(lines, file)
    rows, problems = [], []
    for i, line in lines:
        where, about = f"{file}: line {i}", line.get(f"{attribute}-metadata")
        about = about if isinstance(about, dict) else {}
        if not _is_labels(line.get(attribute)):
            # Not an image without objects: nobody has labeled it, or the labeling failed.
            reason = about.get("failure-reason")
            message = f"line {i} has no labels {brief(attribute)}{f' ({brief(reason)})' if reason else ''}: left out"
            problems.append(Problem(file, message, "no labels", WARNING))
            continue
        names = about.get("class-map")
        names = _names(list(names.items()) if isinstance(names, dict) else [], where)
        rows.append(_Row(line["source-ref"], line[attribute], names, file, where))
    return rows, problems


def _attribute(lines: list, file: Path) -> str:
    """The name under which a manifest has its boxes."""
    found: dict = {}
    for _, line in lines:
        for name, value in line.items():
            about = line.get(f"{name}-metadata")
            about = about if isinstance(about, dict) else {}
            if _is_labels(value) and about.get("type", _TYPE) == _TYPE:
                found[name] = found.get(name) or "adjustment-status" in about
    adjusted = [name for name, is_adjusted in found.items() if is_adjusted]
    if not found:
        raise DataError(f"{file}: no labels of boxes; {_EXPECTED}")
    if len(found) > 1 and len(adjusted) != 1:
        several = " and ".join(map(brief, islice(found, 5)))
        raise DataError(f"{file}: boxes under {several}; keep the labels of one job, and take the others out")
    return adjusted[0] if len(found) > 1 else next(iter(found))


def _is_labels(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("annotations"), list) and "image_size" in value


def _read_folder(folder: Path) -> tuple:
    """(rows, problems) of a folder with a json for each image."""
    rows = []
    for file in sorted(folder.glob("*.json")):
        content = _parsed(read_text(file), str(file))
        if not isinstance(content.get("file"), str) or not _is_labels(content):
            raise DataError(
                f"{file}: not an annotation of SageMaker; expected the keys file, image_size, annotations, categories"
            )
        categories = content.get("categories")
        categories = [each for each in categories if isinstance(each, dict)] if isinstance(categories, list) else []
        names = _names([(each.get("class_id"), each.get("name")) for each in categories], str(file))
        rows.append(_Row(content["file"], content, names, file, str(file)))
    return rows, []


def _parsed(text: str, where: str) -> dict:
    content = parse_json(text, where)
    if not isinstance(content, dict):
        raise DataError(f"{where}: is {brief(content)}; expected an object with keys")
    return content


def _names(found: list, where: str) -> dict:
    """{class id: name} of pairs as a file has them."""
    names = {class_id(key): nfc(name.strip()) if isinstance(name, str) else "" for key, name in found}
    if None in names or not all(names.values()) or len(names) < len(found):
        raise DataError(f"{where}: its classes are {brief(json.dumps(found))}; expected ids from 0 on, each once with a name")
    return names


def _size(row: _Row) -> tuple | None:
    """(height, width) that the labels claim."""
    size = row.labels["image_size"]
    first = size[0] if isinstance(size, list) and size and isinstance(size[0], dict) else {}
    height, width = number(first.get("height")), number(first.get("width"))
    return (height, width) if height > 0 and width > 0 else None
