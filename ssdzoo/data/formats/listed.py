"""What the readers of a tool's own files share: files that list images, each with its objects."""

import contextlib
import math
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.files_reader import FilesReader
from ssdzoo.data.formats.splits import UNDIVIDED, EmptySplitError
from ssdzoo.data.formats.text_files import class_id, nfc, read_class_list
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short

MOST_FILES = 20  # of a folder: where there are more, each is about one image
ONLY_CLASS = "object"  # where a file has boxes, and says nothing of classes


class Listed(NamedTuple):
    """An image as its file lists it.

    Attributes:
        image: path, address or name.
        where: where in the file it is, for messages.
        size: (height, width), or None.
        objects: see ImageAnnotation.
        normalized: see ImageAnnotation.
        split: the one that the file names for it, or "".
        other: another name that it may have, or "".
    """

    image: str
    where: str
    size: tuple | None
    objects: list
    normalized: bool = False
    split: str = ""
    other: str = ""


class Content(NamedTuple):
    """What a file holds: its images, the names of its classes in order where it lists them, and what is wrong with it."""

    images: list
    names: list
    problems: list


class ListReader(FilesReader):
    """Items are (file, number of the image in it).

    Classes are those that the files list, and then those of their objects, sorted. Where all are numbers, they are the ids of the
    names in a classes.txt beside the file.

    Attributes:
        patterns: of the files in a folder; those of the first pattern that any fit are taken.
    """

    patterns: tuple = ()

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._read: dict[Path, Content] = {}

    @classmethod
    def is_own(cls, file: Path) -> bool:
        """Whether a file is of this format, by its begin."""
        raise NotImplementedError

    def content(self, file: Path) -> Content:
        """What a file holds.

        Raises:
            DataError: it cannot be read; begins with the path.
        """
        raise NotImplementedError

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return super().recognizes(path) and (os.path.isdir(path) or cls.is_own(path))

    @classmethod
    def is_named(cls, path: Path) -> bool:
        """Whether a path is a file of this format, not a folder."""
        return os.path.isfile(path) and cls.recognizes(path)

    @classmethod
    def files_in(cls, folder: Path) -> list:
        for pattern in cls.patterns:
            files = [file for file in sorted(folder.glob(pattern)) if os.path.isfile(file) and not file.name.startswith("._")]
            if own := [file for file in files if cls.is_own(file)] if len(files) <= MOST_FILES else []:
                return own
        return []

    def _content(self, file: Path) -> Content:
        if file not in self._read:
            self._read[file] = self.content(file)
        return self._read[file]

    def class_names(self, problems: list) -> list:
        if self._ids:
            return list(self._own_names or map(str, range(1 + max(self._ids.values()))))
        return list(dict.fromkeys([*(name for content in self._contents for name in content.names), *sorted(self._used)]))

    @property
    def nameless(self) -> bool:
        return bool(self._ids) and self._own_names is None

    @property
    def _contents(self) -> list:
        return [self._content(file) for file in self._files]

    @cached_property
    def _used(self) -> set:
        """The classes of all objects."""
        images = [listed for content in self._contents for listed in content.images]
        return {each.name for listed in images for each in listed.objects if isinstance(each, AnnotatedObject)}

    @cached_property
    def _ids(self) -> dict:
        """{class as it is written: id} where all classes are numbers; empty otherwise."""
        listed = any(content.names for content in self._contents)
        ids = {name: index for name in self._used if name.isdecimal() and (index := class_id(name)) is not None}
        return ids if ids and len(ids) == len(self._used) and not listed else {}

    @cached_property
    def _own_names(self) -> list | None:
        lists = [read_class_list(folder, "classes.txt") for folder in self.own_folders(self._files[0])]
        return next(filter(None, lists), None)

    @cached_property
    def _of_images(self) -> dict:
        """{split: items} where the only file names the splits of its images."""
        found: dict[str, list] = {}
        if len(self._files) == 1 and not self._splits:
            (file,) = self._files
            for index, listed in enumerate(self._content(file).images):
                found.setdefault(listed.split or UNDIVIDED, []).append((file, index))
        return found if list(found) != [UNDIVIDED] else {}

    def splits(self) -> list:
        return sorted(self._of_images) or super().splits()

    def items(self, split: str | None, problems: list) -> list:
        if split not in self._of_images:
            return super().items(split, problems)
        self.places(self._files[0], problems)
        return self._of_images[split]

    def places(self, file: Path, problems: list) -> range:
        content = self._content(file)
        problems += content.problems
        if not content.images and content.problems:
            raise EmptySplitError(f"{file}: {content.problems[0].message}")
        return range(len(content.images))

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        file, index = item
        listed = self._content(file).images[index]
        try:
            image = self.image(file, listed, f"{file}: {listed.where}")
        except DataError as error:
            return Problem.of(error, file, "image")
        objects = [self._named(each, file) for each in listed.objects] if self._ids else listed.objects
        return ImageAnnotation(image, file, objects, listed.size, listed.normalized)

    def image(self, file: Path, listed: Listed, where: str) -> Path:
        """The image that a file lists. It may lie in a folder of its split, which the file leaves out, or have the name from
        which the tool made its own.

        Raises:
            DataError: see `ImageFinder.find`.
        """
        finder, text = self.finder(file), f"{listed.split}/{listed.image}" if listed.split else listed.image
        try:
            return finder.find(text, where)
        except DataError:
            with contextlib.suppress(DataError):
                if listed.other and listed.other != listed.image:
                    return finder.find_uploaded(listed.other) or finder.find(listed.other, where)
            raise

    def _named(self, found: AnnotatedObject | Problem, file: Path) -> AnnotatedObject | Problem:
        if not isinstance(found, AnnotatedObject):
            return found
        name = numbered_class(file, found.where, found.name, self._ids[found.name], self._own_names)
        return name if isinstance(name, Problem) else found._replace(name=name)


