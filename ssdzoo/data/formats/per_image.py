"""A data set with an annotation file for each image: what the readers of Pascal VOC and of LabelMe share.

The annotations lie in a folder of their own, or beside the images. Folders that are called train, valid, test are its splits.
"""

import os
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.image_files import folders_in, images_of_stem, named_image, walk
from ssdzoo.data.formats.paths import path_inside
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.splits import split_word
from ssdzoo.data.formats.text_files import nfc
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.record import WARNING, Problem
from ssdzoo.errors import DataError

ANNOTATIONS = frozenset(
    {"annotations", "annotation", "annots", "ann", "labels", "label", "label_2", "xmls", "xml", "jsons", "json"}
)  # in lower case
IMAGES = ("jpegimages", "images", "image", "imgs", "img", "image_2", "data")
FEW = 5  # files that are looked into for their format


class Part(NamedTuple):
    """Where a data set, or one of its splits, has its files.

    Attributes:
        annotations: the folder in which, at any depth, the annotations are.
        images: the folders in which an image may be, in the order in which they are tried.
    """

    annotations: Path
    images: tuple


class AnnotationFile(NamedTuple):
    """What an annotation says.

    Attributes:
        image: path or name of its image; "" where it has none.
        size: (height, width), or None.
        objects: see ImageAnnotation.
    """

    image: str
    size: tuple | None
    objects: list


