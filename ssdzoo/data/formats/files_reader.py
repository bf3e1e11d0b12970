"""A data set whose splits are annotation files: what the readers of COCO's json, RecordIO, tables and manifests share."""

import os
from collections.abc import Sequence
from pathlib import Path

from ssdzoo.data.formats.image_files import folders_in
from ssdzoo.data.formats.image_finder import ImageFinder
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.splits import UNDIVIDED, EmptySplitError, name_files, split_word, word_in
from ssdzoo.data.record import ERROR


class FilesReader(Reader):
    """A file, or a folder with one for each split, each in a folder of its own or not (bananas_train/label.csv). Items are
    (file, place in it).

    Attributes:
        suffixes: of the files, in lower case.
        prefix: what may stand before the split in their names.
        empty: words of the error about a file without images.
    """

    suffixes: tuple = ()
    prefix = ""
    empty = "lists no images"
    takes_image_folder = True

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._files = self.files_in(self.path) if os.path.isdir(self.path) else [self.path]
        self._splits = name_files(self._files, self.prefix)
        if not self._files:
            self._splits = self._split_folders(self.path)
            self._files = list(self._splits.values())
        self._finders: dict[Path, ImageFinder] = {}

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return (
            bool(cls.files_in(path) or cls._split_folders(path)) if os.path.isdir(path) else path.suffix.lower() in cls.suffixes
        )

    @staticmethod
    def files_in(folder: Path) -> list:
        """The files of a data set in a folder, sorted; empty where there are none."""
        raise NotImplementedError

    @classmethod
    def _split_folders(cls, folder: Path) -> dict:
        """{split: file} of the folders that are named after a split and hold one file."""
        named = name_files(folders_in(folder))
        return {split: files[0] for split, path in named.items() if split_word(split) and len(files := cls.files_in(path)) == 1}

    def own_folders(self, file: Path) -> list:
        """The folder of a file, and that of the whole data set."""
        around = file.parent.parent if file.parent.name == "annotations" else file.parent
        return list(dict.fromkeys([file.parent, self.path if os.path.isdir(self.path) else around]))

    def finder(self, file: Path) -> ImageFinder:
        """Finds the images that a file names: from its folder on, or from the folders of its split or of images in there."""
        if file not in self._finders:
            split = next((split_word(name) for name, one in self._splits.items() if one == file), None)
            self._finders[file] = ImageFinder(
                [self.image_folder] if self.image_folder else image_folders(self.own_folders(file), split)
            )
        return self._finders[file]

    def places(self, file: Path, problems: list) -> Sequence:
        """Where each image is in a file."""
        raise NotImplementedError

    def splits(self) -> list:
        return list(self._splits)

    def items(self, split: str | None, problems: list) -> list:
        files, known = self._files if split is None else [self._splits[split]], len(problems)
        items = [(file, place) for file in files for place in self.places(file, problems)]
        if not items and not any(problem.severity == ERROR for problem in problems[known:]):
            raise EmptySplitError(f"{files[0]}: {self.empty}")
        return items


def image_folders(bases: list, split: str | None) -> list:
    """The folders that paths of images may start from, the most likely first."""
    found = []
    for base in bases:
        for place in (base, base / "images", base / "JPEGImages", base / "data"):
            inside = folders_in(place)
            of_split = [path for path in inside if (word_in(path.name) == split if split else path.name == UNDIVIDED)]
            found += [place, *of_split, *(path / "images" for path in of_split)]
    return [folder for folder in dict.fromkeys(found) if os.path.isdir(folder)] or bases
