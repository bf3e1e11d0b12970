"""MXNet's operators that torch lacks, in plain torch.

An exported `model.py` holds this text, so nothing else is imported here. The functions depend on shapes alone, never on
values, so that `torch.compile` takes them as they are. They make no tensor out of Python's numbers: a GPU would wait for the copy
of each. Where numbers grow, as squares do, half precision is computed in float32.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class BatchNorm(torch.nn.Module):
    """A batch norm with MXNet's running variance, that of the population; torch's own takes that of a sample.

    In training the output is that of the batch's own mean and variance. The running ones move towards them by 1 - momentum,
    where a gradient will come back through the norm: MXNet moves them in the backward pass, so those of a norm over the images
    themselves, or of frozen layers before all that learn, stay. After `eval()`, or with `frozen`, the running ones are used and
    stay. The tensors are arguments, (C,) each, because in MXNet's files they are named like all others.

    Args:
        momentum: MXNet's, 0.9 by default there: how much of the running values stays.
        eps: added to the variance.
        frozen: MXNet's use_global_stats.
    """

    def __init__(self, momentum: float, eps: float, frozen: bool):
        super().__init__()
        self.momentum, self.eps, self.frozen = momentum, eps, frozen

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}, eps={self.eps}, frozen={self.frozen}"

    def forward(self, x: Tensor, gamma: Tensor | None, beta: Tensor, running_mean: Tensor, running_var: Tensor) -> Tensor:
        training = self.training and not self.frozen
        rate = 1 - self.momentum
        if not training:
            return torch.batch_norm(x, gamma, beta, running_mean, running_var, False, rate, self.eps, True)
        learns = any(tensor is not None and tensor.requires_grad for tensor in (x, gamma, beta))
        if not (learns and torch.is_grad_enabled()):
            return torch.batch_norm(x, gamma, beta, None, None, True, rate, self.eps, True)
        moved = running_var.clone()
        y = torch.batch_norm(x, gamma, beta, running_mean, moved, True, rate, self.eps, True)
        with torch.no_grad():
            count = x.numel() // x.shape[1]
            if count > 1:
                # moved = momentum * running + rate * variance * count / (count - 1)
                running_var.mul_(self.momentum / count).add_(moved, alpha=(count - 1) / count)
            else:
                running_var.mul_(self.momentum)  # the variance of one value is 0
        return y


def sparing_anchors(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of tensors, such as `Module.to` applies, for a module whose tensors of five axes are anchors. These get no
    memory format, which is for images, and no half precision, which would round them to whole pixels or more."""

    def apply(tensor: Tensor) -> Tensor:
        if tensor.ndim != 5:
            return function(tensor)
        result = function(tensor.flatten())
        if result.dtype.itemsize < 4:
            result = tensor.flatten().to(result.device)
        return result.reshape(tensor.shape)

    return apply


def at_least_float32(x: Tensor) -> Tensor:
    """`x`, which is made float32 where it is of half precision: float16 ends at 65504, the square of 256."""
    return x.float() if x.dtype.itemsize < 4 else x


def reshape(x: Tensor, codes: Sequence[int]) -> Tensor:
    """MXNet's reshape: 0 keeps an axis, -1 is what remains, -2 keeps all that follow, -3 merges two, -4 splits one into the next
    two numbers, of which one may be -1."""
    shape: list[int] = []
    axis, left = 0, list(codes)
    while left:
        code = left.pop(0)
        if code == -2:
            shape += x.shape[axis:]
            axis = x.ndim
        elif code == -3:
            shape.append(x.shape[axis] * x.shape[axis + 1])
            axis += 2
        elif code == -4:
            first, second = left.pop(0), left.pop(0)
            first = x.shape[axis] // second if first == -1 else first
            shape += [first, x.shape[axis] // first]
            axis += 1
        else:
            shape.append(x.shape[axis] if code == 0 else code)
            axis += 1
    return x.reshape(shape)


def slice_like(x: Tensor, like: Tensor, axes: Sequence[int]) -> Tensor:
    """The first part of `x` that is as large as `like` along some axes."""
    return x[tuple(slice(like.shape[i]) if i in axes else slice(None) for i in range(x.ndim))]


def broadcast_axes(x: Tensor, axes: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """`x` repeated along axes of size 1."""
    shape = list(x.shape)
    for axis, size in zip(axes, sizes):
        shape[axis] = size
    return x.expand(shape)


def l2_normalize(x: Tensor, axes: list[int], eps: float) -> Tensor:
    """`x` divided by the root of the sum of its squares over some axes; eps is inside of the root, and 0 in float16."""
    wide = at_least_float32(x)
    return (wide / (wide.square().sum(axes, keepdim=True) + eps).sqrt()).to(x.dtype)


def local_response_norm(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """`x` divided by a power of k plus the mean of squares of `size` channels around each (Krizhevsky et al. 2012)."""
    return torch.nn.functional.local_response_norm(at_least_float32(x), size, alpha, beta, k).to(x.dtype)


def softmax_of_all(x: Tensor) -> Tensor:
    """The softmax over all axes after the first together."""
    return x.flatten(1).softmax(1).reshape(x.shape)


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`x` where the condition is not 0, else `y`."""
    return torch.where(condition != 0, x, y)


def arange(like: Tensor, start: float, stop: float, step: float) -> Tensor:
    """Numbers from start to below stop, on the device of `like`."""
    return torch.arange(start, stop, step, dtype=torch.float32, device=like.device)


def full(like: Tensor, shape: Sequence[int], value: float) -> Tensor:
    """An array of one number, on the device of `like`."""
    return torch.full(shape, value, dtype=torch.float32, device=like.device)


def normalize(x: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images (B, C, H, W) less the mean of each channel, divided by its std; C numbers each, or one for all channels."""
    shifts, scales = (list(values) * (x.shape[1] // len(values)) for values in (mean, std))
    return torch.stack([(channel - m) / s for channel, m, s in zip(x.unbind(1), shifts, scales)], 1)


def box_prior(x: Tensor, halves: list[list[float]], steps: Sequence[float], offsets: Sequence[float], clip: bool) -> Tensor:
    """Anchors (1, H * W * A, 4) of a feature map (B, C, H, W), corners in normalized coordinates.

    `halves` are half of the width and height of each of A anchors in parts of the image's height; `steps` and `offsets` are
    (vertical, horizontal), a step of 0 or less is that of the feature map.
    """
    height, width = x.shape[2:]
    rows, columns = (
        (torch.arange(count, dtype=torch.float32, device=x.device) + offset) * (step if step > 0 else 1 / count)
        for count, step, offset in zip((height, width), steps, offsets)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    sides = [(wide * height / width, high) for wide, high in halves]
    corners = torch.stack([torch.stack([x - w, y - h, x + w, y + h], 2) for w, h in sides], 2).reshape(1, -1, 4)
    return corners.clamp(0, 1) if clip else corners


def center_form(anchors: Tensor) -> Tensor:
    """(1, N, 4) corners as center x, center y, width, height."""
    first, second = anchors.chunk(2, 2)
    return torch.cat([(first + second) * 0.5, second - first], 2)


def in_pixels(anchors: Tensor, images: Tensor) -> Tensor:
    """(1, N, 4) normalized coordinates as pixels of images (B, 3, H, W)."""
    height, width = images.shape[2:]
    x, y = anchors.unflatten(2, (2, 2)).unbind(3)
    return torch.stack([x * width, y * height], 3).flatten(2)
