"""From annotations to records: many images at once, and those about which there is something to say one by one."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice

import numpy as np

from ssdzoo.data.formats.annotation import ImageAnnotation, PixelCheck, make_record
from ssdzoo.data.formats.columns import collect_columns
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.images import ImageInfo, image_info
from ssdzoo.data.index import MANY
from ssdzoo.data.record import Problem, Records
from ssdzoo.errors import DataError

CHUNK = 512  # images that are read at once


def read_records(readers: list, items: list, names: list, problems: list, progress: Callable | None = None) -> Records:
    """The records of (reader, item), but for those too broken for one; `problems` takes what is wrong.

    Of MANY items or more, those whose annotation has the size of the image are not opened.

    Args:
        names: the classes.
        progress: called with an iterable and the number of its items; returns an iterable of the same items.
    """
    by_name = {name: i for i, name in enumerate(names)}
    by_id = {str(i): i for i in range(len(names))}
    pixels = {id(reader): PixelCheck(reader.path, reader.format) for reader in readers}
    parts: list[Records] = []

    def read() -> Iterator:
        for reader, chunk in _chunks(items):
            ids = by_id if reader.nameless else by_name
            parts.extend(_read_chunk(reader, chunk, ids, pixels[id(reader)], problems, len(items) >= MANY))
            yield from chunk

    for _ in progress(read(), len(items)) if progress else read():
        pass
    for check in pixels.values():
        check.report(problems)
    return Records.joined(parts)


def _chunks(items: list) -> Iterator[tuple[Reader, list]]:
    for _, group in groupby(items, key=lambda pair: id(pair[0])):
        while chunk := list(islice(group, CHUNK)):
            yield chunk[0][0], [item for _, item in chunk]


def _read_chunk(reader: Reader, items: list, ids: dict, pixels: PixelCheck, problems: list, believed: bool) -> list:
    """The records of some items, as a list of Records.

    Args:
        believed: whether sizes are taken from the annotations that have them.
    """
    annotations: list = []
    columns = reader.columns(items, ids) if believed else None
    if columns is None:
        annotations = [reader.annotation(item) for item in items]
        for annotation in annotations:
            if isinstance(annotation, ImageAnnotation):
                pixels.add(annotation)
        infos = [None if isinstance(annotation, Problem) else _info(annotation, believed) for annotation in annotations]
        columns = collect_columns(annotations, infos, ids)
    elif columns.source:
        pixels.add_boxes(columns.source, columns.boxes[np.isfinite(columns.boxes).all(axis=1)])
    found, fine = columns.faultless()
    parts, taken, begin = [], 0, 0
    for i in np.flatnonzero(~fine).tolist():
        parts.append(found.part(taken, taken + i - begin))
        taken, begin = taken + i - begin, i + 1
        annotation = annotations[i] if annotations else reader.annotation(items[i])
        if isinstance(annotation, Problem):
            problems.append(annotation)
        elif record := make_record(annotation, infos[i] if annotations else _info(annotation, believed), ids, problems):
            parts.append(Records.of(record))
    return [*parts, found.part(taken, len(found))]


def _info(annotation: ImageAnnotation, believed: bool) -> ImageInfo | DataError:
    """What is known of an annotation's image, or the error that is there instead."""
    claimed = annotation.size
    if believed and claimed and all(0 < side < 2**31 and side == int(side) for side in claimed):
        return ImageInfo(int(claimed[0]), int(claimed[1]))
    try:
        return image_info(annotation.image)
    except DataError as error:
        return error
