"""From annotations to records: many images at once, and those about which there is something to say one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np

from ssdzoo.data.formats.annotation import ImageAnnotation, PixelCheck, make_record
from ssdzoo.data.formats.columns import collect_columns
from ssdzoo.data.formats.image_infos import ImageInfos
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.images import ImageInfo
from ssdzoo.data.index import MANY
from ssdzoo.data.record import Problem, Record, Records
from ssdzoo.errors import DataError

CHUNK = 512  # images that are read at once
MOST_OBJECTS = 1 << 28  # of the records of a split: 5 GiB


def read_records(readers: list, items: list, names: list, problems: list, progress: Callable | None = None) -> Records:
    """The records of (reader, item), but for those too broken for one; `problems` takes what is wrong.

    Of MANY items or more, those whose annotation has the size of the image are not opened. An item that is there several times is
    read once.

    Args:
        names: the classes.
        progress: called with an iterable and the number of its items; returns an iterable of the same items.

    Raises:
        DataError: items are there so often that their objects are too many.
    """
    different = list(dict.fromkeys(items))
    by_name = {name: i for i, name in enumerate(names)}
    by_id = {str(i): i for i in range(len(names))}
    is_large = len(different) >= MANY
    tasks = {
        id(reader): _Reading(
            reader,
            by_id if reader.nameless else by_name,
            problems,
            PixelCheck(reader.path, reader.format),
            ImageInfos(reader.path, is_large),
            is_large,
        )
        for reader in readers
    }
    parts, whole = list[Records](), list[np.ndarray]()

    def read() -> Iterator:
        for reader, chunk in _chunks(different):
            found, are_whole = tasks[id(reader)].read(chunk)
            parts.extend(found)
            whole.append(are_whole)
            yield from chunk

    for _ in progress(read(), len(different)) if progress else read():
        pass
    for task in tasks.values():
        task.pixels.report(problems)
        task.infos.save()
    records = Records.joined(parts)
    return records if len(different) == len(items) else _repeated(records, np.concatenate(whole), different, items)


def _repeated(records: Records, whole: np.ndarray, different: list, items: list) -> Records:
    """The records of all items, of those of the different ones; `whole` says which of these have one."""
    numbers = {item: i for i, item in enumerate(different)}
    places = np.fromiter((numbers[item] for item in items), np.int64, len(items))
    places = (np.cumsum(whole) - 1)[places[whole[places]]]
    objects = int(np.diff(records.offsets)[places].sum())
    if objects > MOST_OBJECTS:
        raise DataError(
            f"{items[0][0].path}: a split names images so often that they have {objects:,} objects; expected up to "
            f"{MOST_OBJECTS:,}: name each image once"
        )
    return records.taken(places)


def _chunks(items: list) -> Iterator[tuple[Reader, list]]:
    for _, group in groupby(items, key=lambda pair: id(pair[0])):
        while chunk := list(islice(group, CHUNK)):
            yield chunk[0][0], [item for _, item in chunk]


@dataclass
class _Reading:
    """What the items of a reader are read with; `is_large` lets it give columns."""

    reader: Reader
    ids: dict
    problems: list
    pixels: PixelCheck
    infos: ImageInfos
    is_large: bool

    def read(self, items: list) -> tuple[list[Records], np.ndarray]:
        """The records of N items, in parts, and (N,) bool which items have one."""
        columns = self.reader.columns(items, self.ids) if self.is_large else None
        if columns is None:
            return self._by_annotations([self.reader.annotation(item) for item in items])
        if columns.source:
            self.pixels.add_boxes(columns.source, columns.boxes[np.isfinite(columns.boxes).all(axis=1)])
        found, is_fine = columns.faultless()
        rest = {i: self._record(self.reader.annotation(items[i])) for i in np.flatnonzero(~is_fine).tolist()}
        return _merged(found, rest), _whole(len(is_fine), rest)

    def _by_annotations(self, annotations: list) -> tuple[list[Records], np.ndarray]:
        for annotation in annotations:
            if isinstance(annotation, ImageAnnotation):
                self.pixels.add(annotation)
        infos = [self.infos.of(each) if isinstance(each, ImageAnnotation) else None for each in annotations]
        found, is_fine = collect_columns(annotations, infos, self.ids).faultless()
        rest = {i: self._record(annotations[i], infos[i]) for i in np.flatnonzero(~is_fine).tolist()}
        return _merged(found, rest), _whole(len(is_fine), rest)

    def _record(self, annotation: ImageAnnotation | Problem, info: ImageInfo | DataError | None = None) -> Record | None:
        if isinstance(annotation, Problem):
            self.problems.append(annotation)
            return None
        return make_record(annotation, info or self.infos.of(annotation), self.ids, self.problems)


def _merged(found: Records, rest: dict) -> list[Records]:
    """Parts of all records in order, of those that were found at once and {place: Record or None} of the others."""
    parts, taken = [], 0
    for count, (place, record) in enumerate(rest.items()):
        parts.append(found.part(taken, place - count))
        taken = place - count
        parts += [Records.of(record)] if record else []
    return [*parts, found.part(taken, len(found))]


def _whole(count: int, rest: dict) -> np.ndarray:
    whole = np.ones(count, bool)
    whole[[place for place, record in rest.items() if record is None]] = False
    return whole
