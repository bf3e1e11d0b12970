"""MXNet's RecordIO (.rec with .idx) and lists (.lst) with the labels of GluonCV's detection: read in plain numpy.

A .rec is a chain of records, each of 4 bytes 0xced7230a, 4 bytes with a flag (3 bits) and the length (29 bits), and the
payload, padded to a multiple of 4 bytes. Where the payload contains the magic number, the writer cuts it there into several
records with the flags 1, 2, ... 2, 3. The payload is a header (uint32 count, float32 label, uint64 id, uint64 id2), `count`
float32 labels, and the image file.

The labels are A, B, more header up to A values, and for each object B values: class id, xmin, ymin, xmax, ymax in normalized
coordinates, and optionally 1 for a difficult object. A line of a .lst has a number, the labels and the path of the image,
separated by tabs.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.text_files import class_id, number, read_class_list, read_text
from ssdzoo.data.images import FilePart
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError
from ssdzoo.files import open_file
from ssdzoo.quote import brief

MAGIC = 0xCED7230A
HEADER = struct.Struct("<IfQQ")


class RecordIOReader(FilesReader):
    """A .rec or .lst file, or a folder with one for each split; items are (file, offset of a record) or (file, line).

    Classes are called "0", "1", ... unless a classes.txt, or a STEM.names, lies beside the file. The images of a .lst start
    from its folder, or from an images or JPEGImages folder in it.
    """

    format, suffixes, empty = "recordio", (".rec", ".lst", ".idx"), "contains no records"
    layout = "MXNet's .rec or .lst"

    def __init__(self, path: str | Path):
        super().__init__(Path(path).with_suffix(".rec") if Path(path).suffix == ".idx" else path)
        first = self._files[0]
        lists = [read_class_list(folder, f"{first.stem}.names", "classes.txt") for folder in self.own_folders(first)]
        self._names = next(filter(None, lists), None)
        self.takes_image_folder = first.suffix.lower() == ".lst"

    @property
    def nameless(self) -> bool:
        return self._names is None

    @staticmethod
    def files_in(folder: Path) -> list:
        return sorted(folder.glob("*.rec")) or sorted(folder.glob("*.lst"))

    def class_names(self, problems: list) -> list:
        if self._names is not None:
            return list(self._names)
        largest = -1
        for item in self.items(None, problems):
            try:
                labels, _, where = _read_item(*item)
                largest = max([largest, *(i for row in _rows(labels, where) if (i := class_id(row[0])) is not None)])
            except DataError as error:
                problems.append(Problem.of(error, item[0], "record"))
        return [str(i) for i in range(largest + 1)]

    def places(self, file: Path, problems: list) -> list:
        """Offsets of the records of a .rec, or (number, text) of the lines of a .lst."""
        if file.suffix.lower() == ".lst":
            return [(i, line) for i, line in enumerate(read_text(file).splitlines(), 1) if line.strip()]
        index = file.with_suffix(".idx")
        return _indexed(index, problems) if os.path.isfile(index) else _scan(file, problems)

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        try:
            labels, image, where = _read_item(*item)
            rows = _rows(labels, where)
            if isinstance(image, str):
                image = self.finder(item[0]).find(image, where)
        except DataError as error:
            return Problem.of(error, item[0], "record")
        short = where.removeprefix(f"{item[0]}: ")
        objects = [_object(row, f"{short}, object {i}", self._names, item[0]) for i, row in enumerate(rows, 1)]
        return ImageAnnotation(image, item[0], objects, normalized=True)


def _indexed(index: Path, problems: list) -> list:
    """The offsets of all records, as an .idx lists them."""
    offsets = []
    for i, line in enumerate(read_text(index).splitlines(), 1):
        fields = line.split()
        if fields and (len(fields) != 2 or not fields[1].isdecimal() or len(fields[1]) > 18):
            problems.append(Problem(index, f"line {i} is {brief(line)}; expected a key and an offset", "record", ERROR))
        elif fields:
            offsets.append(int(fields[1]))
    return offsets


def _scan(file: Path, problems: list) -> list:
    """The offsets of all records, found one after the other."""
    offsets, at = [], 0
    with _opened(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        while at < size:
            try:
                _, _, end = _payload(stream, file, at)
            except DataError as error:
                problems.append(Problem.of(error, file, "record"))
                break
            offsets.append(at)
            at = end
    return offsets


def _opened(file: Path) -> BinaryIO:
    try:
        return open_file(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _payload(stream: BinaryIO, file: Path, at: int) -> tuple:
    """((begin of a record's payload, its holes, its end), its size, begin of the next record), in bytes."""
    begin, holes, size = at + 8, [], os.fstat(stream.fileno()).st_size
    while True:
        stream.seek(min(at, size))  # an index may have any number, which no file reaches
        head = stream.read(8)
        if len(head) < 8:
            raise DataError(f"{file}: byte {at}: truncated, the file ends at byte {size}")
        magic, rest = struct.unpack("<II", head)
        flag, length = rest >> 29, rest & 0x1FFFFFFF
        if magic != MAGIC:
            raise DataError(f"{file}: byte {at}: {magic:#010x} instead of RecordIO's {MAGIC:#x}: damaged, or no .rec file")
        if at + 8 + length > size:
            raise DataError(f"{file}: byte {at}: truncated, a record of {length} bytes in a file that ends at byte {size}")
        first = at + 8 == begin
        if flag not in ((0, 1) if first else (2, 3)) or (flag in (1, 2) and length % 4):
            raise DataError(f"{file}: byte {at}: a record with flag {flag}, which does not follow from the one before: damaged")
        if not first:
            holes.append(at + 4)  # the magic number belongs to the payload, the flag and length behind it do not
        end = at + 8 + length
        if flag in (0, 3):
            return (begin, tuple(holes), end), end - begin, end + -length % 4
        at = end


def _read_item(file: Path, place: int | tuple) -> tuple:
    """(labels, image, where they are in the file, for messages) of an item; the image is a FilePart, or the path of a .lst."""
    return _read_line(file, *place) if isinstance(place, tuple) else _read_record(file, place)


def _read_record(file: Path, at: int) -> tuple:
    where = f"{file}: record at byte {at}"
    with _opened(file) as stream:
        (begin, holes, end), size, _ = _payload(stream, file, at)
        stream.seek(begin)
        head = stream.read(HEADER.size) if size >= HEADER.size else b""
        count = HEADER.unpack(head)[0] if head else 0
        start = begin + HEADER.size + 4 * count
        if not head or start > end or (holes and holes[0] < start):
            raise DataError(f"{where}: a header that claims {count} labels in a payload of {size} bytes")
        if count < 2:
            raise DataError(f"{where}: has {max(1, count)} label, as for classification; expected those of a detection data set")
        labels = np.frombuffer(stream.read(4 * count), "<f4").astype(np.float64)
    return labels, FilePart(file, start, end - start, holes), where


def _read_line(file: Path, line: int, text: str) -> tuple:
    where = f"{file}: line {line}"
    fields = text.strip("\r\n").split("\t")
    labels = np.array([number(field) for field in fields[1:-1]])
    if len(fields) < 4 or np.isnan(labels).any():
        raise DataError(f"{where} is {brief(text)}; expected a number, labels and a path with tabs in between")
    return labels, fields[-1].strip(), where


def _rows(labels: np.ndarray, where: str) -> np.ndarray:
    """(M, B) labels of the objects; padding, rows with class -1, is left out."""
    shown = ", ".join(f"{v:g}" for v in labels[:2])
    if not np.isfinite(labels[:2]).all() or (labels[:2] != np.floor(labels[:2])).any() or labels[0] < 2 or labels[1] < 5:
        raise DataError(f"{where}: labels begin with {shown}; expected A of 2 or more and B of 5 or more, as in GluonCV")
    header, width = int(labels[0]), int(labels[1])
    if header > len(labels) or (len(labels) - header) % width:
        raise DataError(f"{where}: {len(labels)} labels are not a header of {header} and objects of {width}")
    rows = labels[header:].reshape(-1, width)
    return rows[rows[:, 0] != -1]


def _object(row: np.ndarray, where: str, names: list | None, file: Path) -> AnnotatedObject | Problem:
    index = class_id(row[0])
    if index is None or (names is not None and index >= len(names)):
        known = f"there are {len(names)} names" if names is not None else "expected 0, 1, 2, ..."
        return Problem(file, f"{where} has class {row[0]:g}; {known}", "unknown class", ERROR)
    name = names[index] if names is not None else str(index)
    shown = ", ".join(f"{v:g}" for v in row[1:5])
    return AnnotatedObject(name, tuple(row[1:5]), where, shown, difficult=len(row) > 5 and row[5] == 1)
