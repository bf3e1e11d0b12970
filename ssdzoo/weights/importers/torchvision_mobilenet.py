"""torchvision's MobileNetV2 as MXNet's `mobilenetv2_1.0`.

MXNet's first bottleneck has an expansion, a 1x1 convolution with a BatchNorm and ReLU6. torchvision's has none, as in the paper
(Sandler et al. 2018, table 2: t = 1). It becomes an identity. Its input has gone through ReLU6, so
that another one changes nothing.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays

_EPS = 1e-5  # of the BatchNorms here and there
_BLOCKS = 17
_NORM = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # ours: torchvision's
_EXPANSION = ("features.3.out.0", "features.3.out.1")


def is_mobilenet_v2(names: Collection[str]) -> bool:
    """Whether these are names in a state dict of torchvision's MobileNetV2."""
    return "features.1.conv.0.0.weight" in names and "features.18.1.running_mean" in names


def _layers() -> dict:
    """{attribute path of a convolution or BatchNorm: torchvision's name} of all but the first expansion."""
    layers = {"features.0": "features.0.0", "features.1": "features.0.1"}
    for block in range(1, _BLOCKS + 1):
        ours, theirs = f"features.{block + 2}.out", f"features.{block}.conv"
        names = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if block > 1 else ["0.0", "0.1", "1", "2"]
        places = [0, 1, 3, 4, 6, 7][-len(names) :]
        layers.update({f"{ours}.{place}": f"{theirs}.{name}" for place, name in zip(places, names)})
    return {**layers, "features.20": "features.18.0", "features.21": "features.18.1"}


def _backbone(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    source, layers = CheckedArrays(path, arrays, "torchvision mobilenet_v2"), _layers()
    if (
        not all(re.sub(r"\.\w+$", "", name) in {*layers, *_EXPANSION} for name in wanted)
        or f"{_EXPANSION[0]}.weight" not in wanted
    ):
        first = next((name for name in wanted if name.rpartition(".")[0] not in layers), next(iter(wanted)))
        raise WeightsError(f"{path}: torchvision's mobilenet_v2, for mobilenetv2_1.0; this backbone has {first!r}")
    backbone = _identity(source)
    for target in wanted:
        layer, _, part = target.rpartition(".")
        if layer in layers:
            name = f"{layers[layer]}.{_NORM.get(part, part)}"
            backbone[target] = source.take(name, np.shape(arrays.get(name, ())))
    return backbone


def _identity(source: CheckedArrays) -> dict:
    """{attribute path: float32 array} of the first expansion.

    gamma (x - mean) / sqrt(variance + eps) + beta is x for every mean and variance, with beta = mean and gamma the root. They are
    those of the inputs, so that it is about an identity in a training too. The BatchNorm before makes them of its beta and gamma,
    and ReLU6 cuts them.
    """
    width = source.take("features.0.0.weight", (0, 3, 3, 3), rows=True).shape[:1]
    gamma, beta = source.take("features.0.1.weight", width), source.take("features.0.1.bias", width)
    normal, weights = np.polynomial.hermite_e.hermegauss(64)
    weights /= weights.sum()
    values = (beta + np.outer(normal, gamma)).clip(0, 6)
    mean = weights @ values
    variance = weights @ (values - mean) ** 2
    conv, norm = _EXPANSION
    arrays = {
        f"{conv}.weight": np.eye(len(gamma))[:, :, None, None], f"{norm}.gamma": np.sqrt(variance + _EPS),
        f"{norm}.beta": mean, f"{norm}.running_mean": mean, f"{norm}.running_var": variance,
    }  # fmt: skip
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


IMPORTER = BackboneImporter("torchvision's MobileNetV2", is_mobilenet_v2, _backbone)
