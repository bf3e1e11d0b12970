"""shicai's Caffe MobileNet, an ImageNet classifier, as MXNet's `mobilenet1.0`."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.weights.importers.backbone_importer import BackboneImporter
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.folded_layers import fold_norm, fold_pixels, mobilenet_layers

# By stage, the outputs of each pair of a depthwise and a pointwise convolution: conv2_1 and so on. conv6 is one pair.
_STAGES = {2: (64, 128), 3: (128, 256), 4: (256, 512), 5: (512, 512, 512, 512, 512, 1024)}
_PAIRS = {f"conv{stage}_{i}": width for stage, widths in _STAGES.items() for i, width in enumerate(widths, 1)}

_MEAN = (123.68, 116.78, 103.94)  # RGB; its pixels are BGR
_STD = (1 / 0.017,) * 3
_EPS = 1e-5


def _layers() -> dict:
    """{layer: shape of its weight} of the convolutions, in order."""
    layers, channels = {"conv1": (32, 3, 3, 3)}, 32
    for name, width in {**_PAIRS, "conv6": 1024}.items():
        layers[f"{name}/dw"], layers[f"{name}/sep"] = (channels, 1, 3, 3), (width, channels, 1, 1)
        channels = width
    return layers


def _recognizes(arrays: dict) -> bool:
    return {"conv1.weight", "conv2_1/dw.weight"} <= arrays.keys()


def _backbone(path: str | Path, arrays: dict, wanted: Collection[str]) -> dict:
    convolutions = mobilenet_layers(wanted)
    if convolutions is None:
        first = next(iter(wanted))
        raise WeightsError(f"{path}: Caffe's MobileNet, for the backbone mobilenet1.0; this backbone begins with {first!r}")
    source, backbone = CheckedArrays(path, arrays, "Caffe MobileNet"), {}
    for conv, (name, shape) in zip(convolutions, _layers().items()):
        weight, shift, width = source.take(f"{name}.weight", shape), np.zeros(shape[0]), shape[:1]
        if name == "conv1":
            weight, shift = fold_pixels(weight, _MEAN, _STD, bgr=True)
        # Caffe stores sums of means and variances, and how many there are.
        total = source.take(f"{name}/bn.factor", (1,))[0] or 1
        mean, variance = (source.take(f"{name}/bn.{part}", width) / total for part in ("mean", "variance"))
        scale = (source.take(f"{name}/scale.{part}", width) for part in ("weight", "bias"))
        backbone[f"{conv}.weight"] = weight
        backbone.update(fold_norm(conv, [*scale, mean, variance], _EPS, shift))
    return backbone


IMPORTER = BackboneImporter("Caffe's MobileNet (shicai)", _recognizes, _backbone)
