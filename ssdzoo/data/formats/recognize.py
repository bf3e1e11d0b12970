"""Which format a data set has, from the path that the user names; all readers."""

import os
from collections import Counter
from itertools import islice
from pathlib import Path

from ssdzoo.data.formats.coco import COCOReader
from ssdzoo.data.formats.csv_table import CSVReader
from ssdzoo.data.formats.cvat import CVATReader
from ssdzoo.data.formats.image_files import folders_in, is_image, walk
from ssdzoo.data.formats.json_export import JSONReader
from ssdzoo.data.formats.kitti import KITTIReader
from ssdzoo.data.formats.labelme import LabelMeReader
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.recordio import RecordIOReader
from ssdzoo.data.formats.sagemaker import SageMakerReader
from ssdzoo.data.formats.supervisely import SuperviselyReader
from ssdzoo.data.formats.unread import unread_format
from ssdzoo.data.formats.voc import VOCReader
from ssdzoo.data.formats.yolo import YOLOReader
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.errors import CallError, DataError

_READERS: tuple = (
    VOCReader, COCOReader, YOLOReader, RecordIOReader, SageMakerReader, CVATReader, JSONReader, CSVReader, LabelMeReader,
    SuperviselyReader, KITTIReader,
)  # fmt: skip
FORMATS: dict[str, type[Reader]] = {reader.format: reader for reader in _READERS}
# An .xml or .json beside an image may be left over from before the data were converted, so it counts last.
_ASKED = (
    (JSONReader, JSONReader.is_named), (VOCReader, VOCReader.is_original), (LabelMeReader, LabelMeReader.has_own_folder),
    *((reader, reader.recognizes) for reader in _READERS if reader not in (VOCReader, LabelMeReader)),
    (VOCReader, VOCReader.recognizes), (LabelMeReader, LabelMeReader.recognizes),
)  # fmt: skip
DEPTH = 3  # levels of folders around a data set, as unpacked archives have them
MOST = 200  # folders in which a data set is looked for
MOST_FILES = 10_000  # files of a folder that is not recognized, which are counted
SHOWN = 5  # names that one error lists


def open_readers(path: str | Path | list, format: str | None = None, image_folder: str | Path | None = None) -> list:
    """A reader for each path of a data set; see `ssdzoo.data.load_dataset`.

    Raises:
        CallError: an unknown format, a folder of images that is not there or that no reader takes.
        DataError: a path that is missing, or of no known format: says what was looked at and what to do; class ids without names
            that are joined to names.
    """
    if format is not None and format not in FORMATS:
        raise CallError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    readers = [_open(part, format) for part in _paths(path)]
    if len(readers) > 1:
        _refuse_mixed_names(readers)
    if image_folder is not None:
        takers = [reader for reader in readers if reader.takes_image_folder]
        if not os.path.isdir(image_folder):
            raise CallError(f"image_folder={image_folder}: no such folder")
        if not takers:
            raise CallError(
                f"image_folder= is for files that name their images by paths; {path} is {readers[0].format}, without it"
            )
        for reader in takers:
            reader.image_folder = Path(image_folder)
    return readers


def _refuse_mixed_names(readers: list) -> None:
    """Class 0 of a data set without names would become the first name of the others."""
    ids, names = ([reader for reader in readers if reader.nameless is nameless] for nameless in (True, False))
    if ids and names:
        path = ids[0].path
        place = (path if os.path.isdir(path) else path.parent) / "classes.txt"
        message = f"holds class ids without names, and cannot be joined to {names[0].path}, which has names"
        raise DataError(f"{path}: {message}; list the names of its classes in {place}, one a line, in the order of their ids")


def _paths(path: str | Path | list) -> list:
    if isinstance(path, (list, tuple)):
        return [part for one in path for part in _paths(one)]
    if "," in str(path) and not os.path.exists(path):
        return [Path(part.strip()) for part in str(path).split(",") if part.strip()]
    return [Path(path)]


def _open(path: Path, format: str | None) -> Reader:
    if not os.path.exists(path):
        raise DataError(f"{path}: no such data set")
    readers = [FORMATS[format]] if format else list(_READERS)
    unread = (unread_format(path) or _of_one_image(path)) if os.path.isfile(path) and not format else None
    found = _found(path, readers) if not unread else []
    if len(found) > 1:
        names = ", ".join(str(place) for place, _ in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
        raise DataError(f"{path}: holds {len(found)} data sets; name one of them, or several with commas in between: {names}")
    if found:
        place, reader = found[0]
        return reader(place)
    if format and os.path.isfile(path):  # a file that the user calls COCO's may have any suffix
        return FORMATS[format](path)
    named = f" of format {format}" if format else ""
    raise DataError(f"{path}: not a data set{named}; {unread or _reason(path, readers)}")


def _found(path: Path, readers: list) -> list:
    """[(path, reader)] of a path, or of the data sets in the folders below it."""
    level, found, seen = [path], [], 0
    for _ in range(DEPTH + 1):
        found = [(place, reader) for place in level if (reader := _reader_of(place, readers))]
        seen += len(level)
        # Images beside the folders belong to the data set that the user means.
        level = [] if found else [folder for place in level if not _has_images(place) for folder in folders_in(place)]
        level = level[: MOST - seen]
        if not level:
            break
    return found


def _reader_of(path: Path, readers: list) -> type[Reader] | None:
    return next((reader for reader, recognizes in _ASKED if reader in readers and recognizes(path)), None)


def _of_one_image(file: Path) -> str | None:
    """What to say about an annotation in the place of its data set; None for other files."""
    is_one = any(file.suffix == reader.suffix and reader.is_annotation(file) for reader in (VOCReader, LabelMeReader))
    return "it is the annotation of one image; name its folder" if is_one else None


def _has_images(folder: Path) -> bool:
    """Whether images lie in a folder itself."""
    _, _, files = next(walk(folder), ("", [], []))
    return any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in files)


def _reason(path: Path, readers: list) -> str:
    """Why none of the readers takes a path, and what to do."""
    if os.path.isdir(path) and (unread := unread_format(path)):
        return unread
    looked = [path, *folders_in(path)[:SHOWN]]
    if below := [str(place) for place in looked[1:] if _reader_of(place, readers)]:
        return f"images lie beside {' and '.join(below)}, which can be read: name the one that you mean"
    reasons = next(filter(None, ([why for reader in readers if (why := reader.why_not(place))] for place in looked)), [])
    if reasons:
        return "; ".join(list(dict.fromkeys(reasons))[:2])
    expected = "expected " + ", ".join(reader.layout for reader in FORMATS.values() if reader in readers)
    expected += ", or a folder with one of them" if len(readers) > 1 else ""
    return f"{_contents(path)}; {expected}" if os.path.isdir(path) else expected


def _contents(folder: Path) -> str:
    """What a folder without annotations holds, in words."""
    files = list(islice((os.path.join(place, name) for place, _, names in walk(folder) for name in names), MOST_FILES))
    images = sum(map(is_image, files))
    if images:
        return f"it holds {images} image{'s' if images > 1 else ''}, but no annotations of a known format"
    kinds = Counter(os.path.splitext(file)[1].lower() or "without suffix" for file in files).most_common(SHOWN)
    found = ", ".join(f"{count} {suffix}" for suffix, count in kinds)
    return f"it holds neither annotations nor images, but other files: {found}" if files else "the folder is empty"
