"""What the reader of a format has to provide. `recognize.py` lists the readers."""

from pathlib import Path
from typing import Any

from ssdzoo.data.formats.annotation import ImageAnnotation
from ssdzoo.data.formats.columns import Columns
from ssdzoo.data.record import Problem


class Reader:
    """A data set of one format. What is wrong with the whole raises a DataError; what is wrong with one image or object becomes a
    Problem, and reading goes on.

    Attributes:
        path: a file or a folder, as the user gave it.
        format: name of the format.
        layout: what a user may name, in words of an error: "expected LAYOUT, ...".
        undivided: words of the message about an unknown split where the data set has no splits of its own.
        takes_image_folder: whether the files name their images by paths, so that a user may say where these lie.
        image_folder: the folder that the user said for them, or None.
    """

    format = ""
    layout = ""
    undivided = "without files for its splits"
    takes_image_folder = False
    image_folder: Path | None = None

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Whether a file or a folder is a data set of this format. Looks at names, and into a few files at most."""
        raise NotImplementedError

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        """What a file or a folder that is not recognized lacks, in words of an error: "x.csv begins with 'a,b'; expected ...".
        None where nothing in it looks like this format."""
        return None

    @property
    def nameless(self) -> bool:
        """Whether the files hold class ids without names, so that any list of names fits them."""
        return False

    def splits(self) -> list:
        """Names of the splits; empty where the data set has none, and its splits are drawn."""
        raise NotImplementedError

    def class_names(self, problems: list) -> list:
        """Names of all classes, over all splits, in the order of their ids."""
        raise NotImplementedError

    def items(self, split: str | None, problems: list) -> list:
        """Arguments of `annotation`, one for each image of a split, or of the whole data set for None; in a fixed order.

        They are hashable, and equal ones are read once.
        """
        raise NotImplementedError

    def annotation(self, item: Any) -> ImageAnnotation | Problem:
        """One image's annotation, or why it cannot be read."""
        raise NotImplementedError

    def columns(self, items: list, ids: dict) -> Columns | None:
        """The annotations of several items at once, where the format can give them without making objects; None where not.

        Args:
            ids: class id of each name.
        """
        return None
