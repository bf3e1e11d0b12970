"""A GPU without values: torch's fake tensors say that they lie on one, whether this torch has CUDA or not.

They have no gradients here: a torch without CUDA ends the process where a backward pass is recorded for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

CARD = torch.device("cuda", 0)
FROM_HOST = {torch.tensor, torch.as_tensor, torch.from_numpy, torch.Tensor.new_tensor, torch.asarray}
HALVES = (torch.float16, torch.bfloat16)
# Those that overflow or lose much in half precision, and that autocast may or may not give float32.
GROWING = {
    "pow",
    "square",
    "sum",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "norm",
    "rsqrt",
    "reciprocal",
    "_softmax",
    "_log_softmax",
}


def tensors(values) -> list[torch.Tensor]:
    return [value for value in tree_iter(values) if isinstance(value, torch.Tensor)]


class OnTheCard(TorchFunctionMode):
    """Fails where a tensor leaves the card, comes from the host, or where the host waits for a value.

    Args:
        waits: the names of functions for whose answer the host may wait; `torch.equal` says True then.
    """

    def __init__(self, waits=()):
        super().__init__()
        self._waits, self.waited = waits, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in FROM_HOST, f"{function.__name__} copies numbers from the host, for which the card waits"
        if function is torch.equal and "equal" in self._waits:
            self.waited += 1
            return True
        if function is torch.Tensor.__getitem__:
            return picked(*args)
        if function is torch.Tensor.__setitem__:
            part, value = picked(*args[:2]), args[2]
            assert torch.broadcast_shapes(part.shape, value.shape) == part.shape and value.device == part.device
            return None
        if function is torch.Tensor.__invert__:
            return args[0].bitwise_not()
        result = function(*args, **(kwargs or {}))
        for tensor in tensors(result):
            assert tensor.device.type == "cuda", f"{function.__name__} gives a tensor on {tensor.device}"
        return result


def picked(tensor: torch.Tensor, index) -> torch.Tensor:
    """tensor[index] of numbers, slices, None and `...`, by functions that need no CUDA. Other indices depend on values."""
    axis, index = 0, index if isinstance(index, tuple) else (index,)
    for position, one in enumerate(index):
        if one is None:
            tensor, axis = tensor.unsqueeze(axis), axis + 1
        elif one is Ellipsis:
            axis = tensor.ndim - sum(i is not None for i in index[position + 1 :])
        elif isinstance(one, slice):
            end = one.stop if one.stop is not None else 2**62
            tensor, axis = torch.ops.aten.slice(tensor, axis, one.start or 0, end, one.step or 1), axis + 1
        else:
            assert type(one) is int, f"an index of type {type(one).__name__}: the shape depends on values"
            tensor = tensor.select(axis, one)
    return tensor


class InFloat32(TorchDispatchMode):
    """Counts the operators out of GROWING, and fails where one gives half precision."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ in GROWING:
            halves = [tensor.dtype for tensor in tensors(result) if tensor.dtype in HALVES]
            assert not halves, f"{function} gives {halves}"
            self.count += 1
        return result


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module with its tensors replaced by fake ones on the card. Only inside of a FakeTensorMode."""
    for part in module.modules():
        for name, tensor in part._parameters.items():
            if tensor is not None:
                part._parameters[name] = torch.nn.Parameter(
                    torch.empty(tensor.shape, dtype=tensor.dtype, device=CARD), requires_grad=False
                )
        for name, tensor in part._buffers.items():
            part._buffers[name] = torch.empty(tensor.shape, dtype=tensor.dtype, device=CARD)
    return module


@contextmanager
def card() -> Iterator[None]:
    """Where fake tensors may be made, without gradients."""
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=False):
        yield


@contextmanager
def autocast(dtype: torch.dtype | None) -> Iterator[None]:
    """`torch.autocast("cuda", dtype)`, which switches itself off without CUDA; None for none."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", dtype is not None)
    torch.set_autocast_dtype("cuda", dtype or torch.float16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
