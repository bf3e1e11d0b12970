"""From a preset, or from GluonCV's arguments, to a network with its weights. The one place that answers `pretrained=`."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.class_names import class_names
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.network import SSD
from ssdzoo.nn.anchors import LiteAnchorGenerator, SSDAnchorGenerator
from ssdzoo.nn.backbones import feature_maker
from ssdzoo.nn.parameters import current_value
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD, Preset
from ssdzoo.runtime import mx
from ssdzoo.weights.converted import find_detector
from ssdzoo.weights.matching import load_published_backbone
from ssdzoo.weights.published import ROOT
from ssdzoo.zoo import find_preset

_GENERATORS = {"ssd": SSDAnchorGenerator, "lite": LiteAnchorGenerator}
Weights = bool | str | Path  # True for published weights, or a file
_EXTRACTOR_ARGS = ("use_1x1_transition", "use_bn", "reduce_ratio", "min_depth", "global_pool", "dilation", "last_kernel")


def get_model(name: str | Path | Preset, ctx: Any = None, classes: Sequence[str] | None = None, pretrained: Weights = False,
              pretrained_base: Weights = False, root: str | Path = ROOT, transfer: str | None = None,
              **kwargs: Any) -> SSD:  # fmt: skip
    """An SSD by name, with the arguments of GluonCV's `get_model`.

        net = ssdzoo.get_model("ssd_512_mobilenet1.0_custom", classes=["cat", "dog"])
        net.initialize()
        ids, scores, boxes = net(mx.nd.zeros((1, 3, 512, 512)))

    Args:
        name: a name of `list_models()`, a Preset, or the path of a user's table (`.toml`).
        ctx: context or list of contexts for the weights that are loaded; a network without weights is left uninitialized.
        classes: names of the classes; a `_custom` model needs them, and any other may get others than its own.
        pretrained: True for published weights (see `ssdzoo.weights.published.locate`), or the path of a parameter file. Weights
            of another project are adapted to the preset's mean and std: exactly, except at the outermost pixels where the means
            differ.
        pretrained_base: the same for the backbone alone, also a file of another project
            (`ssdzoo.weights.backbone.read_backbone`). Unlike in GluonCV the default is False: nothing is downloaded unless it is
            asked for.
        root: folder with published weights; what is downloaded is kept there.
        transfer: "voc" or "coco": builds that sibling of a `_custom` model with its published weights, then changes its classes
            and keeps the weights of classes of equal names.
        kwargs: of `get_ssd`, such as `nms_thresh`.

    Raises:
        CallError: an unknown name (the nearest ones are suggested), a `_custom` model without classes, classes that are no names,
            such as their number, or a context that is none.
        WeightsError: weights that are missing, don't fit, or are for pixels of another std.
    """
    _check_context(ctx)
    classes = None if classes is None else class_names(classes)
    preset = name if isinstance(name, Preset) else find_preset(name)
    if transfer is not None:
        if not preset.name.endswith("_custom"):
            raise CallError(f"transfer={transfer!r} is for _custom models, not for {preset.name}")
        preset = find_preset(preset.name.removesuffix("custom") + str(transfer))
        pretrained = True
    own = preset.classes
    if own is None and classes is None:
        raise CallError(f"{preset.name} needs classes=[...], the names of your classes")
    if own is None and pretrained is True:
        warnings.warn("custom models have no published weights: pretrained=True is ignored; see transfer=", stacklevel=2)
        pretrained = False
    arguments = {**preset.network_args, "anchor_generator": _GENERATORS[preset.anchor_generator], **kwargs}
    net = _assemble(classes=own if classes is None or (pretrained and own) else classes, **arguments)
    _fill(net, preset.name, preset.backbone, (preset.mean, preset.std), pretrained, pretrained_base, ctx, root)
    if classes is not None and classes != net.classes:
        net.reset_class(classes, reuse_weights=[c for c in classes if c in net.classes])
    return net


def get_ssd(name: str | None, base_size: int | Sequence[int], features: Any, filters: list | None, sizes: Sequence,
            ratios: Sequence, steps: Sequence | None, classes: Sequence[str], dataset: str = "", pretrained: Weights = False,
            pretrained_base: Weights = False, ctx: Any = None, root: str | Path = ROOT, **kwargs: Any) -> SSD:  # fmt: skip
    """An SSD from its parts, with the arguments of GluonCV's `get_ssd`.

    Args:
        name: backbone, such as "vgg16_atrous", "resnet50_v1", "mobilenet1.0".
        base_size: input size in pixels, one number or (H, W).
        features: names of the backbone's layers to take ("stage2" of a resnet*_fpn); or the extractor itself, or a callable that
            makes it; None for backbones that are extractors already (vgg*_atrous, resnet34_v1b).
        filters: channels of the appended convolutions, None for such backbones.
        sizes, ratios, steps, classes: see `SSDNetwork`.
        dataset: "voc", "coco" or "" for custom; part of the name of the published weights.
        pretrained: True for published weights from `root`, or the path of a parameter file.
        pretrained_base: the same for the backbone alone; without effect where `pretrained` is given.
        ctx: context or list of contexts; with it the network is initialized. None leaves that to the caller.
        root: folder of the published weights.
        kwargs: of `SSDNetwork`; `use_1x1_transition`, `use_bn`, `reduce_ratio`, `min_depth`, `global_pool` of `FeatureExpander`;
            `dilation` of a VGG's conv6, `last_kernel` of its last convolution at 512 pixels; GluonCV's `norm_layer`,
            `norm_kwargs` and `minimal_opset`, which change nothing, as in GluonCV's presets.

    Raises:
        CallError: arguments that don't fit together; names what was expected.
        WeightsError: weights that are missing, don't fit, or are for pixels of another std.
    """
    _check_context(ctx)
    net = _assemble(name, base_size, features, filters, sizes, ratios, steps, classes, **kwargs)
    size = "x".join(map(str, np.atleast_1d(base_size)))
    normalization = IMAGENET_MEAN, IMAGENET_STD
    _fill(net, f"ssd_{size}_{name}_{dataset}", name or "", normalization, pretrained, pretrained_base, ctx, root)
    return net


def _check_context(ctx: Any) -> None:
    """Refuses what is no context, such as class names without `classes=`, which come second in other libraries."""
    given = ctx if isinstance(ctx, (list, tuple)) else [ctx]
    if ctx is None or (given and all(isinstance(one, mx.Context) for one in given)):
        return
    names = isinstance(ctx, (list, tuple)) and all(isinstance(one, str) for one in ctx)
    hint = f"; the names of classes are given as classes={ctx!r}" if ctx and names else ""
    raise CallError(f"ctx={ctx!r}: expected a context of mxnet, such as mx.gpu(0), or a list of them{hint}")


def _assemble(name, base_size, features, filters, sizes, ratios, steps, classes, norm_layer=None, norm_kwargs=None,
              minimal_opset=None, **kwargs):  # fmt: skip
    """The network without weights. `minimal_opset` chose in GluonCV which operators decode the boxes, with equal results;
    `norm_layer` and `norm_kwargs` are for layers that none of its presets has: there, too, each keeps its own norms."""
    if norm_layer not in (None, mx.gluon.nn.BatchNorm, mx.gluon.contrib.nn.SyncBatchNorm):
        raise CallError(f"norm_layer={norm_layer}: expected nn.BatchNorm or SyncBatchNorm; the backbones keep their own norms")
    if not isinstance(norm_kwargs, (dict, type(None))):
        raise CallError(f"norm_kwargs={norm_kwargs!r}: expected a dict, such as {{'num_devices': 4}}")
    extractor = {k: kwargs.pop(k) for k in _EXTRACTOR_ARGS if k in kwargs}
    if "separable" in kwargs:  # the predictors and the appended convolutions alike
        extractor["separable"] = kwargs["separable"]
    make_features = feature_maker(name, base_size, features, filters, **extractor)
    return SSD(make_features, base_size, sizes, ratios, steps, classes, **kwargs)


def _fill(net: SSD, name: str, backbone: str, normalization: tuple, pretrained: Weights, pretrained_base: Weights, ctx: Any,
          root: str | Path) -> None:  # fmt: skip
    """Answers `pretrained` and `pretrained_base`: loads the weights that they name, if any.

    Args:
        name, backbone: names under which the weights of the model and of its backbone were published.
        normalization: mean and std of the pixels that the network is called with.

    Raises:
        WeightsError: weights that are missing, don't fit, or are for pixels of another std.
    """
    if pretrained:
        found = find_detector(name, pretrained, root)
        own = _input_scale(net)
        net.load_parameters(found.path, ctx=ctx, cast_dtype=True)
        if found.preset:
            _normalize_as(net, found.preset, *normalization)
        _check_input_scale(found.path, name, normalization[1], own, _input_scale(net))
    elif pretrained_base:
        load_published_backbone(net, backbone, pretrained_base, root, ctx or mx.cpu())


def _input_scale(net: SSD) -> np.ndarray | None:
    """(3,) float32: what a VGG multiplies its normalized input by; None for other backbones."""
    scale = getattr(net.features, "init_scale", None)
    return None if scale is None else current_value(scale).asnumpy().ravel()


def _normalize_as(net: SSD, preset: Preset, mean: Sequence[float], std: Sequence[float]) -> None:
    """Adapts a VGG SSD for pixels of the preset's mean and std to pixels of another mean and std.

    The std goes into the scale of the input, exactly. The difference of the means goes into the bias of the first convolution.
    That is exact except at the outermost pixels, where the zeros of the padding stand for one mean and not for the other.
    """
    scale, convolution = net.features.init_scale, net.features.stages[0][0]
    slope = current_value(scale).asnumpy().ravel() / preset.std  # of the convolution's input over pixels 0..1
    weight = current_value(convolution.weight).asnumpy().astype(np.float64)
    bias = current_value(convolution.bias).asnumpy() + np.einsum("ocij,c->o", weight, slope * np.subtract(mean, preset.mean))
    convolution.bias.set_data(mx.nd.array(bias))
    scale.set_data(mx.nd.array((slope * std).reshape(1, 3, 1, 1)))


def _check_input_scale(path: Path, name: str, std: tuple, own: Any, loaded: Any) -> None:
    """Refuses a file that was converted for pixels of another std than the network's, because it would answer nonsense."""
    if own is None or np.allclose(own, loaded, rtol=0, atol=1e-3):
        return
    if not np.allclose(loaded, 255 * np.array(std), rtol=0, atol=1e-3):
        found = [round(float(s) / 255, 5) for s in loaded]
        raise WeightsError(
            f"{path}: is for pixels divided by a std of {found}, {name} divides by {list(std)}: "
            "name the table (.toml) that was written beside the file instead"
        )
