"""A table with one object in a row: an image, a box and a class; a row with an empty box is an image without objects."""

import csv
import io
import os
from functools import cached_property
from pathlib import Path

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.listed import ONLY_CLASS, numbered_class
from ssdzoo.data.formats.text_files import class_id, nfc, number, read_class_list, read_head, read_text
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

# How programs call the columns; of two that mean the same, the first in this order is read.
COLUMNS = {
    "image": (
        "image", "filename", "file_name", "img_name", "image_name", "image_path", "img_path", "path", "file", "img", "image_id",
    ),
    "xmin": ("xmin", "x_min", "x1", "left", "bbox_x", "x"),
    "ymin": ("ymin", "y_min", "y1", "top", "bbox_y", "y"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "class": ("class", "label", "class_name", "label_name", "category"),
}  # fmt: skip
_OPTIONAL = {
    "difficult": ("difficult",), "width": ("width", "image_width"), "height": ("height", "image_height"),
    "box width": ("bbox_width", "w"), "box height": ("bbox_height", "h"), "bbox": ("bbox",),
}  # fmt: skip
_SIDES = ("xmin", "ymin", "xmax", "ymax")
# What may stand in the place of the four: the upper left corner and a size, or a list of these.
_BOXES = (_SIDES, ("xmin", "ymin", "box width", "box height"), ("bbox",))
# Tables without a header: keras-retinanet's, makesense.ai's.
_HEADERLESS = (list(COLUMNS), ["class", "xmin", "ymin", "box width", "box height", "image", "width", "height"])
_SEPARATORS = ",;\t"
_CLASS_TABLES = ("classes.csv", "_classes.csv")


class CSVReader(FilesReader):
    """A .csv file, or a folder with one for each split; items are (file, image as its rows name it).

    Coordinates are pixels from 0. Width and height may stand in the place of xmax and ymax, and a list of x, y, width and height
    under bbox in the place of all. A table without a header has the columns of keras-retinanet (image, xmin, ymin, xmax, ymax,
    class) or of makesense.ai.

    Class names are sorted, or those of a classes.txt or classes.csv beside the table. Where all classes are numbers, they are the
    ids of these names, or of "0", "1", ... without any. Without a column of classes there is one class.
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
        rows = (row for table in tables for rows in table.values() for _, row in rows if not _is_negative(row))
        return {row.get("class", ONLY_CLASS) for row in rows} - {""}

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
        table = self._table(file)
        if any("class" not in row for _, row in next(iter(table.values()), [])):
            problems.append(Problem(file, f"has no column class: all objects are of the class {ONLY_CLASS!r}", "class names"))
        return list(table)

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
        box = _box(row)
        if any(v != v for v in box):
            return Problem(file, f"{where}: box {brief(','.join(_box_texts(row)))} is not four numbers", "no box", ERROR)
        name = row.get("class", ONLY_CLASS)
        if not name:
            return Problem(file, f"{where} has a box, but no class", "unknown class", ERROR)
        if self._ids:
            name = numbered_class(file, where, name, self._ids[name], self._listed or None)
            if isinstance(name, Problem):
                return name
        difficult = row.get("difficult", "").lower() in ("1", "true", "yes")
        return AnnotatedObject(name, box, where, ", ".join(f"{v:g}" for v in box), difficult)


def _claimed_size(row: dict) -> tuple | None:
    """(height, width) of the image as a row has it; in some tables these are of the box."""
    height, width, box = number(row.get("height")), number(row.get("width")), _box(row)
    of_box = (height, width) == (box[3] - box[1], box[2] - box[0])
    return (height, width) if height > 0 and width > 0 and not of_box else None


def _box_texts(row: dict) -> list:
    """The fields of a row that say its box: four, or one with a list of four."""
    return [row[column] for column in next(columns for columns in _BOXES if row.keys() >= set(columns))]


def _box(row: dict) -> tuple:
    """(xmin, ymin, xmax, ymax) of a row; NaN where there is no number."""
    texts = _box_texts(row)
    if len(texts) == 1:
        texts = texts[0].strip("[]() ").split(",")
    values = [number(text) for text in texts] if len(texts) == 4 else [float("nan")] * 4
    x, y, *others = values
    return tuple(values) if row.keys() >= set(_SIDES) else (x, y, x + others[0], y + others[1])


def _begins_well(file: Path) -> bool:
    head = read_head(file, 1000).partition("\n")[0]
    try:
        row = next(csv.reader([head], delimiter=_separator(head), skipinitialspace=True), [])
    except csv.Error:
        return False
    names = _column_names(row)
    return _headerless(row) is not None or ("image" in names and not {"class", "xmin", "bbox"}.isdisjoint(names))


def _separator(line: str) -> str:
    return max(_SEPARATORS, key=line.count)


def _column_names(header: list) -> list:
    """The header with our names in the place of others."""
    names = [name.strip().lower() for name in header]
    for ours, theirs in {**COLUMNS, **_OPTIONAL}.items():
        known = next((name for name in theirs if name in names), None)
        if known and ours not in names:
            names[names.index(known)] = ours
    if "xmin" in names and not {"xmax", "box width"} & set(names):  # then they are not of the image
        names = [f"box {name}" if name in ("width", "height") else name for name in names]
    return names


def _headerless(row: list) -> list | None:
    """The columns of a table whose first line is a row of one without header; None for other lines."""
    for columns in _HEADERLESS:
        if len(row) == len(columns):
            fields = {name: text.strip() for name, text in zip(columns, row)}
            numbers = [text for name, text in fields.items() if name not in ("image", "class")]
            is_negative = columns is _HEADERLESS[0] and not any([*numbers, fields["class"]])
            if is_negative or all(number(text) == number(text) for text in numbers):
                return columns
    return None


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
                columns = _headerless(row)
                header = columns or _header(row, file)
                if columns is None:
                    continue
            if len(row) != len(header):
                raise DataError(f"{file}: line {lines.line_num} has {len(row)} fields, line 1 names {len(header)}")
            fields = {name: text.strip() for name, text in zip(header, row)}
            if "class" in fields:
                fields["class"] = nfc(fields["class"])
            images.setdefault(fields["image"], []).append((lines.line_num, fields))
    except csv.Error as error:
        raise DataError(f"{file}: line {lines.line_num}: not a table: {error}") from None
    return images


def _header(row: list, file: Path) -> list:
    names = _column_names(row)
    box = next((columns for columns in _BOXES if set(columns) <= set(names)), _SIDES)
    missing = next((name for name in ("image", *box, "class") if name not in names), None)
    unknown = [name for name in names if name not in COLUMNS and name not in _OPTIONAL]
    if missing == "class" and not unknown:  # a table of one class
        return names
    if missing:
        others = " or ".join(COLUMNS[missing][1:])
        expected = f"expected {','.join(COLUMNS)} with commas, semicolons or tabs; {others} will do for {missing}"
        only = f"; take out {brief(unknown[0])} where there is only one class" if missing == "class" else ""
        raise DataError(f"{file}: line 1 is {brief(','.join(row))}, without {missing!r}; {expected}{only}")
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
    return not any(_box_texts(row))
