"""torchvision's ResNet-FPN, alone or in a detector, as a `ResNetFPN`."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.weights.importers.checked_arrays import CheckedArrays

_BODY = re.compile(r"^(?:backbone\.)?body\.")
# inner_blocks.0.0.weight; inner_blocks.0.weight in files written before torchvision 0.13.
_BLOCK = re.compile(r"^(?:backbone\.)?fpn\.(inner|layer)_blocks\.(\d+)\.(?:0\.)?(weight|bias)$")
_EXTRA = re.compile(r"^(?:backbone\.)?fpn\.extra_blocks\.p(\d+)\.(weight|bias)$")


def is_fpn(names: Collection[str]) -> bool:
    """Whether these are names of torchvision's ResNet-FPN or of a detector on it."""
    return any(_BODY.match(name) for name in names) and any(_BLOCK.match(name) for name in names)


def body_names(arrays: dict) -> dict:
    """The arrays of the ResNet, under the names of the classifier."""
    return {_BODY.sub("", name): array for name, array in arrays.items() if _BODY.match(name)}


def pyramid(path: str | Path, arrays: dict, wanted: dict) -> dict:
    """{attribute path: float32 array} of the pyramid's convolutions.

    Stages are recognized by their channels. Where the file has no extra convolutions, the result has none either: Faster R-CNN
    has a pooling there.

    Args:
        path: the file that `arrays` came from.
        arrays: torchvision's state dict.
        wanted: {attribute path of a `ResNetFPN`: shape}: `lateral.0.weight`, `smooth.0.weight`, `extra.0.weight` and so on.

    Raises:
        WeightsError: a stage that the file lacks, or another shape.
    """
    sides: dict[str, dict] = {"inner": {}, "layer": {}}
    extras = []
    for name in arrays:
        if block := _BLOCK.match(name):
            sides[block[1]][int(block[2]), block[3]] = name
        elif extra := _EXTRA.match(name):
            extras.append((int(extra[1]), extra[2], name))
    levels = {int(np.shape(arrays[name])[1]): i for (i, part), name in sides["inner"].items() if part == "weight"}
    first = min((number for number, _, _ in extras), default=0)
    more = {(number - first, part): name for number, part, name in extras}
    source, found = CheckedArrays(path, arrays, "torchvision ResNet-FPN"), {}
    for target, shape in wanted.items():
        kind, index, part = target.split(".")
        if kind == "extra":
            if more:
                found[target] = _take(source, more.get((int(index), part)), target, shape)
            continue
        channels = wanted[f"lateral.{index}.weight"][1]
        if channels not in levels:
            raise WeightsError(f"{path}: its pyramid stands on stages of {sorted(levels)} channels, not on one of {channels}")
        names = sides["inner" if kind == "lateral" else "layer"]
        found[target] = _take(source, names.get((levels[channels], part)), target, shape)
    return found


def _take(source: CheckedArrays, name: str | None, target: str, shape: Sequence[int]) -> np.ndarray:
    if name is None:
        raise WeightsError(
            f"{source.path}: {source.origin} without a counterpart of {target} {tuple(shape)}; is the file complete?"
        )
    return source.take(name, tuple(shape))
