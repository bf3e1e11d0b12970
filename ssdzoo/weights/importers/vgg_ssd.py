"""The layers of the VGG-16 SSDs by attribute path, and how they are filled from a file that has other names for them. No mxnet
here."""

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.nn.vgg_spec import DILATED_CHANNELS, extra_spec, vgg_spec
from ssdzoo.weights.importers.imported import Source

# (stage, number in the stage) of conv1_1 to conv5_3, both from 1.
CONVOLUTIONS = [(stage, i) for stage, count in enumerate(vgg_spec[16][0], 1) for i in range(1, count + 1)]


def backbone_layers() -> dict:
    """{attribute path: shape of the weight} of the 15 convolutions from conv1_1 to conv7, in order."""
    layers, channels, widths = {}, 3, vgg_spec[16][1]
    for stage, i in CONVOLUTIONS:
        layers[f"stages.{stage - 1}.{2 * i - 2}"] = (widths[stage - 1], channels, 3, 3)
        channels = widths[stage - 1]
    layers["stages.5.0"] = (DILATED_CHANNELS, channels, 3, 3)
    return {**layers, "stages.5.2": (DILATED_CHANNELS, DILATED_CHANNELS, 1, 1)}


def extra_layers(size: int) -> dict:
    """{attribute path: shape of the weight} of the convolutions after conv7 for inputs of `size` (300, 512), in order."""
    layers, channels = {}, DILATED_CHANNELS
    for stage, convolutions in enumerate(extra_spec[size]):
        for i, (width, kernel, _, _) in enumerate(convolutions):
            layers[f"extras.{stage}.{2 * i}"] = (width, channels, kernel, kernel)
            channels = width
    return layers


def map_channels(size: int) -> list:
    """Channels of the feature maps, finest first."""
    return [vgg_spec[16][1][3], DILATED_CHANNELS] + [stage[-1][0] for stage in extra_spec[size]]


def take_layers(source: Source, layers: dict, names: list, parts=(".weight", ".bias")) -> dict:
    """{attribute path: array}: the weight and bias of each of `layers` (see `backbone_layers`) under the file's `names`."""
    arrays = {}
    for (path, shape), name in zip(layers.items(), names, strict=True):
        arrays[f"{path}.weight"] = source.take(name + parts[0], shape)
        arrays[f"{path}.bias"] = source.take(name + parts[1], shape[:1])
    return arrays


def take_ssd(source: Source, size: int, base: list, extras: list, norm: np.ndarray, class_heads: list, box_heads: list,
             ratios) -> dict:  # fmt: skip
    """Every parameter but the anchors of a VGG-16 SSD that is called with pixels less their mean, 0..255.

    Args:
        source: the file's arrays, convolutions as NAME.weight (out, in, H, W) and NAME.bias.
        size: 300 or 512.
        base, extras, class_heads, box_heads: the file's names for our layers, in order. The heads' channels go anchor by anchor,
            in the order of the anchors, as in Caffe.
        norm: (512,) scale of conv4_3's normalization.
        ratios: of the preset; they say how many anchors a pixel has.
    """
    layers = {**backbone_layers(), **extra_layers(size)}
    arrays = {f"features.{path}": array for path, array in take_layers(source, layers, base + extras).items()}
    # The pixels come without a division by std, so there is nothing to undo.
    arrays["features.init_scale"] = np.ones((1, 3, 1, 1), np.float32)
    arrays["features.norm4.scale"] = norm.reshape(1, 512, 1, 1)
    for i, (channels, ratio, classes, boxes) in enumerate(zip(map_channels(size), ratios, class_heads, box_heads, strict=True)):
        count = 4 * (len(ratio) + 1)
        for ours, name, rows, any_rows in (("class", classes, 0, True), ("box", boxes, count, False)):
            arrays[f"{ours}_predictors.{i}.predictor.weight"] = source.take(f"{name}.weight", (rows, channels, 3, 3), any_rows)
            arrays[f"{ours}_predictors.{i}.predictor.bias"] = source.take(f"{name}.bias", (rows,), any_rows)
    return arrays


def count_slots(source: Source, arrays: dict, ratios) -> int:
    """Outputs per anchor of the class heads, the background among them.

    Raises:
        WeightsError: the heads of different maps differ, or don't divide by their anchors.
    """
    slots = set()
    for i, ratio in enumerate(ratios):
        rows = {len(arrays[f"class_predictors.{i}.predictor.{part}"]) for part in ("weight", "bias")}
        slots |= {row / (len(ratio) + 1) for row in rows}
    if len(slots) > 1 or min(slots) < 2 or min(slots) % 1:
        raise WeightsError(f"{source.path}: {source.kind}: its class heads have {sorted(slots)} outputs per anchor")
    return int(slots.pop())
