"""A data set whose splits are annotation files: what the readers of COCO's json, of RecordIO and of tables share."""

from collections.abc import Sequence
from pathlib import Path

from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.splits import EmptySplitError, name_files
from ssdzoo.data.record import ERROR


class FilesReader(Reader):
    """A file, or a folder with one for each split; items are (file, place in it).

    Attributes:
        suffixes: of the files, in lower case.
        prefix: what may stand before the split in their names.
        empty: words of the error about a file without images.
    """

    suffixes: tuple = ()
    prefix = ""
    empty = "lists no images"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._files = self.files_in(self.path) if self.path.is_dir() else [self.path]
        self._splits = name_files(self._files, self.prefix)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return bool(cls.files_in(path)) if path.is_dir() else path.suffix.lower() in cls.suffixes

    @staticmethod
    def files_in(folder: Path) -> list:
        """The files of a data set in a folder, sorted; empty where there are none."""
        raise NotImplementedError

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
