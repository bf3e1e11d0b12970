"""A small network that looks trained, images for it, and its exported files."""

from pathlib import Path

import numpy as np

from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.export.symbol import export_model
from ssdzoo.zoo import find_preset
from tests.export.onnx.models import trained_looking

PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])
_RNG = np.random.default_rng(0)
IMAGES = [_RNG.integers(0, 256, (90 + 30 * i, 200, 3), np.uint8) for i in range(5)]
_BATCH = _RNG.normal(size=(4, 3, 300, 300)).astype(np.float32)


def export_small(folder: Path):
    """Writes the pair `pair` and `float.onnx`, for images of 300x300 pixels; returns the network."""
    net = trained_looking(PRESET.name, _BATCH)
    export_model(net, PRESET, folder / "pair")
    export_onnx(folder / "pair", folder / "float.onnx")
    return net