def numbered_class(file: Path, where: str, text: str, index: int, names: list | None) -> str | Problem:
    """The name of a class that a file calls by its number, `text`, which is `index`; the number where there are no names."""
    if names is None or index < len(names):
        return str(index) if names is None else names[index]
    there = f"is 1 name: {short(names[0])} is 0" if len(names) == 1 else f"are {len(names)} names: 0 to {len(names) - 1}"
    message = f"{where} has class {brief(text)}, but there {there}"
    return Problem(file, message, "unknown class", ERROR)


def make_object(file: Path, where: str, name: Any, box: tuple, **marks: bool) -> AnnotatedObject | Problem:
    """An object of a file, or what is wrong with it.

    Args:
        box: xmin, ymin, xmax, ymax as they are; NaN where there is no number.
        marks: difficult or crowd.
    """
    name = str(name) if type(name) is int else name
    if not isinstance(name, str) or not name.strip():
        return Problem(file, f"{where} has the class {brief(name)}; expected a text", "unknown class", ERROR)
    if any(math.isnan(value) for value in box):
        return Problem(file, f"{where} ({short(name)}) has no box of four numbers", "no box", ERROR)
    return AnnotatedObject(nfc(name.strip()), box, where, ", ".join(f"{value:g}" for value in box), **marks)


def without_box(file: Path, where: str, kind: Any) -> Problem:
    """An object of a shape that has no box."""
    return Problem(file, f"{where} is a {short(kind)}, which has no box: left out", "no box", WARNING)


def around(xs: list, ys: list) -> tuple:
    """The box around points; NaNs where there are none."""
    if not xs or not ys or any(math.isnan(value) for value in (*xs, *ys)):
        return (math.nan,) * 4
    return min(xs), min(ys), max(xs), max(ys)


def last_part(path: str) -> str:
    """The name of an image, as messages show it."""
    return short(re.split(r"[/\\]", path)[-1])


def size_of(height: float, width: float) -> tuple | None:
    """The (height, width) that a file claims, from what it has for them."""
    return (height, width) if height > 0 and width > 0 else None