class PerImageReader(Reader):
    """Items are (name of the part, path of the annotation in it, without suffix). The part of a data set that is not divided
    into folders is called "".

    Attributes:
        suffix: of the annotations.
        origin: see ImageAnnotation.
    """

    suffix = ""
    origin = 0

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._parts = self._parts_of(self.path)
        self._stems: dict[str, list] = {}
        self._read: dict[Path, AnnotationFile] = {}
        if not self._parts:
            raise DataError(f"{self.path}: no annotations; expected {self.layout}")

    @staticmethod
    def is_annotation(path: Path) -> bool:
        """Whether a file may be an annotation, by its begin."""
        raise NotImplementedError

    def read(self, path: Path) -> AnnotationFile:
        """What an annotation says.

        Raises:
            DataError: it cannot be read; begins with the path.
        """
        raise NotImplementedError

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return bool(cls._parts_of(path))

    @classmethod
    def has_own_folder(cls, path: Path) -> bool:
        """Whether the annotations lie in a folder of their own."""
        return any(part.annotations != path for split, part in cls._parts_of(path).items() if not split)

    @classmethod
    def _parts_of(cls, path: Path) -> dict:
        """{split: Part}, or {"": Part} of a folder that is not divided, or {}."""
        own = cls._part_of(path)
        if own and own.annotations != path:
            return {"": own}
        splits = {p.name: part for p in folders_in(path) if split_word(p.name) and (part := cls._part_of(p))}
        return splits or ({"": own} if own else {})

    @classmethod
    def _part_of(cls, path: Path) -> Part | None:
        folders = folders_in(path)
        images = [p for name in IMAGES for p in folders if p.name.lower() == name]
        for folder in folders:
            if folder.name.lower() in ANNOTATIONS and cls._is_there(folder, deep=True):
                return Part(folder, (*images, path, folder))
        return Part(path, (path, *images)) if cls._is_there(path, deep=False) else None

    @classmethod
    def _is_there(cls, folder: Path, deep: bool) -> bool:
        """Whether one of a few files in a folder is an annotation."""
        return any(map(cls.is_annotation, islice(files_in(folder, cls.suffix, deep), FEW)))

    def splits(self) -> list:
        return sorted(self._parts) if "" not in self._parts else list(self._folders)

    @cached_property
    def _folders(self) -> dict:
        """{split: annotations} of the folders in the folder of the annotations, if these are called like splits."""
        folders: dict[str, list] = {}
        for stem in self.stems(""):
            folders.setdefault(stem.partition("/")[0] if "/" in stem else "", []).append(("", stem))
        return folders if all(map(split_word, folders)) else {}

    def items(self, split: str | None, problems: list) -> list:
        if "" in self._parts and split is not None:
            return self._folders[split]
        names = sorted(self._parts) if split is None else [split]
        for name in names:
            self._tell_images_without_annotation(name, problems)
        return [(name, stem) for name in names for stem in self.stems(name)]

    def stems(self, part: str) -> list:
        """Paths of the annotations of a part, relative to its folder and without suffix, sorted."""
        if part not in self._stems:
            folder = self._parts[part].annotations
            files = (os.path.relpath(file, folder) for file in files_in(folder, self.suffix, deep=True))
            self._stems[part] = sorted(file.removesuffix(self.suffix) for file in files)
        return self._stems[part]

    def _tell_images_without_annotation(self, part: str, problems: list) -> None:
        """Images that lie between annotations are expected to have one."""
        folder, images = self._parts[part]
        if folder != images[0]:
            return
        count = sum(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in os.listdir(folder) if name[:2] != "._")
        count -= sum("/" not in stem for stem in self.stems(part))
        if count > 0:
            images = f"{count} images have" if count > 1 else "1 image has"
            message = f"{images} no {self.suffix}: left out; an image without objects needs one too, without objects"
            problems.append(Problem(folder, message, "annotation", WARNING))

    def class_names(self, problems: list) -> list:
        names: set[str] = set()
        for path in [self._path(part, stem) for part in self._parts for stem in self.stems(part)]:
            try:
                names.update(o.name for o in self._file(path).objects if isinstance(o, AnnotatedObject))
            except DataError as error:
                problems.append(Problem.of(error, path, "annotation"))
        return sorted(names)

    def annotation(self, item: tuple) -> ImageAnnotation | Problem:
        part, stem = item
        path = self._path(part, stem)
        try:
            path_inside(self._parts[part].annotations, stem, str(path))
            file = self._file(path)
            image, notes = self._image_of(self._parts[part], stem, file.image, path)
        except DataError as error:
            return Problem.of(error, path, "annotation")
        return ImageAnnotation(image, path, [*file.objects, *notes], file.size, origin=self.origin)

    def _path(self, part: str, stem: str) -> Path:
        return self._parts[part].annotations / (stem + self.suffix)

    def _file(self, path: Path) -> AnnotationFile:
        if path not in self._read:
            self._read[path] = self.read(path)
        return self._read[path]

    def _image_of(self, part: Part, stem: str, text: str, path: Path) -> tuple:
        """(the image that an annotation names, or else that of its own stem; what is to be told about that)."""
        named = next(self._named(part, stem, text, str(path)), None)
        if named and nfc(named.stem) == nfc(os.path.basename(stem)):
            return named, []
        of_stem = self._of_stem(part, stem)
        if named:
            message = f"names {named.name}, though {of_stem[0].name} is there too: {named.name} is taken" if of_stem else ""
            return named, [Problem(path, message, "image", WARNING)] if of_stem else []
        plain = text.replace("\\", "/").rpartition("/")[2]
        found = of_stem or (self._of_stem(part, os.path.join(os.path.dirname(stem), os.path.splitext(plain)[0])) if plain else [])
        if not found:
            missing = os.path.relpath(part.images[0] / (plain or f"{stem}.jpg"), self.path)
            above = f", or name {self.path.parent} as the data set" if self.path.name.lower() in ANNOTATIONS else ""
            raise DataError(
                f"{path}: its image {missing} is missing; put it there, or take the annotation out of the data{above}"
            )
        if len(found) > 1:
            names = " or ".join(image.name for image in found)
            raise DataError(
                f"{path}: its image may be {names} in {found[0].parent}: keep one of them, or name it in the annotation"
            )
        return found[0], []

    def _named(self, part: Part, stem: str, text: str, where: str) -> Iterator[Path]:
        """The images that an annotation may mean by a path, which may be one of another machine."""
        plain = text.replace("\\", "/")
        inner, name = os.path.dirname(stem), plain.rpartition("/")[2]
        from_there = os.path.relpath(os.path.normpath(part.annotations / inner / plain), self.path)
        places = [(self.path, from_there)] if name != plain else []
        texts = dict.fromkeys(os.path.join(*each) for each in [(inner, plain), ("", plain), (inner, name), ("", name)])
        places += [(folder, each) for folder in part.images for each in texts] if name else []
        for folder, each in places:
            try:
                image = named_image(folder, each, where)
            except DataError:  # the path of another machine, or two names that are equal in NFC
                continue
            if image:
                yield image

    def _of_stem(self, part: Part, stem: str) -> list:
        """The images of a stem in the first folder that has any."""
        stems = dict.fromkeys([stem, os.path.basename(stem)])
        return next((found for folder in part.images for each in stems if (found := images_of_stem(folder, each))), [])


def files_in(folder: Path, suffix: str, deep: bool) -> Iterator[Path]:
    """The files of a suffix in a folder, and in the folders in it."""
    for place, folders, files in walk(folder):
        if not deep:
            folders.clear()
        yield from (Path(place, name) for name in files if name.endswith(suffix))


def first_wrong(path: Path, reader: type[PerImageReader]) -> Path | None:
    """A file that has the suffix of a reader's annotations but is none; None where a folder has no such file."""
    places = [path, *(p for p in folders_in(path) if p.name.lower() in ANNOTATIONS)]
    files = (file for place in places for file in islice(files_in(place, reader.suffix, deep=False), FEW))
    return next((file for file in files if not reader.is_annotation(file)), None)
