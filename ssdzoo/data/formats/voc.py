"""Pascal VOC: an .xml for each image."""

import os
import re
from functools import cached_property
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element

from ssdzoo.data.formats.annotation import AnnotatedObject
from ssdzoo.data.formats.per_image import FEW, AnnotationFile, PerImageReader, files_in, first_wrong
from ssdzoo.data.formats.rotation import around_rotated, rotation_of
from ssdzoo.data.formats.splits import EmptySplitError, split_word
from ssdzoo.data.formats.text_files import nfc, read_lines
from ssdzoo.data.formats.unread import unread_format
from ssdzoo.data.formats.xml_file import outermost, read_xml
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short

MOST_MISSING = 1000  # annotations that a list names
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VOCReader(PerImageReader):
    """A Pascal VOC folder: the original one, with lists of its splits in ImageSets/Main, or annotations beside the images.

    Coordinates in the files count from 1; one is subtracted from all four, as in GluonCV.
    """

    format, suffix, origin = "voc", ".xml", 1
    layout = "a Pascal VOC folder (.xml in Annotations/ or beside the images)"
    undivided = "without ImageSets/Main"

    @staticmethod
    def is_annotation(path: Path) -> bool:
        return outermost(path) in ("annotation", None)

    @classmethod
    def _is_there(cls, folder: Path, deep: bool) -> bool:
        """In Annotations/, an .xml of any kind is meant to be Pascal VOC's, and reading it says what is wrong."""
        if folder.name == "Annotations" and deep:
            return any(unread_format(file) is None for file in islice(files_in(folder, cls.suffix, deep), FEW))
        return super()._is_there(folder, deep)

    @classmethod
    def is_original(cls, path: Path) -> bool:
        """Whether a folder has the Annotations/ of the original data set."""
        return os.path.isdir(path / "Annotations") and cls.recognizes(path)

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        file = first_wrong(path, cls)
        if file:
            found = f"its outermost element is <{short(outermost(file))}>, expected <annotation>"
            return f"{file} is no Pascal VOC annotation; {found}"
        folder = path / "Annotations"
        if os.path.isdir(folder) and not any(folder.iterdir()):
            return f"{folder} is empty: no annotations; expected .xml of Pascal VOC or .json of LabelMe"
        return None

    def splits(self) -> list:
        return sorted(self._lists) or super().splits()

    @cached_property
    def _lists(self) -> dict:
        """{split: its files}. VoTT writes lists of single classes only, such as cat_train.txt: together they are a split."""
        files = sorted((self.path / "ImageSets" / "Main").glob("*.txt")) if "" in self._parts else []
        lists = {file.stem: [file] for file in files if not file.name.startswith("._")}
        words = {split_word(name) or name for name in lists}
        for file in files:
            split = _split_of_class(file.stem)
            if split and split not in words:
                lists.setdefault(split, []).append(file)
        if "default" in lists and all(name == "default" or _split_of_class(name) == "default" for name in lists):
            return {"default": lists["default"]}  # an export of CVAT
        return lists

    def items(self, split: str | None, problems: list) -> list:
        if split not in self._lists:
            return super().items(split, problems)
        files = self._lists[split]
        lines = [line.strip() for path in files for line in read_lines(path)]
        stem_of = {line: self._stem(line) for line in set(lines) if line}  # a list may repeat a line a million times
        stems = [stem_of[line] for line in lines if line]
        if not stems:
            raise EmptySplitError(f"{files[0]}: the split is empty")
        known = set(self.stems(""))
        missing = [stem for stem in stems if stem not in known]
        if len(missing) > MOST_MISSING:  # reading each of a million to say that it is missing takes minutes
            message = f"{len(missing):,} of its {len(stems):,} lines name no annotation; {MOST_MISSING:,} of them are listed"
            problems.append(Problem(files[0], message, "annotation", ERROR))
            known.update(missing[:MOST_MISSING])
            stems = [stem for stem in stems if stem in known]
        # Lists of single classes repeat an image; one list that does so is reported by the check.
        items = {stem: ("", stem) for stem in stems}
        return [items[stem] for stem in stems] if len(files) == 1 else list(items.values())

    @cached_property
    def _stems_by_name(self) -> dict:
        return {nfc(stem): stem for stem in self.stems("")}

    def _stem(self, line: str) -> str:
        """The annotation that a line of a split names. In the lists of single classes, -1, 0 or 1 follows the name; VoTT's have
        the names of images."""
        name = re.sub(r"\s+(-1|0|1)$", "", line)
        plain = name.strip('"').replace("\\", "/")
        stem, suffix = os.path.splitext(plain)
        texts = (line, name, plain, stem) if suffix.lower() in IMAGE_SUFFIXES else (line, name, plain)
        return next((self._stems_by_name[nfc(each)] for each in texts if nfc(each) in self._stems_by_name), name)

    def read(self, path: Path) -> AnnotationFile:
        tree = _parse(path)
        size = _size(path, tree)
        objects = [_object(element, number, path, size) for number, element in enumerate(tree.iter("object"), 1)]
        return AnnotationFile((tree.findtext("filename") or "").strip(), size, objects)


