"""The original VGG detectors in torch, written from their published description, and weights of a realistic range."""

import math

import numpy as np
import torch
from torch import nn

VGG = [64, 64, "M", 128, 128, "M", 256, 256, 256, "C", 512, 512, 512, "M", 512, 512, 512]  # M: pool, C: pool that rounds up
ANCHORS = (4, 6, 6, 6, 4, 4)
CHANNELS = (512, 1024, 512, 256, 256, 256)
EXTRAS = ((256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 1, 0), (128, 256, 1, 0))  # 1x1 channels, 3x3 channels, stride, padding


class Conv2d(nn.Conv2d):
    """Without weights of its own, which `randomized` draws: drawn twice, they take most of a test's time."""

    def reset_parameters(self):
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


class Linear(nn.Linear):
    """The same."""

    reset_parameters = Conv2d.reset_parameters


def vgg_layers(ceil_pools="C"):
    layers, channels = [], 3
    for item in VGG:
        if isinstance(item, str):
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=item in ceil_pools))
        else:
            layers += [Conv2d(channels, item, 3, padding=1), nn.ReLU()]
            channels = item
    return layers


def dilated_layers():
    return [
        nn.MaxPool2d(3, 1, 1),
        Conv2d(512, 1024, 3, padding=6, dilation=6),
        nn.ReLU(),
        Conv2d(1024, 1024, 1),
        nn.ReLU(),
    ]


def heads(outputs):
    return nn.ModuleList(Conv2d(c, a * outputs, 3, padding=1) for c, a in zip(CHANNELS, ANCHORS))


class L2Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((512,), 20.0))

    def forward(self, x):
        return self.weight.view(1, -1, 1, 1) * x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)


class SSDPytorch(nn.Module):
    """amdegroot's SSD300: (class logits (B, 8732, classes + 1), box offsets (B, 8732, 4))."""

    def __init__(self, classes=20):
        super().__init__()
        self.outputs = classes + 1
        self.vgg = nn.ModuleList(vgg_layers() + dilated_layers())
        self.L2Norm = L2Norm()
        convolutions, channels = [], 1024
        for narrow, wide, stride, padding in EXTRAS:
            convolutions += [Conv2d(channels, narrow, 1), Conv2d(narrow, wide, 3, stride, padding)]
            channels = wide
        self.extras = nn.ModuleList(convolutions)
        self.loc, self.conf = heads(4), heads(self.outputs)

    def forward(self, x):
        for layer in self.vgg[:23]:
            x = layer(x)
        maps = [self.L2Norm(x)]
        for layer in self.vgg[23:]:
            x = layer(x)
        maps.append(x)
        for i, layer in enumerate(self.extras):
            x = torch.relu(layer(x))
            if i % 2:
                maps.append(x)
        rows = [[head(m).permute(0, 2, 3, 1).flatten(1) for m, head in zip(maps, side)] for side in (self.conf, self.loc)]
        return torch.cat(rows[0], 1).view(len(x), -1, self.outputs), torch.cat(rows[1], 1).view(len(x), -1, 4)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        layers = vgg_layers()
        self.scale_weight = nn.Parameter(torch.full((512,), 20.0))
        self.features = nn.Sequential(*layers[:23])
        self.extra = nn.ModuleList([nn.Sequential(*layers[23:], nn.Sequential(*dilated_layers()))])
        channels = 1024
        for narrow, wide, stride, padding in EXTRAS:
            steps = [Conv2d(channels, narrow, 1), nn.ReLU(), Conv2d(narrow, wide, 3, stride, padding), nn.ReLU()]
            self.extra.append(nn.Sequential(*steps))
            channels = wide

    def forward(self, x):
        x = self.features(x)
        maps = [self.scale_weight.view(1, -1, 1, 1) * nn.functional.normalize(x)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return maps


class Head(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs
        self.module_list = heads(outputs)

    def forward(self, maps):
        rows = []
        for x, head in zip(maps, self.module_list):
            y = head(x)
            batch, _, height, width = y.shape
            rows.append(y.view(batch, -1, self.outputs, height, width).permute(0, 3, 4, 1, 2).reshape(batch, -1, self.outputs))
        return torch.cat(rows, 1)


class TorchvisionSSD300(nn.Module):
    """torchvision's ssd300_vgg16 between its transform and its decoding; outputs as SSDPytorch."""

    def __init__(self, slots=91):
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.ModuleDict({"classification_head": Head(slots), "regression_head": Head(4)})

    def forward(self, x):
        maps = self.backbone(x)
        return self.head["classification_head"](maps), self.head["regression_head"](maps)


def randomized(net, first, pixels=1.0, seed=0):
    """The net in eval mode with He-normal weights, biases and BatchNorm statistics at random: activations keep their range.

    Args:
        first: its first convolution, whose weights are divided by `pixels`, the range of the input.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like, std=1.0):
        return torch.randn(like.shape, generator=generator) * std

    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.copy_(normal(module.weight, math.sqrt(2 / module.weight[0].numel())))
                if module.bias is not None:
                    module.bias.copy_(normal(module.bias, 0.1))
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(1 + normal(module.weight, 0.2)), module.bias.copy_(normal(module.bias, 0.1))
                module.running_mean.copy_(normal(module.bias, 0.1)), module.running_var.copy_(1 + normal(module.bias).abs())
        first.weight /= pixels
    return net.eval()


@torch.no_grad()
def run(net, x: np.ndarray) -> list:
    """Outputs of a net as numpy arrays."""
    return [output.numpy() for output in net(torch.from_numpy(x))]
