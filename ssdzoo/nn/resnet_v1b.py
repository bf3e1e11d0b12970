"""ResNet-v1b with its third stage undilated and unstrided, and convolutions appended: GluonCV's SSD on resnet34_v1b."""

from ssdzoo.runtime import gluoncv, mxnet

mx = mxnet()
nn = mx.gluon.nn


class ResNetV1bExtractor(mx.gluon.HybridBlock):
    """Maps of layer2 (stride 8), layer4 (stride 16) and one for each of `add_filters`, each half as large.

    Args:
        network: a v1b ResNet of gluoncv's zoo, such as "resnet34_v1b".
        add_filters: channels of the appended 3x3 stride-2 convolutions; the last one is not padded (3 pixels become 1).
        min_depth: channels of the 1x1 convolution before each, at least.

    layer3 has stride 1 here, unlike in the classification network, so that conv4 and fc7 of the VGG SSD have their
    counterparts at strides 8 and 16.
    """

    def __init__(self, network: str, add_filters: list, min_depth: int = 128, **kwargs):
        super().__init__(**kwargs)
        resnet = gluoncv().model_zoo.get_model(network, pretrained=False)
        self.backbone_parameters = resnet._collect_params_with_prefix()
        he = mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
        with self.name_scope():
            self.stage1 = nn.HybridSequential("stage1")
            for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2"):
                self.stage1.add(getattr(resnet, name))
            self.stage2 = nn.HybridSequential("stage2")
            self.stage2.add(self._unstride(resnet.layer3), resnet.layer4)
            self.more_stages = nn.HybridSequential("more_stages")
            for i, filters in enumerate(add_filters):
                stage = nn.HybridSequential(f"more_stages_{i}")
                padding = 0 if i == len(add_filters) - 1 else 1
                stage.add(
                    nn.Conv2D(max(min_depth, filters), 1, weight_initializer=he),
                    nn.Activation("relu"),
                    nn.Conv2D(filters, 3, strides=2, padding=padding, weight_initializer=he),
                    nn.Activation("relu"),
                )
                self.more_stages.add(stage)

    def _alias(self):
        return "resnetv1bssd"  # the name in flat parameter files of GluonCV

    @staticmethod
    def _unstride(layer):
        # A Conv2D keeps its stride in _kwargs and has no public way to change it after construction.
        for conv in (layer[0].conv1, layer[0].downsample[0]):
            conv._kwargs["stride"] = (1, 1)
        return layer

    def hybrid_forward(self, F, x):
        maps = [self.stage1(x)]
        maps.append(self.stage2(maps[-1]))
        for stage in self.more_stages:
            maps.append(stage(maps[-1]))
        return maps