def _split_of_class(stem: str) -> str | None:
    """The split of a list of a single class: "train" of cat_train; None for other lists."""
    if split_word(stem):
        return None
    parts = stem.split("_")
    return next((word for i in range(1, len(parts)) if (word := _word("_".join(parts[i:])))), None)


def _word(name: str) -> str | None:
    return "default" if name == "default" else split_word(name)


def _size(path: Path, tree: Element) -> tuple | None:
    declared = [tree.findtext(f"size/{side}") or "0" for side in ("height", "width")]
    try:
        height, width = (int(float(text)) for text in declared)
    except (ValueError, OverflowError):
        raise DataError(f"{path}: <size> is not a number: {brief(' '.join(declared))}") from None
    return (height, width) if height and width else None


def _parse(path: Path) -> Element:
    tree = read_xml(path)
    if tree.tag != "annotation":  # anything else would pass for an image without objects
        raise DataError(
            f"{path}: not a Pascal VOC annotation; its outermost element is <{short(tree.tag)}>, expected <annotation>"
        )
    return tree


def _object(element: Element, number: int, path: Path, size: tuple | None) -> AnnotatedObject | Problem:
    where = f"object {number}"
    name = nfc((element.findtext("name") or "").strip())
    if not name:
        return Problem(path, "an object without <name>", "annotation", ERROR)
    try:
        corners = _corners(element)
    except ValueError:
        message = f"{where} has no <bndbox> with the numbers {', '.join(_CORNERS)}"
        return Problem(path, message, "no box", ERROR)
    difficult = (element.findtext("difficult") or "0").strip().lower() in ("1", "true", "yes")
    box, rotation = tuple(c - 1 for c in corners), _rotation(element)
    if rotation:
        box = around_rotated(box, rotation, size)
    return AnnotatedObject(name, box, where, ", ".join(f"{c:g}" for c in corners), difficult)


def _corners(element: Element) -> list:
    """The corners of an object's box; LabelMe's web tool, which counts from 0, has the points of an outline in its place.

    Raises:
        ValueError: one is missing, or no number.
    """
    axes = [[float(point.findtext(axis, "")) + 1 for point in element.iterfind("polygon/pt")] for axis in "xy"]
    if element.find("bndbox") is None and axes[0]:
        return [end(axis) for end in (min, max) for axis in axes]
    return [float(element.findtext(f"bndbox/{side}", "")) for side in _CORNERS]


def _rotation(element: Element) -> float:
    """Of an object's box in degrees: CVAT writes it as an attribute."""
    return rotation_of({each.findtext("name"): each.findtext("value") for each in element.iterfind("attributes/attribute")})
