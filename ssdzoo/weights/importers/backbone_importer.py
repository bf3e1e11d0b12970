"""What the importers of backbones have in common."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple


class BackboneImporter(NamedTuple):
    """Reads the backbones of one origin.

    Attributes:
        origin: whose networks these are, such as "torchvision's ResNets". Errors list it.
        recognizes: whether the arrays of a file, {name: array}, are of this origin.
        backbone: {attribute path: float32 array} from the path of the file, its arrays, and the attribute paths of the backbone's
            parameters. Raises a WeightsError where the file is of another network than the backbone.
    """

    origin: str
    recognizes: Callable[[dict], bool]
    backbone: Callable[[str | Path, dict, Collection[str]], dict]
