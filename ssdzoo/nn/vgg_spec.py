"""The layers of the VGG SSDs as numbers, for the network and for what reads weights from elsewhere. No mxnet here.

Source: Liu et al. 2016, section 3, as GluonCV lays it out.
"""

# By number of layers: convolutions of each stage, and their channels.
vgg_spec = {
    11: ([1, 1, 2, 2, 2], [64, 128, 256, 512, 512]),
    13: ([2, 2, 2, 2, 2], [64, 128, 256, 512, 512]),
    16: ([2, 2, 3, 3, 3], [64, 128, 256, 512, 512]),
    19: ([2, 2, 4, 4, 4], [64, 128, 256, 512, 512]),
}

_HALVE = ((256, 1, 1, 0), (512, 3, 2, 1))
_HALVE_NARROW = ((128, 1, 1, 0), (256, 3, 2, 1))
_SHRINK = ((128, 1, 1, 0), (256, 3, 1, 0))

# The extra stages after conv7, by input size: (channels, kernel, stride, padding) of each convolution.
extra_spec = {
    300: [_HALVE, _HALVE_NARROW, _SHRINK, _SHRINK],
    512: [_HALVE, _HALVE_NARROW, _HALVE_NARROW, _HALVE_NARROW, ((128, 1, 1, 0), (256, 4, 1, 1))],
}


def extra_stages(size: int, last_kernel: int | None = None) -> list[tuple]:
    """`extra_spec[size]`, whose last convolution has another kernel where one is given, as mxnet-ssd's SSD512 has it: 3 in place
    of 4, which leaves a feature map of 2x2."""
    *before, (*convolutions, (channels, kernel, stride, pad)) = extra_spec[size]
    return [*before, (*convolutions, (channels, last_kernel or kernel, stride, pad))]


DILATED_CHANNELS = 1024  # of conv6 and conv7
