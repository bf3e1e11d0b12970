"""Layers of a network in numpy, for originals whose framework is not installed. Arrays are (C, H, W)."""

import numpy as np


def convolution(x, weight, stride=1, pad=(0, 0), value=0.0, groups=1):
    """(outputs, H, W) of `weight` (outputs, inputs / groups, rows, columns).

    Args:
        pad: rows and columns before and after the image; a number or two.
        value: of the padding; one number, or one for each channel.
    """
    x = padded(x, pad, value)
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    if groups == 1:
        return np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4)))
    assert groups == len(x) == len(weight)
    return np.einsum("cij,chwij->chw", weight[:, 0], windows)


def padded(x, pad, value=0.0):
    before, after = pad if isinstance(pad, tuple) else (pad, pad)
    out = np.empty((len(x), *(side + before + after for side in x.shape[1:])), x.dtype)
    out[:] = np.reshape(value, (-1, 1, 1))
    out[:, before : before + x.shape[1], before : before + x.shape[2]] = x
    return out


def batch_norm(x, gamma, beta, mean, variance, eps):
    gamma, beta, mean, variance = (np.reshape(v, (-1, 1, 1)) for v in (gamma, beta, mean, variance))
    return gamma * (x - mean) / np.sqrt(variance + eps) + beta


def max_pool(x, size, stride, pad):
    windows = np.lib.stride_tricks.sliding_window_view(padded(x, pad), (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return windows.max((3, 4))
