"""Detectors of PyTorch as ours: amdegroot's ssd.pytorch and torchvision's ssd300_vgg16. No mxnet here, and torch for .pth alone.

All three order a pixel's anchors alike (the square, the square of the geometric mean, ratios 2, 1/2, 3, 1/3) and a head's
channels anchor by anchor, so that the heads are taken as they are.
"""

from dataclasses import replace

import numpy as np

from ssdzoo.boxes import anchor_grid, anchor_shapes
from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_tensors
from ssdzoo.preset import Preset
from ssdzoo.weights.importers.imported import Converted, Source, pick_classes, stored_anchors
from ssdzoo.weights.importers.vgg_ssd import CONVOLUTIONS, count_slots, take_ssd
from ssdzoo.zoo import find_preset

# Numbers below 91 that COCO gives to no class.
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

_MAPS = (38, 19, 10, 5, 3, 1)  # pixels of the feature maps at 300x300

# Where the convolutions lie in torchvision's list of VGG-16's layers; ssd.pytorch's is the same up to conv5_3.
FEATURES = [2 * n + stage - 1 for n, (stage, _) in enumerate(CONVOLUTIONS)]  # each has a ReLU, each stage a pooling


def read_ssd(path, classes=None) -> Converted:
    """A detector out of a `.pth`, `.pt` or `.safetensors` file, recognized by the names in it.

    Args:
        path: a state dict of `ssd.pytorch` SSD300 or of torchvision's `ssd300_vgg16`.
        classes: names of its classes, without the background, where they are not those of VOC or COCO.

    Raises:
        WeightsError: another network, a damaged file, or one that would run code.
        CallError: the number of `classes` is not that of the file.
        SSDZooError: a .pth without torch.
    """
    arrays = read_tensors(path)
    if "vgg.0.weight" in arrays:
        return _ssd_pytorch(Source(path, arrays, "ssd.pytorch SSD300"), classes)
    if "backbone.scale_weight" in arrays:
        return _torchvision(Source(path, arrays, "torchvision ssd300_vgg16"), classes)
    hint = ""
    if "classifier.0.weight" in arrays or "fc.weight" in arrays or "31.weight" in arrays:
        hint = "; it looks like a backbone: name it with --base-weights or pretrained_base="
    raise WeightsError(
        f"{path}: neither ssd.pytorch's SSD300 nor torchvision's ssd300_vgg16: its first array is {next(iter(arrays))!r}{hint}"
    )


def _ssd_pytorch(source: Source, classes) -> Converted:
    preset = find_preset("ssd_300_vgg16_atrous_voc")
    arrays = take_ssd(
        source,
        size=300,
        base=[f"vgg.{i}" for i in (*FEATURES, 31, 33)],
        extras=[f"extras.{i}" for i in range(8)],
        norm=source.take("L2Norm.weight", (512,)),
        class_heads=[f"conf.{i}" for i in range(6)],
        box_heads=[f"loc.{i}" for i in range(6)],
        ratios=preset.ratios,
    )
    source.finish(ignored=("priors",))
    preset = pick_classes(source, count_slots(source, arrays, preset.ratios) - 1, preset, classes)
    anchors = _anchors(preset, clip_centers=True)
    return Converted(
        {**arrays, **anchors},
        with_mean(preset, (123 / 255, 117 / 255, 104 / 255)),
        source.kind,
        ("it keeps 200 boxes of each class before suppression; here the best 400 of all classes go in and 100 come out",),
    )


def _torchvision(source: Source, classes) -> Converted:
    preset = find_preset("ssd_300_vgg16_atrous_coco")
    features = [f"backbone.features.{i}" for i in FEATURES[:10]]
    # conv5 follows a pooling layer in its block, conv6 and conv7 lie in a block within that.
    features += [f"backbone.extra.0.{i}" for i in (1, 3, 5)] + ["backbone.extra.0.7.1", "backbone.extra.0.7.3"]
    arrays = take_ssd(
        source,
        size=300,
        base=features,
        extras=[f"backbone.extra.{block}.{i}" for block in range(1, 5) for i in (0, 2)],
        norm=source.take("backbone.scale_weight", (512,)),
        class_heads=[f"head.classification_head.module_list.{i}" for i in range(6)],
        box_heads=[f"head.regression_head.module_list.{i}" for i in range(6)],
        ratios=preset.ratios,
    )
    source.finish()
    notes = ["it caps decoded widths and heights at 62.5 times the anchor's, and keeps 400 boxes of each class, 200 at the end"]
    slots = count_slots(source, arrays, preset.ratios)
    if slots == 91 and classes is None:
        arrays = {n: _without_gaps(a, 91) if n.startswith("class_") else a for n, a in arrays.items()}
        notes.append("scores are shares of 81 outputs, its own of 91, of which 10 stand for no class")
    else:
        preset = pick_classes(source, slots - 1, preset, classes)
    anchors = _anchors(preset, clip_centers=False)
    return Converted(
        {**arrays, **anchors}, with_mean(preset, (0.48235, 0.45882, 0.40784)), source.kind, tuple(notes)
    )  # fmt: skip


def with_mean(preset: Preset, mean) -> Preset:
    """The preset for pixels of which only the mean (0..1, RGB) is subtracted: the input is in 0..255, so std is 1/255."""
    return replace(preset, mean=mean, std=(1 / 255,) * 3)


def _without_gaps(head: np.ndarray, slots: int) -> np.ndarray:
    """Rows of a class head (A * slots, ...) of the background and COCO's 80 classes."""
    kept = [i for i in range(slots) if i not in _COCO_GAPS]
    return head.reshape(-1, slots, *head.shape[1:])[:, kept].reshape(-1, *head.shape[1:])


def _anchors(preset: Preset, clip_centers: bool) -> dict:
    """The preset's anchors, of which both projects limit width and height to the input; ssd.pytorch the center as well."""
    maps = []
    for i, (cells, step, ratios) in enumerate(zip(_MAPS, preset.steps, preset.ratios)):
        size, following = preset.sizes[i : i + 2]
        shapes = anchor_shapes(size, np.sqrt(size * following), ratios)
        anchors = anchor_grid(shapes.clip(0, 300), (step, step), (0.5, 0.5), (cells, cells))
        if clip_centers:
            anchors[..., :2] = anchors[..., :2].clip(0, 300)
        maps.append(anchors)
    return stored_anchors(maps, preset.steps)
