"""A table with one object in a row: image,xmin,ymin,xmax,ymax,class; a row with an empty box is an image without objects."""

import csv
import io
from pathlib import Path

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.paths import path_inside
from ssdzoo.data.formats.text_files import brief, number, read_class_list, read_head, read_text
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError

COLUMNS = ("image", "xmin", "ymin", "xmax", "ymax", "class")


class CSVReader(FilesReader):
    """A .csv file, or a folder with one for each split; items are (file, (image, its rows)).

    Coordinates are pixels from 0. Images start from the table's folder. Class names are sorted, or those of a classes.txt
    beside the table. More columns may follow; one called `difficult` is read.
    """

    format, suffixes = "csv", (".csv",)
    layout = f"a .csv with the columns {','.join(COLUMNS)}"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._read: dict = {}

    @staticmethod
    def files_in(folder: Path) -> list:
        """Those whose first line has the columns image and class; a .csv may hold anything else."""
        return [file for file in sorted(folder.glob("*.csv")) if file.is_file() and _begins_well(file)]

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        file = next(iter(sorted(path.glob("*.csv"))), None)
        if file is None:
            return None
        line = read_head(file, 1000).partition("\n")[0].strip()
        return f"{file} begins with {brief(line)}; expected the columns {','.join(COLUMNS)}"

    def class_names(self, problems: list) -> list:
        rows = [row for file in self._files for _, rows in self.places(file, problems) for _, row in rows]
        listed = read_class_list(self._files[0].parent, "classes.txt")
        return listed or sorted({row["class"] for row in rows if not _is_negative(row)} - {""})

    def places(self, file: Path, problems: list) -> list:
        if file not in self._read:
            self._read[file] = list(_read_table(file).items())
        return self._read[file]

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        file, (name, rows) = item
        try:
            image = path_inside(file.parent, name, f"{file}: line {rows[0][0]}")
        except DataError as error:
            return Problem.of(error, file, "image")
        return ImageAnnotation(image, file, [_object(row, line, file) for line, row in rows if not _is_negative(row)])


def _begins_well(file: Path) -> bool:
    with open(file, "rb") as stream:
        head = stream.readline(1000).decode("utf-8-sig", "replace").lower()
    return {"image", "class"} <= {part.strip(' "') for part in head.strip().split(",")}


def _read_table(file: Path) -> dict:
    """{image: [(number of the line, {column: text})]}."""
    lines = csv.reader(io.StringIO(read_text(file), newline=""), skipinitialspace=True)
    images: dict[str, list] = {}
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            found = brief(",".join(header))
            raise DataError(f"{file}: line 1 is {found}, without {missing[0]!r}; expected {','.join(COLUMNS)} with commas")
        for row in lines:
            if not any(row):
                continue
            if len(row) != len(header):
                raise DataError(f"{file}: line {lines.line_num} has {len(row)} fields, line 1 names {len(header)}")
            fields = {name: text.strip() for name, text in zip(header, row)}
            images.setdefault(fields["image"], []).append((lines.line_num, fields))
    except csv.Error as error:
        raise DataError(f"{file}: line {lines.line_num}: not a table: {error}") from None
    return images


def _is_negative(row: dict) -> bool:
    return not any(row[side] for side in COLUMNS[1:5])


def _object(row: dict, line: int, file: Path) -> AnnotatedObject | Problem:
    where = f"line {line}"
    texts = [row[side] for side in COLUMNS[1:5]]
    box = tuple(number(text) for text in texts)
    if any(v != v for v in box):
        return Problem(file, f"{where}: box {brief(','.join(texts))} is not four numbers", "no box", ERROR)
    if not row["class"]:
        return Problem(file, f"{where} has a box, but no class", "unknown class", ERROR)
    difficult = row.get("difficult", "").lower() in ("1", "true", "yes")
    return AnnotatedObject(row["class"], box, where, ", ".join(f"{v:g}" for v in box), difficult)
