"""VGG with the dense layers turned into dilated convolutions: the backbone of the SSD paper, and its extra stages.

Sources: Liu et al. 2016, section 3 (fc6 and fc7 become conv6, dilated by 6, and conv7; pool5 becomes 3x3 with stride 1;
conv4_3 is L2-normalized with a learned scale of 20) and ParseNet for that normalization. Block and attribute names
are those of GluonCV, because they are the names in its parameter files.
"""

from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.nn.parameters import HE_FAN_OUT
from ssdzoo.nn.vgg_spec import DILATED_CHANNELS, extra_spec, extra_stages, vgg_spec
from ssdzoo.preset import IMAGENET_STD
from ssdzoo.runtime import mx

nn = mx.gluon.nn


def _stage(prefix: str, batch_norm: bool, convolutions: list) -> mx.gluon.nn.HybridSequential:
    """Convolutions of (channels, kernel, stride, padding, dilation), each with a ReLU, and a BatchNorm before it if asked for."""
    stage = nn.HybridSequential(prefix=prefix)
    with stage.name_scope():
        for convolution in convolutions:
            stage.add(nn.Conv2D(*convolution, weight_initializer=HE_FAN_OUT))
            if batch_norm:
                stage.add(nn.BatchNorm())
            stage.add(nn.Activation("relu"))
    return stage


class Normalize(mx.gluon.HybridBlock):
    """Divides each pixel's channels by their L2 norm, then scales each channel by a learned factor.

    `y = scale * x / sqrt(sum_c x_c^2 + 1e-5)` (ParseNet, section 3.3).

    Args:
        n_channel: channels of the input, (B, n_channel, H, W) float32.
        initial: initial scale.
    """

    def __init__(self, n_channel: int, initial: float = 1):
        super().__init__()
        with self.name_scope():
            self.scale = self.params.get("normalize_scale", shape=(1, n_channel, 1, 1), init=mx.init.Constant(initial))

    def hybrid_forward(self, F, x, scale):
        return F.broadcast_mul(F.L2Normalization(x, mode="channel", eps=1e-5), scale)


class VGGAtrousBase(mx.gluon.HybridBlock):
    """Feature maps of conv4_3 (normalized) and conv7: the part of the extractor that an ImageNet VGG has weights for.

    Args:
        layers: number of convolutions of each of the five stages: see `vgg_spec`.
        filters: channels of each stage.
        batch_norm: adds a BatchNorm after each convolution.
        dilation: of conv6; 1 makes it a plain 3x3 convolution, which sees 3 pixels of its feature map instead of 13.

    Input is (B, 3, H, W) float32, RGB, normalized by the ImageNet mean and std; `init_scale` multiplies it by
    std * 255 again, because the published weights come from Caffe, which only subtracts the mean. At 300x300 the
    feature maps are 38 and 19 pixels wide. Pooling rounds up, as in Caffe.
    """

    def __init__(self, layers: list, filters: list, batch_norm: bool = False, dilation: int = 6, **kwargs: Any):
        super().__init__(**kwargs)
        if len(layers) != len(filters):
            raise ValueError(f"{len(layers)} stages in layers but {len(filters)} in filters")
        with self.name_scope():
            scale = mx.nd.array(IMAGENET_STD).reshape((1, 3, 1, 1)) * 255
            self.init_scale = self.params.get_constant("init_scale", scale)
            self.stages = nn.HybridSequential()
            for count, channels in zip(layers, filters):
                self.stages.add(_stage("", batch_norm, [(channels, 3, 1, 1)] * count))
            conv6, conv7 = (DILATED_CHANNELS, 3, 1, dilation, dilation), (DILATED_CHANNELS, 1)
            self.stages.add(_stage("dilated_", batch_norm, [conv6, conv7]))
            self.norm4 = Normalize(filters[3], 20)

    @property
    def backbone_parameters(self) -> dict:
        """{attribute path: Parameter} of the layers that a file of an ImageNet VGG holds."""
        return {k: p for k, p in self._collect_params_with_prefix().items() if k.startswith("stages.")}

    def hybrid_forward(self, F, x, init_scale):
        def pool(x, kernel=(2, 2), stride=(2, 2), pad=(0, 0)):
            return F.Pooling(x, pool_type="max", kernel=kernel, stride=stride, pad=pad, pooling_convention="full")

        x = F.broadcast_mul(x, init_scale)
        for stage in self.stages[:3]:
            x = pool(stage(x))
        conv4 = self.stages[3](x)
        conv5 = self.stages[4](pool(conv4))
        conv7 = self.stages[5](pool(conv5, kernel=(3, 3), stride=(1, 1), pad=(1, 1)))
        return [self.norm4(conv4), conv7]


class VGGAtrousExtractor(VGGAtrousBase):
    """Feature maps of conv4_3 (normalized), conv7 and each extra stage, finest first.

    Args:
        layers, filters, batch_norm, kwargs: see `VGGAtrousBase`.
        extras: for each extra stage, a tuple of (channels, kernel, stride, padding) of each convolution: see `extra_spec`. With
            `extra_spec[300]` the feature maps of a 300x300 input are 38, 19, 10, 5, 3 and 1 pixels wide.
    """

    def __init__(self, layers: list, filters: list, extras: list, batch_norm: bool = False, **kwargs: Any):
        super().__init__(layers, filters, batch_norm, **kwargs)
        with self.name_scope():
            self.extras = nn.HybridSequential()
            for i, convolutions in enumerate(extras):
                self.extras.add(_stage(f"extra{i}_", batch_norm, convolutions))

    def hybrid_forward(self, F, x, init_scale):
        outputs = super().hybrid_forward(F, x, init_scale)
        for extra in self.extras:
            outputs.append(extra(outputs[-1]))
        return outputs


def vgg_atrous_extractor(
    num_layers: int, size: int, batch_norm: bool = False, last_kernel: int | None = None, **kwargs: Any
) -> VGGAtrousExtractor:
    """The extractor of VGG-`num_layers` (11, 13, 16, 19) with the extra stages for inputs of `size` (300, 512); see
    `ssdzoo.nn.vgg_spec.extra_stages`.

    Raises:
        CallError: another number of layers, or another size.
    """
    if num_layers not in vgg_spec:
        raise CallError(f"there is no VGG-{num_layers}; vgg_spec has {sorted(vgg_spec)}")
    if size not in extra_spec:
        raise CallError(f"vgg{num_layers}_atrous has extra layers for sizes {sorted(extra_spec)}, not for {size}")
    return VGGAtrousExtractor(*vgg_spec[num_layers], extra_stages(size, last_kernel), batch_norm, **kwargs)
