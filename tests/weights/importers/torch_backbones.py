"""The original backbones and feature pyramids in torch, written from their published description, with random weights."""

import numpy as np
import torch
from torch import nn

from tests.weights.importers.torch_networks import Conv2d, Linear, randomized, run


class Block(nn.Module):
    """A block of torchvision's ResNet: two 3x3 convolutions, or 1x1, 3x3 (which has the stride) and 1x1."""

    def __init__(self, channels, width, stride, bottleneck):
        super().__init__()
        out = width * (4 if bottleneck else 1)
        if bottleneck:
            shapes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        else:
            shapes = [(channels, width, 3, stride), (width, width, 3, 1)]
        self.count = len(shapes)
        for i, (a, b, kernel, step) in enumerate(shapes, 1):
            setattr(self, f"conv{i}", Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = torch.relu(y) if i < self.count else y
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's ResNet: the outputs of its four layers."""

    def __init__(self, blocks, bottleneck=False):
        super().__init__()
        self.conv1, self.bn1 = Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for i, count in enumerate(blocks):
            width, layer = 64 << i, []
            for j in range(count):
                layer.append(Block(channels, width, 2 if i and not j else 1, bottleneck))
                channels = width * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.fc = Linear(channels, 1000)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
            maps.append(x)
        return maps


class MobileNetV2(nn.Module):
    """torchvision's mobilenet_v2: the expansion of its 14th block, which has stride 2, and the output of its last convolution."""

    BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self):
        super().__init__()

        def norm(channels, out, kernel=1, stride=1, groups=1):
            return Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)

        def active(*args):
            return nn.Sequential(*norm(*args), nn.ReLU6())

        layers, channels = [active(3, 32, 3, 2)], 32
        for expansion, out, count, first in self.BLOCKS:
            for stride in [first] + [1] * (count - 1):
                wide = channels * expansion
                block = nn.Module()
                start = [active(channels, wide)] if expansion > 1 else []
                block.conv = nn.Sequential(*start, active(wide, wide, 3, stride, wide), *norm(wide, out))
                block.adds = stride == 1 and channels == out
                layers.append(block)
                channels = out
        self.features = nn.Sequential(*layers, active(channels, 1280))
        self.classifier = nn.Sequential(nn.Dropout(), Linear(1280, 1000))

    def forward(self, x):
        x = self.features[0](x)
        for i in range(1, 18):
            block = self.features[i]
            if i == 14:
                expanded = block.conv[0](x)
            x = x + block.conv(x) if block.adds else block.conv(x)
        return [expanded, self.features[18](x)]


class VGGFeatures(nn.Module):
    """The convolutions of torchvision's vgg* and vgg*_bn: outputs of conv4 and conv5 before their pooling."""

    def __init__(self, counts, batch_norm):
        super().__init__()
        layers, channels, self.ends = [], 3, []
        for count, width in zip(counts, (64, 128, 256, 512, 512)):
            for _ in range(count):
                norm = [nn.BatchNorm2d(width)] if batch_norm else []
                layers += [Conv2d(channels, width, 3, padding=1), *norm, nn.ReLU()]
                channels = width
            self.ends.append(len(layers))
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        outputs = []
        for i, layer in enumerate(self.features, 1):
            x = layer(x)
            if i in self.ends[3:]:
                outputs.append(x)
        return outputs


class Pyramid(nn.Module):
    """torchvision's FeaturePyramidNetwork over ResNet stages of these channels: Faster R-CNN's with a pooled level, RetinaNet's
    with the convolutions p6 and p7 on the coarsest output.

    Args:
        nested: the names since torchvision 0.13, where each convolution lies in a Sequential.
    """

    def __init__(self, channels, out=256, convolutions=False, nested=True):
        super().__init__()

        def blocks(kernel, inputs):
            convs = [Conv2d(c, out, kernel, padding=kernel // 2) for c in inputs]
            return nn.ModuleList(nn.Sequential(c) for c in convs) if nested else nn.ModuleList(convs)

        self.inner_blocks, self.layer_blocks = blocks(1, channels), blocks(3, [out] * len(channels))
        if convolutions:
            self.extra_blocks = nn.ModuleDict({name: Conv2d(out, out, 3, 2, 1) for name in ("p6", "p7")})
        self.convolutions = convolutions

    def forward(self, maps):
        top, results = None, []
        for x, inner, layer in reversed(list(zip(maps, self.inner_blocks, self.layer_blocks))):
            x = inner(x)
            top = x if top is None else x + nn.functional.interpolate(top, size=x.shape[-2:], mode="nearest")
            results.insert(0, layer(top))
        if not self.convolutions:
            return [*results, nn.functional.max_pool2d(results[-1], 1, 2, 0)]
        p6 = self.extra_blocks["p6"](results[-1])
        return [*results, p6, self.extra_blocks["p7"](torch.relu(p6))]


class ResNetFPN(nn.Module):
    """torchvision's resnet_fpn_backbone, with the names `body...` and `fpn...`."""

    def __init__(self, blocks, bottleneck=False, returned=(1, 2, 3, 4), **kwargs):
        super().__init__()
        self.body, self.returned = ResNet(blocks, bottleneck), returned
        del self.body.fc
        self.fpn = Pyramid([(64 << i - 1) * (4 if bottleneck else 1) for i in returned], **kwargs)

    def forward(self, x):
        maps = self.body(x)
        return self.fpn([maps[i - 1] for i in self.returned])


BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def random_resnet(depth):
    """torchvision's ResNet with random weights."""
    net = ResNet(BLOCKS[depth], depth > 34)
    randomized(net, net.conv1)
    _halve_sums(net, depth)
    return net


def random_resnet_fpn(depth, **kwargs):
    """torchvision's ResNet-FPN with random weights."""
    net = ResNetFPN(BLOCKS[depth], depth > 34, **kwargs)
    randomized(net, net.body.conv1)
    _halve_sums(net.body, depth)
    for name, parameter in net.named_parameters():
        if ".inner_blocks." in name or ".layer_blocks." in name:
            parameter.data /= 2
    return net


def _halve_sums(resnet, depth):
    """Halves what a block adds, so that the sum over the blocks stays in the range of trained ones."""
    for name, parameter in resnet.named_parameters():
        if name.endswith("bn3.weight" if depth > 34 else "bn2.weight"):
            parameter.data /= 2


def freeze_norms(net):
    """Batch norms with an eps of 0, as those of torchvision's published detectors; variances are small in some channels."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0
            module.running_var[:4] = torch.tensor([1e-7, 1e-5, 2e-5, 1e-3])
            module.weight.data[:4] = torch.tensor([1e-4, 1e-3, 1e-3, 1e-2])


def run_one(net, x: np.ndarray) -> list:
    """Outputs of a net for one image, (C, H, W), as numpy arrays without the axis of a batch."""
    return [output[0] for output in run(net, x[None])]
