"""Caffe's detectors: weiliu89's SSD on VGG-16 and chuanqi305's MobileNet-SSD."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.boxes import corner_to_center
from ssdzoo.errors import WeightsError
from ssdzoo.formats.caffemodel import read_caffemodel
from ssdzoo.formats.prototxt import read_prototxt
from ssdzoo.nn.vgg_spec import extra_spec
from ssdzoo.preset import Preset
from ssdzoo.quote import short
from ssdzoo.weights.importers.caffe_layers import layers_of, map_sizes, prior_boxes
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.imported_detector import CAFFE_MEAN, ImportedDetector, pick_classes, stored_anchors, with_mean
from ssdzoo.weights.importers.vgg_layers import CONVOLUTIONS, count_slots, take_heads, take_ssd
from ssdzoo.zoo import find_preset

_MOBILENET_MAPS = ("conv11", "conv13", "conv14_2", "conv15_2", "conv16_2", "conv17_2")
_MOBILENET_WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)  # of conv1 to conv13
_MOBILENET_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))  # of conv14_1 and conv14_2 to conv17_1 and conv17_2
_EPS = 1e-5  # of a backbone's BatchNorm, and of Caffe's
_APPENDED_EPS = 1e-3


def read_caffe(caffemodel: str | Path, prototxt: str | Path | None = None, classes: list | None = None) -> ImportedDetector:
    """A detector from a `.caffemodel` and its `.prototxt`, recognized by the names of the layers.

    Args:
        caffemodel: weights of weiliu89's SSD300 or SSD512 on VGG-16, or of chuanqi305's MobileNet-SSD, with batch norms or with
            these merged into the convolutions.
        prototxt: its layers, preferably the deploy.prototxt. By default the file of the same name, else the only one in the
            folder.
        classes: names of its classes, without the background, where they are not those of VOC or COCO.

    Raises:
        WeightsError: one of the files is missing or damaged, or they describe another network.
        CallError: the number of `classes` is not that of the file.
    """
    caffemodel = Path(caffemodel)
    arrays = read_caffemodel(caffemodel)
    prototxt = _find_prototxt(caffemodel) if prototxt is None else Path(prototxt)
    net = _Net(arrays, {layer["name"]: layer for layer in layers_of(read_prototxt(prototxt))})
    names = net.layers.keys()
    if {"conv4_3_norm", "fc7", "conv9_2"} <= names:
        return _vgg(net, caffemodel, 512 if "conv10_2" in names else 300, classes)
    if {"conv1/dw", "conv17_2", "conv11_mbox_loc"} <= names:
        return _mobilenet(net, caffemodel, classes)
    raise WeightsError(
        f"{prototxt}: neither weiliu89's SSD on VGG-16 (layers conv4_3_norm, fc7, conv9_2) nor chuanqi305's MobileNet-SSD "
        "(conv1/dw, conv17_2, conv11_mbox_loc)"
    )


def _find_prototxt(caffemodel: Path) -> Path:
    found, own = list(caffemodel.parent.glob("*.prototxt")), caffemodel.with_suffix(".prototxt")
    for path in (own, caffemodel.with_name("deploy.prototxt"), *(found if len(found) == 1 else ())):
        if path.is_file():
            return path
    others = f"are {len(found)} other .prototxt files" if found else "is no .prototxt"
    raise WeightsError(
        f"{caffemodel}: put its layers beside it, as {own.name} or deploy.prototxt; there {others}. The classifier "
        "MobileNet needs none: name it with base_weights= or pretrained_base="
    )


class _Net(NamedTuple):
    """The arrays of a `.caffemodel`, and the layers of its `.prototxt` {name: layer of `layers_of`}."""

    arrays: dict
    layers: dict

    def blobs(self, names: Collection[str]) -> dict:
        """{LAYER.weight, LAYER.bias and so on: array} of those layers that are there and have weights."""
        present = self.layers.keys() & set(names)
        return {name: array for name, array in self.arrays.items() if name.rpartition(".")[0] in present}


def _anchors(net: _Net, source: CheckedArrays, preset: Preset, maps: list) -> dict:
    """The anchors that the file's PriorBox layers give at the preset's input size.

    Args:
        maps: names of the layers without `_mbox_priorbox`, finest feature map first.
    """
    height, width = preset.base_size
    outputs = [f"{name}_mbox_priorbox" for name in maps]
    try:
        sizes = map_sizes(list(net.layers.values()), height)
        priors = [prior_boxes(net.layers[name], sizes[net.layers[name]["bottom"][0]], height) for name in outputs]
    except (ValueError, LookupError, TypeError) as error:
        raise source.error(f"its prior boxes cannot be computed ({short(error, 120)})") from None
    anchors, steps = [], []
    for i, (boxes, variances) in enumerate(priors):
        depth = source.take(f"{maps[i]}_mbox_loc.bias", (0,), rows=True).size // 4
        if boxes.shape[2] != depth or len(variances) != 4 or not np.allclose(variances, (0.1, 0.1, 0.2, 0.2)):
            raise source.error(f"{outputs[i]}: not {depth} prior boxes per grid cell with the variances 0.1, 0.1, 0.2, 0.2")
        anchors.append(corner_to_center(boxes.reshape(-1, 4) * (width, height, width, height)).reshape(boxes.shape))
        steps.append(preset.steps[i] if preset.steps else width / len(boxes))
    return stored_anchors(anchors, steps)


def _vgg(net: _Net, path: Path, size: int, classes: list | None) -> ImportedDetector:
    extras = [f"conv{i}_{j}" for i, _ in enumerate(extra_spec[size], 6) for j in (1, 2)]
    backbone = [f"conv{stage}_{i}" for stage, i in CONVOLUTIONS] + ["fc6", "fc7"]
    maps = ["conv4_3_norm", "fc7", *extras[1::2]]
    class_heads, box_heads = ([f"{name}_mbox_{side}" for name in maps] for side in ("conf", "loc"))
    arrays = net.blobs([*backbone, *extras, *class_heads, *box_heads, "conv4_3_norm"])
    source = CheckedArrays(path, {n: a.reshape(-1) if n.endswith(".bias") else a for n, a in arrays.items()}, f"Caffe SSD{size}")
    preset = find_preset(f"ssd_{size}_vgg16_atrous_voc")
    norm = source.take("conv4_3_norm.weight", np.shape(arrays.get("conv4_3_norm.weight", ())))
    if norm.size != 512:
        raise source.error(f"the scale of conv4_3_norm has {norm.size} values; expected 512")
    ours = take_ssd(source, size, backbone, extras, norm, class_heads, box_heads, preset.ratios)
    ours["features.stages.0.0.weight"] = ours["features.stages.0.0.weight"][:, ::-1].copy()  # BGR
    slots = count_slots(source, ours, preset.ratios)
    if slots == 81 and classes is None:
        preset = find_preset(f"ssd_{size}_vgg16_atrous_coco")
    preset = pick_classes(source, slots - 1, preset, classes)
    ours.update(_anchors(net, source, preset, maps))
    note = "it keeps the best 400 boxes of each class before NMS and 200 at the end; here 400 of all classes and 100"
    return ImportedDetector(ours, with_mean(preset, [mean / 255 for mean in CAFFE_MEAN]), source.origin, (note,))


def _mobilenet(net: _Net, path: Path, classes: list | None) -> ImportedDetector:
    """The network of `ssd_300_mobilenet1.0_lite_custom`, with the file's anchors, mean and std."""
    backbone, extras = _mobilenet_shapes()
    norms = [f"{name}/{part}" for name in (*backbone, *extras) for part in ("bn", "scale")]
    heads = [f"{name}_mbox_{side}" for name in _MOBILENET_MAPS for side in ("conf", "loc")]
    arrays = net.blobs([*backbone, *extras, *norms, *heads])
    arrays = {n: a if a.ndim == 4 else a.reshape(-1) for n, a in arrays.items()}
    source = CheckedArrays(path, arrays, "Caffe MobileNet-SSD")
    ours = {}
    for i, (name, shape) in enumerate(backbone.items()):
        ours.update(_normed(source, name, shape, f"features.mobilenet0_conv{i}", f"features.mobilenet0_batchnorm{i}", "running"))
    for i, (name, shape) in enumerate(extras.items()):
        prefix = f"features.expand_{'' if i % 2 else 'trans_'}"
        ours.update(_normed(source, name, shape, f"{prefix}conv{i // 2}", f"{prefix}bn{i // 2}", "moving"))
    ours["features.mobilenet0_conv0_weight"] = ours["features.mobilenet0_conv0_weight"][:, ::-1].copy()  # BGR
    preset = find_preset("ssd_300_mobilenet1.0_lite_custom")
    channels = [backbone["conv11"][0], backbone["conv13"][0], *(wide for _, wide in _MOBILENET_EXTRAS)]
    for i, (name, width) in enumerate(zip(_MOBILENET_MAPS, channels)):
        ours.update(take_heads(source, i, f"{name}_mbox_conf", f"{name}_mbox_loc", (width, 1, 1), 6 if i else 3))
    slots = count_slots(source, ours, [(1, 2), *((1, 2, 3, 4, 5),) * 5])
    preset = pick_classes(source, slots - 1, preset.with_classes(find_preset("ssd_300_mobilenet0.25_voc").classes or ()), classes)
    ours.update(_anchors(net, source, preset, list(_MOBILENET_MAPS)))
    preset = replace(preset, mean=(0.5,) * 3, std=(0.5,) * 3)
    note = "it keeps 100 boxes of each class with scores above 0.3 in its deploy.prototxt"
    return ImportedDetector(ours, preset, source.origin, (note,))


