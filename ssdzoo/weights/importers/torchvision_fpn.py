"""torchvision's ResNet-FPN, alone or in a detector, as a `ResNetFPN`."""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.torchvision_resnet import resnet_backbone

_BODY = re.compile(r"^(?:backbone\.)?body\.")
# inner_blocks.0.0.weight; inner_blocks.0.weight in files written before torchvision 0.13.
_BLOCK = re.compile(r"^(?:backbone\.)?fpn\.(inner|layer|extra)_blocks\.p?(\d+)\.(?:0\.)?(weight|bias)$")
_EPS = 1e-5  # of the BatchNorms here
_KINDS = {"lateral": "inner", "smooth": "layer", "extra": "extra"}  # ours: torchvision's


def is_fpn(names: Collection[str]) -> bool:
    """Whether these are names of torchvision's ResNet-FPN or of a detector on it."""
    return any(_BODY.match(name) for name in names) and any(_BLOCK.match(name) for name in names)


def _backbone(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    body = {_BODY.sub("", name): array for name, array in arrays.items() if _BODY.match(name)}
    backbone = resnet_backbone(path, body, wanted)
    frozen = not any(name.endswith("num_batches_tracked") for name in body)
    return _without_eps(backbone) if frozen else backbone


def _without_eps(backbone: dict) -> dict:
    """The backbone for a file whose frozen batch norms divide by sqrt(variance), as torchvision's published detectors do.

    Those here divide by sqrt(variance + 1e-5). The difference goes into the variance, and where it is too small for that, into
    gamma.
    """
    for name in [name for name in backbone if name.endswith(".running_var")]:
        gamma, variance = name.replace(".running_var", ".gamma"), backbone[name].astype(np.float64)
        reduced = np.maximum(variance - _EPS, 0)
        factor = np.sqrt((reduced + _EPS) / np.where(variance > 0, variance, reduced + _EPS))
        backbone[name], backbone[gamma] = reduced.astype(np.float32), (backbone[gamma] * factor).astype(np.float32)
    return backbone


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
    blocks = [(block[1], int(block[2]), block[3], name) for name in arrays if (block := _BLOCK.match(name))]
    names = {(kind, number, part): name for kind, number, part, name in blocks}
    levels = {int(np.shape(arrays[name])[1]): i for kind, i, part, name in blocks if (kind, part) == ("inner", "weight")}
    first_extra = min((number for kind, number, _, _ in blocks if kind == "extra"), default=None)
    source, found = CheckedArrays(path, arrays, "torchvision ResNet-FPN"), {}
    for target, shape in wanted.items():
        kind, index, part = target.split(".")
        if kind == "extra":
            if first_extra is None:
                continue
            number = first_extra + int(index)
        else:
            channels = wanted[f"lateral.{index}.weight"][1]
            if channels not in levels:
                raise WeightsError(f"{path}: its pyramid stands on stages of {sorted(levels)} channels, not on one of {channels}")
            number = levels[channels]
        name = names.get((_KINDS[kind], number, part))
        if name is None:
            what = f"a counterpart of {target} {tuple(shape)}"
            raise WeightsError(f"{path}: {source.origin} without {what}; is the file complete?")
        found[target] = source.take(name, tuple(shape))
    return found


IMPORTER = BackboneImporter("torchvision's ResNet-FPN", is_fpn, _backbone)
