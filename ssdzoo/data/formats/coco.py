"""COCO's json: images, annotations with [x, y, width, height] boxes, categories."""

import os
import re
from pathlib import Path

import numpy as np

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.coco_table import COCOTable, read_table
from ssdzoo.data.formats.columns import Columns
from ssdzoo.data.formats.files_reader import FilesReader, image_folders
from ssdzoo.data.formats.image_files import AmbiguousImageError, file_names, find_image
from ssdzoo.data.formats.image_finder import DEEPEST
from ssdzoo.data.formats.splits import split_word
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError
from ssdzoo.files import open_file
from ssdzoo.quote import brief

TRIED = 20  # images that are looked for to find the folder of the images
PREFIXES = ("instances_", "person_keypoints_")
# Each tool's own names for the one file of a split, which lies in a folder of its name, or of the whole data set: Roboflow's,
# FiftyOne's, Label Studio's.
_NAMES = ("_annotations.coco.json", "labels.json", "result.json")
_OTHERS = {"captions_": "captions", "panoptic_": "panoptic segments", "stuff_": "stuff segments", "image_info_": "images alone"}
_HEAD = 1 << 16  # bytes that are looked at
_BEGIN = re.compile(rb'(?!.*"categories"\s*:\s*\{)\s*\{\s*"(info|licenses|images|annotations|categories|type)"\s*:', re.DOTALL)


