"""Layers of other projects for networks of MXNet's model zoo: what they do otherwise is folded into their numbers."""

import re
from collections.abc import Collection, Sequence

import numpy as np

from ssdzoo.preset import IMAGENET_STD
from ssdzoo.weights.importers.vgg16 import fold_input

_EPS = 1e-5  # of MXNet's BatchNorm


def fold_norm(convolution: str, norm: Sequence[np.ndarray], eps: float, bias: np.ndarray) -> dict:
    """{attribute path: float32 array (C,)} of an MXNet BatchNorm that does what another does behind a convolution with a bias.

    This is exact while the BatchNorm uses its stored mean and variance. In a training it uses the batch's, with an eps of 1e-5.

    Args:
        convolution: attribute path of the convolution; that of the BatchNorm ends in the next number.
        norm: gamma, beta, mean and variance of the other BatchNorm, each (C,).
        eps: of the other BatchNorm, at least 1e-5.
        bias: (C,) of the convolution; MXNet's has none.
    """
    gamma, beta, mean, variance = norm
    folded = {"gamma": gamma, "beta": beta, "running_mean": mean - bias, "running_var": variance + (eps - _EPS)}
    block, _, number = convolution.rpartition(".")
    return {f"{block}.{int(number) + 1}.{part}": np.asarray(array, np.float32) for part, array in folded.items()}


def fold_pixels(weight: np.ndarray, mean: tuple, std: tuple = (1, 1, 1), bgr: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The first convolution for pixels that are normalized by ImageNet's mean and std, from one for (pixel - mean) / std.

    Args:
        weight: (C, 3, H, W): outputs, channels, rows, columns.
        mean, std: of the pixels that it was trained with, 0..255, in the order RGB.
        bgr: its input channels are in the order BGR.

    Returns:
        Its weight (C, 3, H, W), and what is to be added to its outputs, (C,). Both are float32. Another mean is exact except
        where the kernel covers padding: see `ssdzoo.weights.importers.vgg16.fold_input`.
    """
    weight, bias = fold_input(weight, np.zeros(len(weight)), mean, std, bgr)
    return (weight * (255 * np.reshape(IMAGENET_STD, (1, 3, 1, 1)))).astype(np.float32), bias


def mobilenet_layers(wanted: Collection[str]) -> list[str] | None:
    """Attribute paths of the convolutions of MXNet's MobileNet in their order; None where `wanted` are paths of another network.

    The BatchNorm of `features.N` is `features.N+1`.
    """
    found = [re.fullmatch(r"features\.(\d+)\.(weight|gamma|beta|running_mean|running_var)", path) for path in wanted]
    if not found or not all(m and (m[2] == "weight") == (int(m[1]) % 3 == 0) for m in found):
        return None
    return [f"features.{n}" for n in sorted({int(m[1]) for m in found if m and m[2] == "weight"})]
