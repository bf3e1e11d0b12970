"""A detector from another project, and what the importers share to make one: its classes, pixels and anchors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssdzoo.boxes import anchor_grid, anchor_shapes
from ssdzoo.errors import CallError
from ssdzoo.files import write_text
from ssdzoo.formats.params_file import write_params
from ssdzoo.preset import Preset
from ssdzoo.weights.importers.checked_arrays import CheckedArrays

CAFFE_MEAN = (123, 117, 104)  # RGB, 0..255: of Caffe's VGG-16 and the projects that took over its weights
_MAPS_300 = (38, 19, 10, 5, 3, 1)  # H and W of the feature maps of an SSD300 on VGG-16


@dataclass(frozen=True)
class ImportedDetector:
    """A detector of another project as a model of ssdzoo.

    Attributes:
        arrays: {attribute path: float32 array} of every parameter, the anchors among them.
        preset: the model, with its classes and the mean and std of its pixels.
        origin: what it was, such as "torchvision ssd300_vgg16".
        notes: sentences about where detections may differ from the original's although the head outputs are equal.
    """

    arrays: dict
    preset: Preset
    origin: str
    notes: tuple = ()

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Writes NAME.params, and its table NAME.toml beside it. `ssdzoo.load("NAME.params")` reads both.

        Args:
            path: NAME.params.

        Returns:
            Both paths.

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


def with_mean(preset: Preset, mean: Sequence[float] | np.ndarray) -> Preset:
    """The preset for a network that takes pixels 0..255 less their `mean` (RGB, 0..1). So std is 1/255."""
    return replace(preset, mean=tuple(mean), std=(1 / 255,) * 3)


def pick_classes(source: CheckedArrays, count: int, preset: Preset, classes: list | None = None) -> Preset:
    """The preset for the `count` classes of a file.

    Raises:
        CallError: a wrong number of `classes`, or none although the preset's own classes are not `count`.
    """
    if classes is None and count == len(preset.classes or ()):
        return preset
    found = f"{source.path}: {source.origin} of {count} classes"
    if classes is None:
        raise CallError(f"{found}: name them with classes=[...], in the order of its heads")
    if len(classes) != count:
        raise CallError(f"{found}, but {len(classes)} names are given")
    return preset.with_classes(classes)


def limited_anchors(preset: Preset, limit_centers: bool) -> dict:
    """`stored_anchors` of an SSD300 on VGG-16 whose widths and heights are limited to the input: ssd.pytorch and torchvision.

    Args:
        preset: gives sizes, ratios and steps.
        limit_centers: limits the centers too, as ssd.pytorch does.
    """
    maps, steps = [], preset.steps or ()
    for i, (cells, step, ratios) in enumerate(zip(_MAPS_300, steps, preset.ratios)):
        size, following = preset.sizes[i : i + 2]
        shapes = anchor_shapes(size, np.sqrt(size * following), ratios)
        anchors = anchor_grid(shapes.clip(0, 300), (step, step), (0.5, 0.5), (cells, cells))
        if limit_centers:
            anchors[..., :2] = anchors[..., :2].clip(0, 300)
        maps.append(anchors)
    return stored_anchors(maps, steps)


def stored_anchors(maps: list, steps: Sequence) -> dict:
    """{attribute path: (1, 1, H, W, 4 * A) float32} of a network's anchors, for grids of 128, 64, 32, 16, 16, ... cells.

    Args:
        maps: for each feature map at the preset's input size its anchors (H, W, A, 4): center x, center y, width, height, in
            pixels.
        steps: for each feature map the distance of the centers, in pixels. With it the grid goes on beyond the feature map, for
            larger inputs.
    """
    arrays = {}
    for i, (anchors, step) in enumerate(zip(maps, steps)):
        height, width, count, _ = anchors.shape
        alloc = max(128 >> i, 16)
        grid = anchor_grid(anchors[0, 0, :, 2:], (step, step), (0.5, 0.5), (alloc, alloc))
        grid[:height, :width] = anchors
        arrays[f"anchor_generators.{i}.anchors"] = grid.reshape(1, 1, alloc, alloc, 4 * count).astype(np.float32)
    return arrays
