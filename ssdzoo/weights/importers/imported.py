"""What imports from other frameworks share: checked arrays on the way in, a model's files on the way out. No mxnet here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssdzoo.boxes import anchor_grid
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.files import write_text
from ssdzoo.formats.params_file import write_params
from ssdzoo.preset import Preset


@dataclass(frozen=True)
class Converted:
    """A detector from elsewhere as one of ours.

    Args:
        arrays: {attribute path: float32 array}: every parameter, the anchors among them.
        preset: the model, with its classes and the mean and std of its pixels.
        source: what it was, such as "torchvision ssd300_vgg16".
        notes: sentences about where detections may differ from the original's although the raw outputs are equal.
    """

    arrays: dict
    preset: Preset
    source: str
    notes: tuple = ()

    def save(self, path) -> tuple:
        """Writes NAME.params and NAME.toml beside it, and returns both paths; load them with
        `ssdzoo.load("NAME.toml", weights="NAME.params")`.

        Raises:
            CallError: `path` does not end in .params.
        """
        params = Path(path)
        if params.suffix != ".params":
            raise CallError(f"{params}: expected a file name that ends in .params")
        table = params.with_suffix(".toml")
        write_params(params, self.arrays)
        write_text(table, self.preset.to_toml())
        return params, table


class Source:
    """The arrays of a file from elsewhere, which are taken out one by one and checked.

    Args:
        path: the file; every error names it.
        arrays: {name: array}.
        kind: what the file was recognized as.
    """

    def __init__(self, path, arrays: dict, kind: str):
        self.path, self.kind = path, kind
        self._arrays = arrays
        self._left = dict.fromkeys(arrays)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str, shape: tuple, rows: bool = False, pick=None) -> np.ndarray:
        """The array `name`, float32.

        Args:
            shape: what it must be.
            rows: the first axis may have any length.
            pick: a function that cuts or turns the array before its values are looked at.

        Raises:
            WeightsError: missing, of another shape or type, or with values that are not finite.
        """
        if name not in self._arrays:
            raise WeightsError(f"{self.path}: {self.kind} without {name!r} {shape}; is the file complete?")
        self._left.pop(name, None)
        array = np.asarray(self._arrays[name])
        if array.shape != shape and not (rows and array.shape[1:] == shape[1:] and array.ndim == len(shape)):
            wanted = str(("any", *shape[1:])).replace("'", "") if rows else shape
            raise WeightsError(f"{self.path}: {self.kind}: {name!r} is {array.shape}; expected {wanted}")
        if array.dtype.kind != "f":
            raise WeightsError(f"{self.path}: {self.kind}: {name!r} is {array.dtype}; expected floating point")
        array = np.array(array if pick is None else pick(array), np.float32, order="C")
        if not np.isfinite(array).all():
            raise WeightsError(f"{self.path}: {self.kind}: {name!r} holds values that are not finite")
        return array

    def finish(self, ignored=()) -> None:
        """Refuses a file of which something was not taken, but for the names in `ignored`.

        Raises:
            WeightsError: names the first one.
        """
        left = [name for name in self._left if name not in ignored]
        if left:
            raise WeightsError(
                f"{self.path}: not a {self.kind}: {left[0]!r} {np.shape(self._arrays[left[0]])} has no place in it"
            )


def pick_classes(source: Source, count: int, preset: Preset, classes=None) -> Preset:
    """The preset with the classes of a file whose heads have `count` of them.

    Raises:
        CallError: `classes` are not as many, or are needed and not given.
    """
    if classes is None and count == len(preset.classes):
        return preset
    if classes is None:
        raise CallError(
            f"{source.path}: {source.kind} of {count} classes: name them with classes=[...], in the order of its heads"
        )
    if len(classes) != count:
        raise CallError(f"{source.path}: {source.kind} of {count} classes, but {len(classes)} names are given")
    return preset.with_classes(classes)


def stored_anchors(maps: list, steps) -> dict:
    """{attribute path: (1, 1, alloc H, alloc W, 4 * A) float32} of a network's anchors.

    Args:
        maps: for each feature map at the size of the preset its anchors (H, W, A, 4), center form, pixels.
        steps: for each map the distance of the centers, in pixels. The grid goes on beyond the map, for larger inputs.
    """
    arrays = {}
    for i, (anchors, step) in enumerate(zip(maps, steps)):
        height, width, count, _ = anchors.shape
        alloc = max(128 >> i, 16)
        grid = anchor_grid(anchors[0, 0, :, 2:], (step, step), (0.5, 0.5), (alloc, alloc))
        grid[:height, :width] = anchors
        arrays[f"anchor_generators.{i}.anchors"] = grid.reshape(1, 1, alloc, alloc, 4 * count).astype(np.float32)
    return arrays
