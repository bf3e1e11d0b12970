"""A table with one object in a row: an image, a box and a class; a row with an empty box is an image without objects."""

import csv
import io
import os
from functools import cached_property
from pathlib import Path

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.text_files import class_id, nfc, number, read_class_list, read_head, read_text
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

# How programs call the columns; of two that mean the same, the first in this order is read.
COLUMNS = {
    "image": ("image", "filename", "file_name", "img_name", "image_name", "image_path", "img_path", "path", "file", "img"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "class": ("class", "label", "class_name", "category"),
}
_OPTIONAL = {"difficult": ("difficult",), "width": ("width", "image_width"), "height": ("height", "image_height")}
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_SEPARATORS = ",;\t"
_CLASS_TABLES = ("classes.csv", "_classes.csv")


class CSVReader(FilesReader):
    """A .csv file, or a folder with one for each split; items are (file, image as its rows name it).

    Coordinates are pixels from 0. A table without a header has the columns of keras-retinanet: image, xmin, ymin, xmax, ymax,
    class. Class names are sorted, or those of a classes.txt or classes.csv beside the table. Where all classes are numbers, they
    are the ids of these names, or of "0", "1", ... without any.
    """

    format, suffixes = "csv", (".csv",)
    layout = f"a .csv with the columns {','.join(COLUMNS)}"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._read: dict = {}

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return path.name not in _CLASS_TABLES and super().recognizes(path)

    @staticmethod
    def files_in(folder: Path) -> list:
        """Those that begin like a table of objects; a .csv may hold anything else."""
        files = [file for file in sorted(folder.glob("*.csv")) if file.name not in _CLASS_TABLES and os.path.isfile(file)]
        return [file for file in files if _begins_well(file)]

    @cached_property
    def _listed(self) -> list | None:
        folders = self.own_folders(self._files[0])
        lists = [read_class_list(folder, "classes.txt") for folder in folders]
        lists += [
            _read_class_table(folder / name) for folder in folders for name in _CLASS_TABLES if os.path.isfile(folder / name)
        ]
        return next(filter(None, lists), None)

    @cached_property
    def _in_rows(self) -> set:
        """The classes of all rows, as they are written."""
        tables = [self._table(file) for file in self._files]
        return {row["class"] for table in tables for rows in table.values() for _, row in rows if not _is_negative(row)} - {""}

    @cached_property
    def _ids(self) -> dict:
        """{class as it is written: id} where all classes are numbers and no names; empty otherwise."""
        ids = {text: index for text in self._in_rows if (index := class_id(text)) is not None}
        return ids if len(ids) == len(self._in_rows) and not self._in_rows <= set(self._listed or ()) else {}

    @property
    def nameless(self) -> bool:
        return bool(self._ids) and self._listed is None

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        files = sorted(path.glob("*.csv")) if os.path.isdir(path) else [path] if path.name in _CLASS_TABLES else []
        file = next((file for file in files if file.name not in _CLASS_TABLES), None)
        if file:
            line = read_head(file, 1000).partition("\n")[0].strip()
            return f"{file} begins with {brief(line)}; expected the columns {','.join(COLUMNS)}"
        return f"{files[0]} is a list of classes; expected a table of objects beside it" if files else None

    def class_names(self, problems: list) -> list:
        if self._listed:
            return list(self._listed)
        return [str(i) for i in range(1 + max(self._ids.values()))] if self._ids else sorted(self._in_rows)

    def places(self, file: Path, problems: list) -> list:
        return list(self._table(file))

    def _table(self, file: Path) -> dict:
        if file not in self._read:
            self._read[file] = _read_table(file)
        return self._read[file]

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        file, name = item
        rows = self._table(file)[name]
        try:
            image = self.finder(file).find(name, f"{file}: line {rows[0][0]}")
        except DataError as error:
            return Problem.of(error, file, "image")
        objects = [self._object(row, line, file) for line, row in rows if not _is_negative(row)]
        return ImageAnnotation(image, file, objects, _claimed_size(rows[0][1]))

    def _object(self, row: dict, line: int, file: Path) -> AnnotatedObject | Problem:
        where = f"line {line}"
        texts = [row[side] for side in _SIDES]
        box = tuple(number(text) for text in texts)
        if any(v != v for v in box):
            return Problem(file, f"{where}: box {brief(','.join(texts))} is not four numbers", "no box", ERROR)
        name = row["class"]
        if not name:
            return Problem(file, f"{where} has a box, but no class", "unknown class", ERROR)
        if self._ids:
            index = self._ids[name]
            if self._listed and index >= len(self._listed):
                message = (
                    f"{where} has class {brief(name)}, but there are {len(self._listed)} names: 0 to {len(self._listed) - 1}"
                )
                return Problem(file, message, "unknown class", ERROR)
            name = self._listed[index] if self._listed else str(index)
        difficult = row.get("difficult", "").lower() in ("1", "true", "yes")
        return AnnotatedObject(name, box, where, ", ".join(f"{v:g}" for v in box), difficult)


def _claimed_size(row: dict) -> tuple | None:
    """(height, width) of the image as a row has it; in some tables these are of the box."""
    height, width, *box = (number(row.get(side)) for side in ("height", "width", *_SIDES))
    of_box = (height, width) == (box[3] - box[1], box[2] - box[0])
    return (height, width) if height > 0 and width > 0 and not of_box else None


def _begins_well(file: Path) -> bool:
    head = read_head(file, 1000).partition("\n")[0]
    try:
        row = next(csv.reader([head], delimiter=_separator(head), skipinitialspace=True), [])
    except csv.Error:
        return False
    names = _column_names(row)
    return _is_data(row) or ("image" in names and not {"class", "xmin"}.isdisjoint(names))


def _separator(line: str) -> str:
    return max(_SEPARATORS, key=line.count)


def _column_names(header: list) -> list:
    """The header with our names in the place of others."""
    names = [name.strip().lower() for name in header]
    for ours, theirs in {**COLUMNS, **_OPTIONAL}.items():
        known = next((name for name in theirs if name in names), None)
        if known and ours not in names:
            names[names.index(known)] = ours
    return names


def _is_data(row: list) -> bool:
    """Whether a first line is a row of keras-retinanet's tables, which have no header."""
    box = [text.strip() for text in row[1:5]]
    return len(row) == 6 and (not any([*box, row[5].strip()]) or all(number(text) == number(text) for text in box))


def _read_table(file: Path) -> dict:
    """{image: [(number of the line, {column: text})]}."""
    text = read_text(file)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text.partition("\n")[0]), skipinitialspace=True)
    images: dict[str, list] = {}
    header = None
    try:
        for row in lines:
            if not any(row):
                continue
            if header is None:
                header = list(COLUMNS) if _is_data(row) else _header(row, file)
                if not _is_data(row):
                    continue
            if len(row) != len(header):
                raise DataError(f"{file}: line {lines.line_num} has {len(row)} fields, line 1 names {len(header)}")
            fields = {name: text.strip() for name, text in zip(header, row)}
            fields["class"] = nfc(fields["class"])
            images.setdefault(fields["image"], []).append((lines.line_num, fields))
    except csv.Error as error:
        raise DataError(f"{file}: line {lines.line_num}: not a table: {error}") from None
    return images


