"""Arrays of a file from another project, checked one by one as they are taken."""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError


class CheckedArrays:
    """The arrays of another project's file. Each is checked when it is taken.

    Args:
        path: the file; every error names it.
        arrays: {name: array}.
        origin: what the file was recognized as, such as "torchvision ssd300_vgg16".
    """

    def __init__(self, path: str | Path, arrays: dict, origin: str):
        self.path, self.origin = path, origin
        self._arrays = arrays
        self._left = dict.fromkeys(arrays)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def error(self, what: str) -> WeightsError:
        """What is wrong with the file, as an error that names it."""
        return WeightsError(f"{self.path}: {self.origin}: {what}")

    def shape(self, name: str) -> tuple:
        """The shape of the array `name`; () where there is none."""
        return np.shape(self._arrays[name]) if name in self else ()

    def take(self, name: str, shape: tuple, rows: bool = False, pick: Callable | None = None) -> np.ndarray:
        """The array `name`, float32.

        Args:
            shape: its expected shape.
            rows: the first axis may have any length.
            pick: function from the array to the part that is used, transposed if need be. Only this part is checked for values
                that are not finite.

        Raises:
            WeightsError: missing, of another shape or type, or with values that are not finite.
        """
        if name not in self._arrays:
            what = f"{name!r} {shape}" if shape else repr(name)
            raise WeightsError(f"{self.path}: {self.origin} without {what}; is the file complete?")
        self._left.pop(name, None)
        array = np.asarray(self._arrays[name])
        if array.shape != shape and not (rows and array.shape[1:] == shape[1:] and array.ndim == len(shape)):
            wanted = str(("any", *shape[1:])).replace("'", "") if rows else shape
            raise self.error(f"{name!r} is {array.shape}; expected {wanted}")
        if array.dtype.kind != "f":
            raise self.error(f"{name!r} is {array.dtype}; expected floating point")
        array = np.array(array if pick is None else pick(array), np.float32, order="C")
        if not np.isfinite(array).all():
            raise self.error(f"{name!r} holds values that are not finite")
        return array

    def finish(self, ignored: Collection[str] = ()) -> None:
        """Refuses a file with arrays that were not taken, other than those in `ignored`.

        Raises:
            WeightsError: names the first one.
        """
        left = [name for name in self._left if name not in ignored]
        if left:
            shape = np.shape(self._arrays[left[0]])
            raise WeightsError(f"{self.path}: not a {self.origin}: {left[0]!r} {shape} has no place in it")
