"""From a backbone's name to its feature extractor."""

import re

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.nn.expander import FeatureExpander
from ssdzoo.nn.vgg_atrous import DILATION, extra_spec, vgg_atrous_extractor, vgg_spec
from ssdzoo.preset import backbone_classifier
from ssdzoo.runtime import mxnet

mx = mxnet()

_EXPANDER_ARGS = ("use_1x1_transition", "use_bn", "reduce_ratio", "min_depth", "global_pool", "separable")


def make_features(name, base_size, features, filters, kwargs: dict):
    """A function that makes the extractor, and those of `kwargs` that are not for it.

    Args:
        name: backbone: "vgg16_atrous", "resnet34_v1b", "resnet50_v1b_fpn", or a classifier of `mxnet.gluon.model_zoo.vision`.
        base_size: input size in pixels, one number or (H, W).
        features: names of layers of the classifier, or of stages under a feature pyramid ("stage2"); or an extractor; or a
            callable that makes one; or None.
        filters: channels of the convolutions appended to a classifier or a pyramid; all maps of a pyramid have equally many.
        kwargs: keyword arguments of `FeatureExpander` and of `SSD`, and `dilation` of conv6 for a VGG.

    Raises:
        CallError: an unknown backbone, or arguments that don't fit it.
    """
    expander = {k: v for k, v in kwargs.items() if k in _EXPANDER_ARGS}
    rest = {k: v for k, v in kwargs.items() if k not in _EXPANDER_ARGS or k == "separable"}  # which is the heads' too
    dilation = rest.pop("dilation", None)
    _refuse_other_norms(rest.pop("norm_layer", None), rest.pop("norm_kwargs", None))
    rest.pop("minimal_opset", None)  # chose in GluonCV which operators decode the boxes, with equal results
    vgg = re.fullmatch(r"vgg(\d+)(_bn)?_atrous", name or "")
    if dilation is not None and (features or not vgg):
        raise CallError(f"dilation={dilation}: is for the conv6 of vgg16_atrous and its kin, not for backbone {name!r}")
    if isinstance(features, mx.gluon.HybridBlock):
        return (lambda: features), rest
    if callable(features):
        return features, rest
    if vgg:
        return _make_vgg(int(vgg[1]), bool(vgg[2]), base_size, dilation or DILATION), rest
    if name == "resnet34_v1b":
        from ssdzoo.nn.resnet_v1b import ResNetV1bExtractor

        return (lambda: ResNetV1bExtractor(name, filters or [256, 256, 128, 128])), rest
    if not features or filters is None:
        raise CallError(f"backbone {name!r} needs features (names of its layers) and filters (of the appended layers)")
    if name.endswith("_fpn"):
        return _make_fpn(name, features, filters), rest
    return (lambda: FeatureExpander(_classifier(name), features, filters, **expander)), rest


def _refuse_other_norms(layer, arguments) -> None:
    if layer not in (None, mx.gluon.nn.BatchNorm) or arguments:
        raise CallError(
            f"norm_layer={layer} with norm_kwargs={arguments}: the backbones have nn.BatchNorm as it is, and no other"
        )


def _make_vgg(layers: int, batch_norm: bool, base_size, dilation: int):
    if layers not in vgg_spec:
        raise CallError(f"there is no VGG-{layers}; vgg_spec has {sorted(vgg_spec)}")
    size = base_size if np.isscalar(base_size) else max(base_size)
    if size not in extra_spec:
        raise CallError(f"vgg{layers}_atrous has extra layers for sizes {sorted(extra_spec)}, not for {base_size}")
    return lambda: vgg_atrous_extractor(layers, size, batch_norm, dilation=dilation)


def _make_fpn(name: str, features, filters):
    stages = [re.fullmatch("stage([1-4])", layer) for layer in features]
    if not all(stages) or len(set(filters)) > 1:
        raise CallError(
            f"backbone {name!r} has features out of stage1, stage2, stage3, stage4, and filters that are equal, "
            f"not {list(features)} and {list(filters)}"
        )
    from ssdzoo.nn.fpn import ResNetFPN

    # Everything learns, so that training from scratch works; `ssdzoo train --freeze` fixes stages and norms.
    return lambda: ResNetFPN(
        backbone_classifier(name), [int(stage[1]) for stage in stages], filters[0] if filters else 256, len(filters),
        frozen_norm=False, trainable_layers=5,
    )  # fmt: skip


def _classifier(name: str):
    vision = mx.gluon.model_zoo.vision
    try:
        return vision.get_model(name)
    except ValueError:
        raise CallError(
            f"no backbone {name!r}; there are vgg{{11,13,16,19}}_atrous, resnet34_v1b, resnet50_v1b_fpn, and the classifiers of "
            "mxnet.gluon.model_zoo.vision such as resnet18_v1, resnet50_v2, mobilenet1.0, mobilenet0.25"
        ) from None