def _mobilenet_shapes() -> tuple:
    """{layer: shape of its weight} of the backbone, and of the appended layers."""
    backbone, channels = {"conv0": (32, 3, 3, 3)}, 32
    for i, width in enumerate(_MOBILENET_WIDTHS, 1):
        backbone[f"conv{i}/dw"], backbone[f"conv{i}"] = (channels, 1, 3, 3), (width, channels, 1, 1)
        channels = width
    extras = {}
    for i, (narrow, wide) in enumerate(_MOBILENET_EXTRAS, 14):
        extras[f"conv{i}_1"], extras[f"conv{i}_2"] = (narrow, channels, 1, 1), (wide, narrow, 3, 3)
        channels = wide
    return backbone, extras


def _normed(source: CheckedArrays, name: str, shape: tuple, conv: str, norm: str, statistics: str) -> dict:
    """A convolution and its BatchNorm, {attribute path: float32 array}.

    Where the file has merged the two, the BatchNorm only adds the bias. So it does in the appended layers ("moving" statistics),
    because GluonCV's BatchNorms have another epsilon and no factor there.
    """
    width = shape[:1]
    weight, ones = source.take(f"{name}.weight", shape), np.ones(width)
    if f"{name}/bn.mean" in source:
        total = source.take(f"{name}/bn.factor", (1,))[0] or 1
        mean, variance = (source.take(f"{name}/bn.{part}", width) / total for part in ("mean", "variance"))
        gamma, beta = (source.take(f"{name}/scale.{part}", width) for part in ("weight", "bias"))
    else:
        mean, variance, gamma, beta = 0 * ones, ones - _EPS, ones, source.take(f"{name}.bias", width)
    if statistics == "moving":
        factor = gamma / np.sqrt(variance + _EPS)
        weight, beta = weight * factor.reshape(-1, 1, 1, 1), beta - mean * factor
        mean, variance, gamma = 0 * ones, ones - _APPENDED_EPS, ones
    values = {
        f"{conv}_weight": weight, f"{norm}_gamma": gamma, f"{norm}_beta": beta, f"{norm}_{statistics}_mean": mean,
        f"{norm}_{statistics}_var": variance,
    }  # fmt: skip
    return {name: np.asarray(value, np.float32) for name, value in values.items()}
