"""From a preset, or from GluonCV's arguments, to a network with its weights. The one place that answers `pretrained=`."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.network import SSD
from ssdzoo.nn.anchors import LiteAnchorGenerator, SSDAnchorGenerator
from ssdzoo.nn.backbones import feature_maker
from ssdzoo.nn.parameters import current_value
from ssdzoo.nn.ssd import class_names
from ssdzoo.preset import IMAGENET_STD, Preset, backbone_classifier
from ssdzoo.runtime import mx
from ssdzoo.weights.matching import load_backbone
from ssdzoo.weights.published import ROOT, find_weights
from ssdzoo.zoo import find_preset

_GENERATORS = {"ssd": SSDAnchorGenerator, "lite": LiteAnchorGenerator}
Weights = bool | str | Path  # True for published weights, or a file
_EXTRACTOR_ARGS = ("use_1x1_transition", "use_bn", "reduce_ratio", "min_depth", "global_pool", "dilation")


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
        pretrained: True for published weights in `root`, or the path of a parameter file.
        pretrained_base: the same for the backbone alone, also torchvision's or Keras's
            (`ssdzoo.weights.backbone.read_backbone`). Unlike in GluonCV the default is False, because the server of the published
            files is gone.
        root: folder with published weights, under GluonCV's file names.
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
    _fill(net, preset.name, preset.classifier, preset.std, pretrained, pretrained_base, ctx, root)
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
        pretrained_base: the same for the backbone alone; without effect where `pretrained` is given. False unless asked for: the
            server of the published files is gone.
        ctx: context or list of contexts; with it the network is initialized. None leaves that to the caller.
        root: folder of the published weights.
        kwargs: of `SSDNetwork`; `use_1x1_transition`, `use_bn`, `reduce_ratio`, `min_depth`, `global_pool` of `FeatureExpander`;
            `dilation` of a VGG's conv6; GluonCV's `norm_layer`, `norm_kwargs` and `minimal_opset`, as far as they ask for nothing
            but the usual.

    Raises:
        CallError: arguments that don't fit together; names what was expected.
        WeightsError: weights that are missing, don't fit, or are for pixels of another std.
    """
    _check_context(ctx)
    net = _assemble(name, base_size, features, filters, sizes, ratios, steps, classes, **kwargs)
    size = "x".join(map(str, np.atleast_1d(base_size)))
    classifier = backbone_classifier(name or "")
    _fill(net, f"ssd_{size}_{name}_{dataset}", classifier, IMAGENET_STD, pretrained, pretrained_base, ctx, root)
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
    """The network without weights. `minimal_opset` chose in GluonCV which operators decode the boxes, with equal results."""
    if norm_layer not in (None, mx.gluon.nn.BatchNorm) or norm_kwargs:
        arguments = f"norm_layer={norm_layer} with norm_kwargs={norm_kwargs}"
        raise CallError(f"{arguments}: the backbones have nn.BatchNorm as it is, and no other")
    extractor = {k: kwargs.pop(k) for k in _EXTRACTOR_ARGS if k in kwargs}
    if "separable" in kwargs:  # the predictors and the appended convolutions alike
        extractor["separable"] = kwargs["separable"]
    make_features = feature_maker(name, base_size, features, filters, **extractor)
    return SSD(make_features, base_size, sizes, ratios, steps, classes, **kwargs)


def _fill(net: SSD, name: str, classifier: str, std: tuple, pretrained: Weights, pretrained_base: Weights, ctx: Any,
          root: str | Path) -> None:  # fmt: skip
    """Answers `pretrained` and `pretrained_base`: loads the weights that they name, if any.

    Args:
        name, classifier: names under which the weights of the model and of its backbone were published.
        std: by which the pixels are divided that the network is called with.

    Raises:
        WeightsError: weights that are missing, don't fit, or are for pixels of another std.
    """
    if pretrained:
        path = find_weights(name, pretrained, root)
        own = _input_scale(net)
        net.load_parameters(path, ctx=ctx)
        _check_input_scale(path, name, std, own, _input_scale(net))
    elif pretrained_base:
        net.initialize(ctx=ctx or mx.cpu())
        load_backbone(net, find_weights(classifier, pretrained_base, root))


def _input_scale(net: SSD) -> np.ndarray | None:
    """(3,) float32: what a VGG multiplies its normalized input by; None for other backbones."""
    scale = getattr(net.features, "init_scale", None)
    return None if scale is None else current_value(scale).asnumpy().ravel()


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
