"""From a backbone's name to its feature extractor."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.nn.expander import FeatureExpander
from ssdzoo.nn.fpn import STAGES, ResNetFPN
from ssdzoo.nn.resnet_v1b import ResNetV1bExtractor
from ssdzoo.nn.vgg_atrous import vgg_atrous_extractor
from ssdzoo.preset import backbone_classifier
from ssdzoo.runtime import mx


def feature_maker(name: str | None, base_size: int | tuple, features: Any, filters: list | None,
                  dilation: int | None = None, last_kernel: int | None = None, **expander: Any) -> Callable:  # fmt: skip
    """A function that makes the feature extractor: a HybridBlock from images (B, 3, H, W) to a list of feature maps.

    Args:
        name: backbone: "vgg16_atrous", "resnet34_v1b", "resnet50_v1b_fpn", or a classifier of `mxnet.gluon.model_zoo.vision`.
        base_size: input size in pixels, one number or (H, W).
        features: names of layers of the classifier, or of stages under a feature pyramid ("stage2"); or an extractor; or a
            callable that makes one; or None.
        filters: channels of the convolutions appended to a classifier or a pyramid; those of a pyramid are equal.
        dilation, last_kernel: of a VGG's conv6, and of its last convolution for inputs of 512 pixels.
        expander: options of `FeatureExpander`, for a classifier.

    Raises:
        CallError: an unknown backbone, or arguments that don't fit it.
    """
    name = name or ""
    vgg = re.fullmatch(r"vgg(\d+)(_bn)?_atrous", name)
    options = {k: v for k, v in (("dilation", dilation), ("last_kernel", last_kernel)) if v is not None}
    if options and (features or not vgg or (last_kernel is not None and np.max(base_size) != 512)):
        given = ", ".join(f"{k}={v}" for k, v in options.items())
        raise CallError(f"{given}: is for vgg16_atrous and its kin, last_kernel at 512 pixels, not for {name!r} at {base_size}")
    if isinstance(features, mx.gluon.HybridBlock):
        return lambda: features
    if callable(features):
        return features
    if vgg:
        return partial(vgg_atrous_extractor, int(vgg[1]), np.max(base_size), bool(vgg[2]), **options)
    if name == "resnet34_v1b":
        return partial(ResNetV1bExtractor, name, filters or [256, 256, 128, 128])
    if not features or filters is None:
        raise CallError(f"backbone {name!r} needs features (names of its layers) and filters (of the appended layers)")
    if name.endswith("_fpn"):
        return _pyramid_maker(name, features, filters)
    return lambda: FeatureExpander(_classifier(name), features, filters, **expander)


def _pyramid_maker(name: str, features: list, filters: list) -> Callable:
    stages = {f"stage{number}": number for number in STAGES}
    if not set(features) <= stages.keys() or len(set(filters)) > 1:
        wanted = f"features out of {', '.join(stages)}, and filters that are equal"
        raise CallError(f"backbone {name!r} has {wanted}, not {list(features)} and {list(filters)}")
    # Everything learns, so that training from scratch works; `ssdzoo train --freeze` fixes stages and norms.
    return partial(
        ResNetFPN, backbone_classifier(name), [stages[layer] for layer in features], filters[0] if filters else 256,
        len(filters), frozen_norm=False, trainable_layers=5,
    )  # fmt: skip


def _classifier(name: str) -> Any:
    try:
        return mx.gluon.model_zoo.vision.get_model(name)
    except ValueError:
        raise CallError(
            f"no backbone {name!r}; there are vgg{{11,13,16,19}}_atrous, resnet34_v1b, resnet50_v1b_fpn, and the classifiers of "
            "mxnet.gluon.model_zoo.vision such as resnet18_v1, resnet50_v2, mobilenet1.0, mobilenet0.25"
        ) from None