class COCOReader(FilesReader):
    """A json file, or a folder with annotations/instances_SPLIT.json or one of the other usual names; items are (file, number of
    the image in it).

    Categories become class ids from 0 in the order of their ids; those of equal names are one class.
    """

    format, suffixes, prefix = "coco", (".json",), PREFIXES[0]
    layout = "a COCO .json or a folder with annotations/instances_*.json"

    def __init__(self, path: str | Path):
        super().__init__(path)
        for file in self._files:
            if (what := _other(file)) and os.path.isfile(file):
                raise DataError(f"{file}: COCO's {what}, which have no boxes; expected {_without(file)} or the like beside it")
        if os.path.isdir(self.path) and self._files[0].name in _NAMES and self._files[0].parent != self.path:
            self._splits = {file.parent.name: file for file in self._files}
        self._folders: dict[Path, tuple] = {}

    @staticmethod
    def files_in(folder: Path) -> list:
        own = sorted((folder / "annotations").glob("*.json"))
        named = [file for file in own if file.name.startswith("instances_")]
        have = {file.name.removeprefix("instances_") for file in named}
        named += [file for file in own if file.name.startswith(PREFIXES[1]) and file.name.removeprefix(PREFIXES[1]) not in have]
        if named:
            return named
        for name in _NAMES:
            files = sorted(folder.glob(f"*/{name}")) or sorted(folder.glob(name))
            if found := [file for file in files if name == _NAMES[0] or _begins_well(file)]:
                return found
        others = [file for file in own if _other(file)]
        usual = [file for file in own if file not in others and _begins_well(file)]
        return usual or [file for file in sorted(folder.glob("*.json")) if not _other(file) and _begins_well(file)] or others

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        file = next(iter(sorted(path.glob("*.json"))), None)
        return f'{file} is not COCO\'s json, which has "images", "annotations" and "categories"' if file else None

    def class_names(self, problems: list) -> list:
        return list(dict.fromkeys(name for file in self._files for name in read_table(file).names))

    def places(self, file: Path, problems: list) -> range:
        table = read_table(file)
        if table.strays:
            problems.append(Problem(file, table.strays, "annotation", WARNING))
        if table.images:
            split = next((split_word(name) for name, one in self._splits.items() if one == file), None)
            places = [self.image_folder] if self.image_folder else _usual_folders(file, split)
            self._folders[file] = _image_folder(file, table.images, places)
        return range(len(table.images))

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        file, index = item
        table = read_table(file)
        try:
            image = self._image(file, table.images[index])
        except DataError as error:
            return Problem.of(error, file, "image")
        begin, end = table.offsets[index : index + 2].tolist()
        size = tuple(table.sizes[index].tolist())
        return ImageAnnotation(
            image, file, [_object(table, i, file, image) for i in range(begin, end)], size if all(size) else None
        )

    def _image(self, file: Path, name: str) -> Path:
        folder, dropped = self._folders[file]
        return find_image(folder, _end(name, dropped), f"{file}: an image's file_name")

    def columns(self, items: list, ids: dict) -> Columns | None:
        files = {file for file, _ in items}
        if len(files) > 1:
            return None
        (file,) = files
        table, chosen = read_table(file), np.array([index for _, index in items])
        begins, counts = table.offsets[chosen], np.diff(table.offsets)[chosen]
        rows = np.repeat(begins - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        boxes = table.boxes[rows]
        boxes[:, 2:] += boxes[:, :2]
        classes = np.array([*(ids.get(name, -1) for name in table.names), -1])[table.class_ids[rows]]
        sizes = table.sizes[chosen]
        usable = (sizes == np.floor(sizes)) & (sizes < 2**31)
        names = file_names(self._folders[file][0])
        images = [self._plain(file, table.images[index], names) for _, index in items]
        no = np.zeros(len(rows), bool)
        return Columns(images, np.where(usable, sizes, 0).astype(np.int64), counts, boxes, classes, no, table.crowd[rows], file)

    def _plain(self, file: Path, name: str, names: frozenset) -> str | None:
        """The path of an image, or None where it cannot be found; `names` are those of the files in its folder."""
        folder, dropped = self._folders[file]
        if not dropped and name in names:
            return os.path.join(folder, name)
        try:
            return str(self._image(file, name))
        except DataError:
            return None


def _other(file: Path) -> str | None:
    """What a file of COCO's holds that is no detection, by its name."""
    return next((what for prefix, what in _OTHERS.items() if file.name.startswith(prefix)), None)


def _without(file: Path) -> str:
    return "instances_" + next(file.name.removeprefix(prefix) for prefix in _OTHERS if file.name.startswith(prefix))


def _begins_well(file: Path) -> bool:
    """Whether a json file begins as COCO's do, and is large or names their lists; it may hold anything else."""
    try:
        with open_file(file) as stream:
            text = stream.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return False
    return bool(_BEGIN.match(text)) and (len(text) > 0.9 * _HEAD or (b'"images"' in text and b'"annotations"' in text))


def _usual_folders(file: Path, split: str | None) -> list:
    """The folders that the images of a json file may lie in."""
    named = next((file.stem.removeprefix(prefix) for prefix in PREFIXES if file.stem.startswith(prefix)), file.stem)
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    folders = [root / "images" / named, root / named, root / "images", file.parent / "images", file.parent / "data"]
    folders += [file.parent, root, root / named / "images", root / "JPEGImages"]
    return list(dict.fromkeys([*folders, *image_folders([root], split)]))


def _image_folder(file: Path, images: list, places: list) -> tuple:
    """(that of `places` which the file names of the images start from, number of their first parts to drop: some are paths on
    another machine, or addresses)."""
    names = images[:TRIED]
    for drops in ([0], range(1, 1 + max(len(_parts(name)) for name in names))):
        hits = {(place, drop): sum(_is_there(place, _end(name, drop)) for name in names) for drop in drops for place in places}
        best = max(hits, key=lambda place: hits[place])
        if hits[best]:
            return best
    looked = ", ".join(map(str, places))
    raise DataError(f"{file}: no image such as {brief(names[0])} in {looked}; put the images in one of them")


def _parts(name: str) -> list:
    return re.split(r"[/\\]", name, maxsplit=DEEPEST)


def _end(name: str, dropped: int) -> str:
    """A path without its first parts, but never without its last one."""
    return "/".join(_parts(name)[min(dropped, len(_parts(name)) - 1) :]) if dropped else name


def _is_there(folder: Path, name: str) -> bool:
    try:
        return bool(find_image(folder, name, ""))
    except AmbiguousImageError:
        return True  # `find_image` says later which two there are
    except (DataError, OSError):
        return False


def _object(table: COCOTable, index: int, file: Path, image: Path) -> AnnotatedObject | Problem:
    key = table.ids[index]
    where = f"annotation {brief(int(key) if isinstance(key, np.integer) else key)} of {image.name}"
    if index in table.wrong:
        kind, message = table.wrong[index]
        return Problem(file, f"{where} {message}", kind, ERROR)
    x, y, width, height = table.boxes[index].tolist()
    shown = ", ".join(f"{v:g}" for v in (x, y, width, height))
    box, name = (x, y, x + width, y + height), table.names[table.class_ids[index]]
    return AnnotatedObject(name, box, where, shown, crowd=bool(table.crowd[index]))
