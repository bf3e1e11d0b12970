"""ResNet-v1b with its third stage undilated and unstrided, and convolutions appended: GluonCV's SSD on resnet34_v1b."""

from typing import Any

from ssdzoo.nn.parameters import HE_FAN_OUT
from ssdzoo.runtime import gluoncv, mx

nn = mx.gluon.nn


class ResNetV1bExtractor(mx.gluon.HybridBlock):
    """Feature maps of layer2 (stride 8), layer4 (stride 16) and one for each of `add_filters`, each half as large.

    Args:
        network: a v1b ResNet of gluoncv's zoo, such as "resnet34_v1b".
        add_filters: channels of the appended 3x3 stride-2 convolutions; the last one is not padded (3 pixels become 1). A
            1x1 convolution of as many channels, 128 at minimum, comes before each.

    layer3 has stride 1 here, unlike in the classification network, so that conv4 and fc7 of the VGG SSD have their
    counterparts at strides 8 and 16.
    """

    def __init__(self, network: str, add_filters: list, **kwargs: Any):
        super().__init__(**kwargs)
        resnet = gluoncv().model_zoo.get_model(network, pretrained=False)
        self.backbone_parameters = resnet._collect_params_with_prefix()
        # A Conv2D keeps its stride in _kwargs and has no public way to change it after construction.
        for conv in (resnet.layer3[0].conv1, resnet.layer3[0].downsample[0]):
            conv._kwargs["stride"] = (1, 1)
        with self.name_scope():
            self.stage1 = nn.HybridSequential("stage1")
            self.stage1.add(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool, resnet.layer1, resnet.layer2)
            self.stage2 = nn.HybridSequential("stage2")
            self.stage2.add(resnet.layer3, resnet.layer4)
            self.more_stages = nn.HybridSequential("more_stages")
            for i, filters in enumerate(add_filters):
                stage = nn.HybridSequential(f"more_stages_{i}")
                padding = 0 if i == len(add_filters) - 1 else 1
                for convolution in ((max(128, filters), 1), (filters, 3, 2, padding)):
                    stage.add(nn.Conv2D(*convolution, weight_initializer=HE_FAN_OUT), nn.Activation("relu"))
                self.more_stages.add(stage)

    def _alias(self):
        return "resnetv1bssd"  # the name in flat parameter files of GluonCV

    def hybrid_forward(self, F, x):
        maps = [self.stage1(x)]
        maps.append(self.stage2(maps[-1]))
        for stage in self.more_stages:
            maps.append(stage(maps[-1]))
        return maps