def _header(row: list, file: Path) -> list:
    names = _column_names(row)
    missing = next((name for name in COLUMNS if name not in names), None)
    if missing:
        others = " or ".join(COLUMNS[missing][1:])
        expected = f"expected {','.join(COLUMNS)} with commas, semicolons or tabs; {others} will do for {missing}"
        raise DataError(f"{file}: line 1 is {brief(','.join(row))}, without {missing!r}; {expected}")
    return names


def _read_class_table(file: Path) -> list:
    """The names of a table of name and id, by id."""
    rows = [row for row in csv.reader(io.StringIO(read_text(file), newline=""), skipinitialspace=True) if any(row)]
    if rows and len(rows[0]) == 2 and class_id(rows[0][1]) is None:  # a header
        rows = rows[1:]
    names = {class_id(row[1]): nfc(row[0].strip()) for row in rows if len(row) == 2}
    if (
        not names
        or len(names) < len(rows)
        or sorted(names, key=str) != sorted(range(len(rows)), key=str)
        or len(set(names.values())) < len(rows)
    ):
        raise DataError(
            f"{file}: not a list of classes; expected lines of name,id with ids from 0 to {max(0, len(rows) - 1)}, each once"
        )
    return [names[i] for i in range(len(names))]


def _is_negative(row: dict) -> bool:
    return not any(row[side] for side in _SIDES)
