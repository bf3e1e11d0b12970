"""A VGG-16 SSD300 as the state dict of torchvision's `ssd300_vgg16`: `ssdzoo.weights.importers.torchvision_ssd` turned round.

`torchvision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=...)` loads it with its own defaults,
so what differs here goes into the weights:

- Its convolutions take (pixel - mean) * 255 of RGB in 0..1, with a mean of its own. Another scale goes into the weights of the
  first convolution, exactly; another mean into its bias, exactly but for the outermost pixels, where padding stands for the mean.
- Its anchors have COCO's sizes, and are no larger than the image. Other shapes go into the box heads, exactly: the offsets of an
  anchor are linear in the ratio of the widths, and in its logarithm.
- The models of COCO's classes have 91 slots. In those that stand for no class, the bias makes a score of 0.
"""

import numpy as np

from ssdzoo.errors import ExportError
from ssdzoo.formats.graph_heads import STDS
from ssdzoo.preset import Preset
from ssdzoo.weights.importers.imported_detector import limited_anchors
from ssdzoo.weights.importers.torchvision_ssd import BACKBONE, BOX_HEADS, CLASS_HEADS, COCO_GAPS, COCO_SLOTS, EXTRAS, MEAN, SCALE
from ssdzoo.weights.importers.vgg_layers import backbone_layers, extra_layers
from ssdzoo.zoo import find_preset

_NOTHING = -1e4  # the logit of a slot that stands for no class


def torchvision_arrays(arrays: dict, preset: Preset, source: str) -> dict:
    """{torchvision's name: float32 array} of a detector.

    Args:
        arrays: {attribute path: array} of all its parameters.
        preset: its Preset, with its classes.
        source: of the arrays, for messages.

    Raises:
        ExportError: not a VGG-16 SSD300 with torchvision's layers and anchor centers.
    """
    coco = find_preset("ssd_300_vgg16_atrous_coco")
    if (preset.backbone, preset.base_size, preset.ratios, preset.dilation) != ("vgg16_atrous", (300, 300), coco.ratios, None):
        raise ExportError(f"{source}: {preset.name} is no ssd_300_vgg16_atrous, the one SSD of torchvision that is written")
    theirs = dict(
        zip(BACKBONE + EXTRAS, (f"features.{path}" for path in {**backbone_layers(), **extra_layers(300)}), strict=True)
    )
    for i, (class_head, box_head) in enumerate(zip(CLASS_HEADS, BOX_HEADS)):
        theirs |= {class_head: f"class_predictors.{i}.predictor", box_head: f"box_predictors.{i}.predictor"}
    found = {
        f"{n}.{part}": np.asarray(arrays[f"{path}.{part}"], np.float32)
        for n, path in theirs.items()
        for part in ("weight", "bias")
    }
    _fit_pixels(found, arrays["features.init_scale"], preset)
    for i, name in enumerate(BOX_HEADS):
        anchors = f"anchor_generators.{i}.anchors"
        _fit_anchors(found, name, np.asarray(arrays[anchors]), limited_anchors(coco, limit_centers=False)[anchors], source)
    if preset.classes == coco.classes:
        for name in CLASS_HEADS:
            found |= {
                f"{name}.weight": _with_gaps(found[f"{name}.weight"], 0),
                f"{name}.bias": _with_gaps(found[f"{name}.bias"], _NOTHING),
            }
    return {SCALE: np.asarray(arrays["features.norm4.scale"], np.float32).reshape(512), **found}


def _fit_pixels(found: dict, scale: np.ndarray, preset: Preset) -> None:
    """Makes the first convolution one for torchvision's pixels."""
    slope = np.asarray(scale, np.float64).ravel() / preset.std  # of the convolution's input over pixels 0..1
    weight, bias = (f"{BACKBONE[0]}.{part}" for part in ("weight", "bias"))
    shift = slope * np.subtract(MEAN, preset.mean)
    if np.any(shift):
        found[bias] = (found[bias] + np.einsum("ocij,c->o", found[weight].astype(np.float64), shift)).astype(np.float32)
    if not np.allclose(slope, 255, rtol=1e-6):
        found[weight] = (found[weight] * (slope / 255).reshape(1, 3, 1, 1)).astype(np.float32)


def _fit_anchors(found: dict, name: str, ours: np.ndarray, theirs: np.ndarray, source: str) -> None:
    """Makes a box head one for torchvision's anchors; both are (1, 1, H, W, 4 * A)."""
    height, width = (min(a, b) for a, b in zip(ours.shape[2:4], theirs.shape[2:4]))
    ours, theirs = (a[0, 0, :height, :width].reshape(height, width, -1, 4).astype(np.float64) for a in (ours, theirs))
    if ours.shape != theirs.shape or not np.allclose(ours[..., :2], theirs[..., :2], atol=1e-3):
        raise ExportError(f"{source}: the centers of its anchors are not torchvision's")
    if np.array_equal(ours[0, 0], theirs[0, 0]):
        return
    ratio = ours[0, 0, :, 2:] / theirs[0, 0, :, 2:]  # (A, 2) of widths and of heights
    factor = np.concatenate([ratio, np.ones_like(ratio)], 1).ravel()
    shift = np.concatenate([np.zeros_like(ratio), np.log(ratio) / STDS[2:]], 1).ravel()
    weight, bias = f"{name}.weight", f"{name}.bias"
    found[weight] = (found[weight] * factor.reshape(-1, 1, 1, 1)).astype(np.float32)
    found[bias] = (found[bias] * factor + shift).astype(np.float32)


def _with_gaps(head: np.ndarray, value: float) -> np.ndarray:
    """The channels of a class head of COCO's 80 classes, (A * 81, ...), with the slots for no class: (A * 91, ...)."""
    kept = [slot for slot in range(COCO_SLOTS) if slot not in COCO_GAPS]
    filled = np.full((len(head) // len(kept), COCO_SLOTS, *head.shape[1:]), value, np.float32)
    filled[:, kept] = head.reshape(-1, len(kept), *head.shape[1:])
    return filled.reshape(-1, *head.shape[1:])
