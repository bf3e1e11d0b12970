"""A feature pyramid over a ResNet (Lin et al. 2017, "Feature Pyramid Networks", section 3), as in torchvision's detectors."""

import re
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.runtime import gluoncv, mx

nn = mx.gluon.nn

STAGES = (1, 2, 3, 4)  # of a ResNet, with strides 4, 8, 16 and 32


class ResNetFPN(mx.gluon.HybridBlock):
    """Feature maps of `channels` channels, finest first: one for each of `returned`, and the extra ones.

    Each stage's feature map goes through a 1x1 convolution. From the coarsest on, each is enlarged (nearest neighbor) to the
    exact size of the next finer one, odd or even, and added to it. A 3x3 convolution smooths each.

    Attributes:
        backbone_parameters: {attribute path: Parameter} of the classifier.
        pyramid_parameters: {attribute path: Parameter} of the pyramid's convolutions.

    Args:
        network: a ResNet of MXNet's zoo ("resnet50_v1", "resnet18_v2") or of GluonCV's ("resnet50_v1b", which strides in the
            3x3 convolution, as torchvision's does).
        returned: stages that are used, rising; those of strides 4, 8, 16, 32 are 1, 2, 3, 4.
        channels: of all feature maps.
        extra: "pool" adds a feature map half as large by picking every second pixel of the coarsest; a number adds so many by 3x3
            convolutions of stride 2, with ReLU between them (RetinaNet's P6 and P7, taken from P5).
        frozen_norm: batch norms keep their statistics, factors and shifts.
        trainable_layers: number of parts of the ResNet that learn, counted from its fourth stage: 0 none, 4 all but the stem,
            5 all. Stages behind the last one returned count too.

    Raises:
        CallError: an unknown network, or values out of range.
    """

    def __init__(self, network: str, returned: list | tuple = STAGES, channels: int = 256, extra: str | int = "pool",
                 frozen_norm: bool = True, trainable_layers: int = 3, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        returned = tuple(returned)
        if not returned or list(returned) != sorted(set(returned)) or not set(returned) <= set(STAGES):
            raise CallError(f"returned={returned}: expected rising stages out of {STAGES}")
        if trainable_layers not in range(6):
            raise CallError(f"trainable_layers={trainable_layers}: expected 0 (all of the ResNet frozen) to 5 (none)")
        extras: Any = 0 if extra == "pool" else extra
        if extras not in range(6):
            raise CallError(f"extra={extra!r}: expected 'pool' or a number of convolutions from 0 to 5")
        self._returned, self._pools = returned, extra == "pool"
        with self.name_scope():
            body, parts = _resnet(network)
            self.backbone_parameters = body._collect_params_with_prefix()
            self.body = nn.HybridSequential()
            for blocks in parts[: max(returned) + 1]:
                self.body.add(nn.HybridSequential())
                self.body[-1].add(*blocks)
            self.lateral, self.smooth, self.extra = (nn.HybridSequential() for _ in range(3))
            for _ in returned:
                self.lateral.add(_conv(channels, 1))
                self.smooth.add(_conv(channels, 3))
            self.extra.add(*(_conv(channels, 3, strides=2) for _ in range(extras)))
        paths = self._collect_params_with_prefix()
        self.pyramid_parameters = {n: p for n, p in paths.items() if not n.startswith("body.")}
        for part in self.body[: 5 - trainable_layers]:
            part.collect_params().setattr("grad_req", "null")
        if frozen_norm:
            self.body.apply(_freeze_norm)

    def hybrid_forward(self, F, x):
        maps = []
        for stage, part in enumerate(self.body):
            x = part(x)
            if stage in self._returned:
                maps.append(x)
        pyramid = [self.lateral[len(maps) - 1](maps[-1])]
        for i in range(len(maps) - 2, -1, -1):
            scale = 2 ** (self._returned[i + 1] - self._returned[i])
            larger = F.UpSampling(pyramid[0], scale=scale, sample_type="nearest")
            pyramid.insert(0, self.lateral[i](maps[i]) + F.slice_like(larger, maps[i], axes=(2, 3)))
        pyramid = [smooth(level) for smooth, level in zip(self.smooth, pyramid)]
        if self._pools:
            pyramid.append(F.Pooling(pyramid[-1], kernel=(1, 1), stride=(2, 2), pool_type="max"))
        for number, conv in enumerate(self.extra):
            pyramid.append(conv(F.relu(pyramid[-1]) if number else pyramid[-1]))
        return pyramid


def _conv(channels: int, kernel: int, **kwargs: Any) -> Any:
    uniform = mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=3)  # as in torchvision: U(+-sqrt(3 / fan_in))
    return nn.Conv2D(channels, kernel, padding=kernel // 2, weight_initializer=uniform, **kwargs)


def _freeze_norm(block: Any) -> None:
    if isinstance(block, nn.BatchNorm):
        block._kwargs["use_global_stats"] = True  # has no public name after construction
        block.collect_params().setattr("grad_req", "null")


def _resnet(network: str) -> tuple[Any, list]:
    """The whole classifier, and the blocks of its parts: stem and four stages."""
    zoo = gluoncv().model_zoo if re.fullmatch(r"resnet\d+_v1[bcds]", network) else mx.gluon.model_zoo.vision
    try:
        body = zoo.get_model(network, pretrained=False) if network.startswith("resnet") else None
    except ValueError:
        body = None
    if body is None:
        raise CallError(f"no ResNet {network!r}; there are resnet18_v1, _v2 and _v1b, and the same of 34, 50, 101 and 152 layers")
    if hasattr(body, "layer1"):
        parts = [[body.conv1, body.bn1, body.relu, body.maxpool], *([getattr(body, f"layer{i}")] for i in STAGES)]
    else:
        blocks = list(body.features)
        first = next(i for i, block in enumerate(blocks) if isinstance(block, nn.MaxPool2D)) + 1
        last = len(blocks) - 2 if network.endswith("_v2") else first + 4  # a v2 ends in a norm, a ReLU, the pool and a flattening
        parts = [blocks[:first], *([block] for block in blocks[first : first + 3]), blocks[first + 3 : last]]
    return body, parts
