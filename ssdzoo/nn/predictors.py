"""The class and box heads: one convolution for each feature map."""

from ssdzoo.runtime import mxnet

mx = mxnet()


class ConvPredictor(mx.gluon.HybridBlock):
    """One convolution of `num_channel` outputs over a feature map: (B, in_channels, H, W) -> (B, num_channel, H, W).

    Args:
        num_channel: anchors per pixel times outputs per anchor (C + 1 classes with the background, or 4 box offsets).
        kernel, pad: (H, W) of the kernel and of the padding.
        in_channels: channels of the feature map; 0 leaves them to the first forward.
    """

    def __init__(self, num_channel, kernel=(3, 3), pad=(1, 1), in_channels=0, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.predictor = mx.gluon.nn.Conv2D(
                num_channel, kernel, padding=pad, in_channels=in_channels,
                weight_initializer=mx.init.Xavier(magnitude=2), bias_initializer="zeros",
            )  # fmt: skip

    def hybrid_forward(self, F, x):
        return self.predictor(x)


def flatten_maps(F, maps: list, values: int):
    """Joins head outputs (B, A * values, H, W) of all maps, A anchors per pixel, into (B, N, values), in the order
    of the anchors."""
    rows = [F.flatten(F.transpose(m, (0, 2, 3, 1))) for m in maps]
    return F.concat(*rows, dim=1).reshape((0, -1, values))
