"""The class and box predictors of the feature maps: one convolution each, or a depthwise one before it."""

from functools import partial
from typing import Any

from ssdzoo.runtime import mx

nn = mx.gluon.nn

_conv = partial(nn.Conv2D, weight_initializer=mx.init.Xavier(magnitude=2))


class ConvPredictor(mx.gluon.HybridBlock):
    """One convolution of `num_channel` outputs over a feature map: (B, in_channels, H, W) -> (B, num_channel, H, W).

    Args:
        num_channel: anchors per grid cell times outputs per anchor (C + 1 classes with the background, or 4 box offsets).
        kernel, pad: (H, W) of the kernel and of the padding.
        in_channels: channels of the feature map; 0 leaves them to the first forward.
    """

    def __init__(self, num_channel: int, kernel: tuple = (3, 3), pad: tuple = (1, 1), in_channels: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        with self.name_scope():
            self.predictor = _conv(num_channel, kernel, padding=pad, in_channels=in_channels)

    def _alias(self):
        return "convpredictor"  # the name in flat parameter files, of the subclass too

    def hybrid_forward(self, F, x):
        return self.predictor(x)

    def replace(self, num_channel: int) -> mx.gluon.nn.Conv2D:
        """Puts a fresh convolution of `num_channel` outputs in the place of the last one, which is returned."""
        old = self.predictor
        kernel, padding = old._kwargs["kernel"], old._kwargs["pad"]
        self.predictor = _conv(num_channel, kernel, padding=padding, in_channels=old.weight.shape[1], prefix=old.prefix)
        return old


class SeparablePredictor(ConvPredictor):
    """A depthwise convolution, batch norm and ReLU6, then a 1x1 convolution: SSDLite (Sandler et al. 2018, section 6.2).

    Args:
        num_channel, kernel, pad: see `ConvPredictor`; kernel and padding are the depthwise convolution's.
        in_channels: channels of the feature map.
    """

    def __init__(self, num_channel: int, kernel: tuple, pad: tuple, in_channels: int, **kwargs: Any):
        super().__init__(num_channel, (1, 1), (0, 0), in_channels, **kwargs)
        with self.name_scope():
            self.depthwise = nn.Conv2D(
                in_channels, kernel, padding=pad, groups=in_channels, in_channels=in_channels, use_bias=False,
                weight_initializer=mx.init.Xavier(magnitude=2, factor_type="in"),
            )  # fmt: skip
            self.norm = nn.BatchNorm(epsilon=1e-3, in_channels=in_channels)

    def hybrid_forward(self, F, x):
        return self.predictor(F.clip(self.norm(self.depthwise(x)), 0, 6))


def flatten_maps(F: Any, maps: tuple, values: int) -> Any:
    """Joins the outputs (B, A * values, H, W) of the predictors of all feature maps, A anchors per grid cell, into
    (B, N, values), in the order of the anchors."""
    rows = [F.flatten(F.transpose(m, (0, 2, 3, 1))) for m in maps]
    return F.concat(*rows, dim=1).reshape((0, -1, values))
