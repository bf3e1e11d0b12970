"""VGG with the dense layers turned into dilated convolutions: the base network of the SSD paper.

Sources: Liu et al. 2016, section 3 (fc6 and fc7 become conv6, dilated by 6, and conv7; pool5 becomes 3x3 with stride 1;
conv4_3 is L2-normalized with a learned scale of 20) and ParseNet for that normalization. Block and attribute names
are those of GluonCV, because they are the names in its parameter files.
"""

from ssdzoo.nn.vgg_spec import DILATED_CHANNELS, extra_spec, vgg_spec
from ssdzoo.runtime import mxnet

mx = mxnet()
gluon, nn = mx.gluon, mx.gluon.nn

DILATION = 6  # of conv6
IMAGENET_STD = (0.229, 0.224, 0.225)


def _he_fan_out() -> dict:
    return {
        "weight_initializer": mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2),
        "bias_initializer": "zeros",
    }


def _add_conv(block: nn.HybridSequential, batch_norm: bool, *args, **kwargs) -> None:
    block.add(nn.Conv2D(*args, **kwargs, **_he_fan_out()))
    if batch_norm:
        block.add(nn.BatchNorm())
    block.add(nn.Activation("relu"))


class Normalize(gluon.HybridBlock):
    """Divides each pixel's channels by their L2 norm, then scales each channel by a learned factor.

    `y = scale * x / sqrt(sum_c x_c^2 + eps)` (ParseNet, section 3.3): eps is inside the root.

    Args:
        n_channel: channels of the input, (B, n_channel, H, W) float32.
        initial: initial scale.
        eps: keeps the root away from zero.
    """

    def __init__(self, n_channel: int, initial: float = 1, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        with self.name_scope():
            self.scale = self.params.get("normalize_scale", shape=(1, n_channel, 1, 1), init=mx.init.Constant(initial))

    def hybrid_forward(self, F, x, scale):
        return F.broadcast_mul(F.L2Normalization(x, mode="channel", eps=self.eps), scale)


class VGGAtrousBase(gluon.HybridBlock):
    """The layers shared by all VGG SSDs: five stages, the dilated stage, and the norm of the fourth.

    Args:
        layers: number of convolutions of each stage.
        filters: channels of each stage.
        batch_norm: adds a BatchNorm after each convolution.
        dilation: of conv6; 1 makes it a plain 3x3 convolution, which sees 3 pixels of its map instead of 13.

    Input is (B, 3, H, W) float32, RGB, normalized by the ImageNet mean and std; `init_scale` multiplies it by
    std * 255 again, because the published weights come from Caffe, which only subtracts the mean. How the features are taken
    is up to the subclass.
    """

    def __init__(self, layers: list, filters: list, batch_norm: bool = False, dilation: int = DILATION, **kwargs):
        super().__init__(**kwargs)
        if len(layers) != len(filters):
            raise ValueError(f"{len(layers)} stages in layers but {len(filters)} in filters")
        with self.name_scope():
            scale = mx.nd.array(IMAGENET_STD).reshape((1, 3, 1, 1)) * 255
            self.init_scale = self.params.get_constant("init_scale", scale)
            self.stages = nn.HybridSequential()
            for count, channels in zip(layers, filters):
                stage = nn.HybridSequential(prefix="")
                with stage.name_scope():
                    for _ in range(count):
                        _add_conv(stage, batch_norm, channels, kernel_size=3, padding=1)
                self.stages.add(stage)
            dilated = nn.HybridSequential(prefix="dilated_")
            with dilated.name_scope():
                _add_conv(dilated, batch_norm, DILATED_CHANNELS, kernel_size=3, padding=dilation, dilation=dilation)
                _add_conv(dilated, batch_norm, DILATED_CHANNELS, kernel_size=1)
            self.stages.add(dilated)
            self.norm4 = Normalize(filters[3], 20)

    @property
    def backbone_parameters(self) -> dict:
        """{attribute path: Parameter} of the layers that an ImageNet VGG brings."""
        return {k: p for k, p in self._collect_params_with_prefix().items() if k.startswith("stages.")}

    def hybrid_forward(self, F, x, init_scale):
        raise NotImplementedError("VGGAtrousBase has no outputs of its own: use VGGAtrousExtractor")


class VGGAtrousExtractor(VGGAtrousBase):
    """Feature maps of conv4_3 (normalized), conv7 and each extra stage, finest first.

    Args:
        layers, filters, batch_norm, dilation: see VGGAtrousBase.
        extras: for each extra stage, a tuple of (channels, kernel, stride, padding): see `extra_spec`.

    At 300x300 with `extra_spec[300]` the maps are 38, 19, 10, 5, 3 and 1 pixels wide. Pooling rounds up, as in Caffe.
    """

    def __init__(self, layers: list, filters: list, extras: list, batch_norm: bool = False, dilation: int = DILATION, **kwargs):
        super().__init__(layers, filters, batch_norm, dilation, **kwargs)
        with self.name_scope():
            self.extras = nn.HybridSequential()
            for i, config in enumerate(extras):
                extra = nn.HybridSequential(prefix=f"extra{i}_")
                with extra.name_scope():
                    for channels, kernel, stride, padding in config:
                        _add_conv(extra, batch_norm, channels, kernel, stride, padding)
                self.extras.add(extra)

    def hybrid_forward(self, F, x, init_scale):
        def pool(x, kernel=(2, 2), stride=(2, 2), pad=(0, 0)):
            return F.Pooling(x, pool_type="max", kernel=kernel, stride=stride, pad=pad, pooling_convention="full")

        x = F.broadcast_mul(x, init_scale)
        for stage in self.stages[:3]:
            x = pool(stage(x))
        x = self.stages[3](x)
        outputs = [self.norm4(x)]
        x = self.stages[4](pool(x))
        x = self.stages[5](pool(x, kernel=(3, 3), stride=(1, 1), pad=(1, 1)))
        outputs.append(x)
        for extra in self.extras:
            x = extra(x)
            outputs.append(x)
        return outputs


def vgg_atrous_extractor(num_layers: int, size: int, batch_norm: bool = False, **kwargs) -> VGGAtrousExtractor:
    """The extractor of VGG-`num_layers` (11, 13, 16, 19) with the extra stages for inputs of `size` (300, 512)."""
    layers, filters = vgg_spec[num_layers]
    return VGGAtrousExtractor(layers, filters, extra_spec[size], batch_norm, **kwargs)
