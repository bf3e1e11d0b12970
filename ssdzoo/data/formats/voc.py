"""Pascal VOC folders: Annotations/*.xml, ImageSets/Main/SPLIT.txt, JPEGImages/."""

import os
import re
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.splits import EmptySplitError
from ssdzoo.data.formats.text_files import brief
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VOCReader(Reader):
    """A Pascal VOC folder; items are stems of annotations.

    Coordinates in the files count from 1; one is subtracted from all four, as in GluonCV.
    """

    format, layout = "voc", "a Pascal VOC folder (.xml in Annotations/ or beside the images)"
    undivided = "without ImageSets/Main"

    @staticmethod
    def recognizes(path: Path) -> bool:
        return (path / "Annotations").is_dir()

    def splits(self) -> list:
        return sorted(self._lists())

    def _lists(self) -> dict:
        return {p.stem: p for p in (self.path / "ImageSets" / "Main").glob("*.txt")}

    def class_names(self, problems: list) -> list:
        names: set[str] = set()
        for path in self._annotations():
            try:
                names.update((o.findtext("name") or "").strip() for o in _parse(path).iter("object"))
            except DataError as error:
                problems.append(Problem.of(error, path, "annotation"))
        return sorted(names - {""})

    def _annotations(self) -> list:
        files = sorted((self.path / "Annotations").glob("*.xml"))
        if not files:
            raise DataError(f"{self.path}: no annotations; expected Annotations/*.xml, JPEGImages/ and ImageSets/Main/*.txt")
        return files

    def items(self, split: str | None, problems: list) -> list:
        if split is None:
            return [p.stem for p in self._annotations()]
        path = self._lists()[split]
        lines = [line.strip() for line in path.read_text("utf-8-sig", "replace").splitlines()]
        stems = [self._stem(line) for line in lines if line]
        if not stems:
            raise EmptySplitError(f"{path}: the split is empty")
        return stems

    def _stem(self, line: str) -> str:
        """The image that a line of a split names; in the lists of single classes, -1, 0 or 1 follows the name."""
        if os.path.isfile(self.path / "Annotations" / f"{line}.xml"):
            return line
        return re.sub(r"\s+(-1|0|1)$", "", line)

    def annotation(self, item: str) -> ImageAnnotation | Problem:
        path = self.path / "Annotations" / f"{item}.xml"
        try:
            if "/" in item or "\\" in item:
                raise DataError(f"{path}: a split names images, not paths")
            tree = _parse(path)
            image, size = self._image_of(path, tree), _size(path, tree)
        except DataError as error:
            return Problem.of(error, path, "annotation")
        objects = [_object(element, number, path) for number, element in enumerate(tree.iter("object"), 1)]
        return ImageAnnotation(image, path, objects, size, origin=1)

    @cached_property
    def _images(self) -> dict:
        files = (self.path / "JPEGImages").glob("*")
        return {p.stem: p for p in files if p.suffix.lower() in IMAGE_SUFFIXES}

    def _image_of(self, path: Path, tree: Element) -> Path:
        named = Path((tree.findtext("filename") or "").strip()).stem
        image = self._images.get(path.stem) or self._images.get(named)
        if image is None:
            raise DataError(f"{path}: its image JPEGImages/{path.stem}.jpg is missing")
        return image


def _size(path: Path, tree: Element) -> tuple | None:
    declared = [tree.findtext(f"size/{side}") or "0" for side in ("height", "width")]
    try:
        height, width = (int(float(text)) for text in declared)
    except (ValueError, OverflowError):
        raise DataError(f"{path}: <size> is not a number: {brief(' '.join(declared))}") from None
    return (height, width) if height and width else None


def _parse(path: Path) -> Element:
    try:
        tree = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation") from None
    except DefusedXmlException:
        raise DataError(f"{path}: declares XML entities, which are refused") from None
    except (ParseError, UnicodeDecodeError, LookupError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not XML: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if tree.tag != "annotation":  # anything else would pass for an image without objects
        raise DataError(f"{path}: not a Pascal VOC annotation; its outermost element is <{tree.tag}>, expected <annotation>")
    return tree


def _object(element: Element, number: int, path: Path) -> AnnotatedObject | Problem:
    where = f"object {number}"
    name = (element.findtext("name") or "").strip()
    if not name:
        return Problem(path, "an object without <name>", "annotation", ERROR)
    try:
        corners = [float(element.findtext(f"bndbox/{side}", "")) for side in _CORNERS]
    except ValueError:
        message = f"{where} has no <bndbox> with the numbers {', '.join(_CORNERS)}"
        return Problem(path, message, "no box", ERROR)
    difficult = (element.findtext("difficult") or "0").strip().lower() in ("1", "true", "yes")
    return AnnotatedObject(name, tuple(c - 1 for c in corners), where, ", ".join(f"{c:g}" for c in corners), difficult)
