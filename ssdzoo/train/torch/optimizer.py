"""What changes the weights: SGD and Adam as MXNet computes them, with a state that has names, and a moving average."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ssdzoo.errors import CallError
from ssdzoo.train.settings import Settings

_UNDECAYED = re.compile(r"[._](bias|gamma|beta|scale)$")  # without bias_decay
_SCALER = "scaler"  # in a state, beside the names of parameters


class _Groups:
    """Groups of parameters, {"params": [...], option: value}, and a state for each parameter: what `torch.amp.GradScaler` takes
    for an optimizer. That of torch.optim would import torch's compiler, which takes seconds."""

    def __init__(self, groups: list[dict], **options: Any):
        self.param_groups = [{**options, **group} for group in groups]
        self.state: dict[torch.Tensor, dict[str, torch.Tensor]] = {}

    def zero_grad(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


class SGD(_Groups):
    """SGD with momentum as MXNet's `sgd_mom_update`: the learning rate is inside of the momentum, so that one that falls does not
    slow down what already moves.

        momentum <- momentum * m - lr * (gradient * rescale + weight_decay * weight);  weight <- weight + momentum
    """

    parts = ("momentum",)

    def __init__(self, groups: list[dict], momentum: float):
        super().__init__(groups, lr=0.01, momentum=momentum, rescale=1.0)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            weights, changes = _changes(group)
            moved = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_mul_(moved, group["momentum"])
            torch._foreach_add_(moved, changes, alpha=-group["lr"])
            torch._foreach_add_(weights, moved)


class Adam(_Groups):
    """Adam as MXNet's `adam_update`: weight decay is a part of the gradient, and epsilon stands beside the root of the second
    moment before its bias is corrected (Kingma and Ba 2015, end of section 2)."""

    parts = ("mean", "variance")

    def __init__(self, groups: list[dict], betas: tuple = (0.9, 0.999), epsilon: float = 1e-8):
        super().__init__(groups, lr=0.001, betas=betas, epsilon=epsilon, rescale=1.0, updates=1)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            weights, changes = _changes(group)
            first, second = group["betas"]
            means, variances = ([self.state[weight][part] for weight in weights] for part in self.parts)
            torch._foreach_lerp_(means, changes, 1 - first)
            torch._foreach_mul_(variances, second)
            torch._foreach_addcmul_(variances, changes, changes, value=1 - second)
            roots = torch._foreach_sqrt(variances)
            torch._foreach_add_(roots, group["epsilon"])
            correction = (1 - second ** group["updates"]) ** 0.5 / (1 - first ** group["updates"])
            torch._foreach_addcdiv_(weights, means, roots, value=-group["lr"] * correction)


def _changes(group: dict) -> tuple[list, list]:
    """The weights of a group, and their gradients with the weight decay."""
    weights = group["params"]
    changes = torch._foreach_mul([weight.grad for weight in weights], group["rescale"])
    torch._foreach_add_(changes, weights, alpha=group["weight_decay"])
    return weights, list(changes)


class Optimizer:
    """Updates the parameters of a module that learn.

    Args:
        module: the module.
        settings: see `ssdzoo.train.settings.Settings`.
        scaled: multiplies losses so that gradients in float16 don't vanish, and leaves out updates in which they are too large.
    """

    def __init__(self, module: torch.nn.Module, settings: Settings, scaled: bool = False):
        self.learning = {path: p for path, p in module.named_parameters() if p.requires_grad}
        still = {path for path in self.learning if not settings.bias_decay and _UNDECAYED.search(path)}
        groups = [
            {"params": [p for path, p in self.learning.items() if path not in still], "weight_decay": settings.weight_decay},
            {"params": [p for path, p in self.learning.items() if path in still], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        self._inner: Any = SGD(groups, settings.momentum) if settings.optimizer == "sgd" else Adam(groups)
        for weight in self.learning.values():
            self._inner.state[weight] = {part: torch.zeros_like(weight) for part in self._inner.parts}
        self._scaler = torch.amp.GradScaler(next(iter(self.learning.values())).device.type, enabled=scaled)

    def backward(self, total: torch.Tensor) -> None:
        """Adds the gradients of a sum of losses."""
        self._scaler.scale(total).backward()

    def update(self, number: int, rate: float, rescale: float, maximum: float | None = None) -> None:
        """Changes the weights, and begins to add up gradients again.

        Args:
            number: of the update, counted from 1.
            rate: learning rate.
            rescale: what the gradients are multiplied by.
            maximum: bounds the L2 norm of all gradients together, after that.
        """
        self._scaler.unscale_(self._inner)
        factor: float | torch.Tensor = rescale
        if maximum is not None:
            norm = torch.nn.utils.get_total_norm([p.grad for p in self.learning.values() if p.grad is not None]) * rescale
            factor = rescale * (maximum / norm.clamp(min=1e-30)).clamp(max=1.0)  # a tensor: no GPU is waited for
        for group in self._inner.param_groups:
            group.update(lr=rate, rescale=factor, updates=number)
        self._scaler.step(self._inner)
        self._scaler.update()
        self._inner.zero_grad()

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's arrays, {"attribute path:number": array}: momenta, or Adam's moments."""
        named = {name: tensor.float().cpu().numpy() for name, tensor in self._named().items()}
        if self._scaler.is_enabled():
            scaler = self._scaler.state_dict()
            named[_SCALER] = np.array([scaler["scale"], scaler["_growth_tracker"]], np.float32)
        return named

    def restore(self, arrays: dict) -> None:
        """Continues with arrays that `state` gave.

        Raises:
            CallError: they belong to another optimizer or other weights.
        """
        scaler = arrays.get(_SCALER)
        arrays = {name: array for name, array in arrays.items() if name != _SCALER}
        named = self._named()
        if {name: tuple(t.shape) for name, t in named.items()} != {name: array.shape for name, array in arrays.items()}:
            raise CallError(
                "the saved optimizer state is of another optimizer=, or of other weights: resume with the same arguments"
            )
        for name, tensor in named.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))
        if scaler is not None and self._scaler.is_enabled():
            known = {"scale": float(scaler[0]), "_growth_tracker": int(scaler[1])}
            self._scaler.load_state_dict({**self._scaler.state_dict(), **known})

    def _named(self) -> dict[str, torch.Tensor]:
        states = self._inner.state
        return {f"{path}:{k}": states[p][part] for path, p in self.learning.items() for k, part in enumerate(self._inner.parts)}


class MovingAverage:
    """A moving average of the weights, which is evaluated in their place; see `ssdzoo.train.mxnet.optimizer.MovingAverage`.

    Args:
        module: the module whose parameters and statistics are averaged.
        decay: near 1, such as 0.998.
    """

    def __init__(self, module: torch.nn.Module, decay: float):
        self._tensors = {name: t for name, t in module.state_dict().items() if t.is_floating_point()}
        self._decay = decay
        self._averages = {name: tensor.clone() for name, tensor in self._tensors.items()}

    def restore(self, arrays: dict) -> None:
        """Continues with saved averages, (name: numpy array); those that are missing stay as they are."""
        for name, average in self._averages.items():
            if name in arrays:
                average.copy_(torch.from_numpy(np.array(arrays[name])))

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """After the update of that number, counted from 1."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self._averages.values()), list(self._tensors.values()), 1 - decay)

    def arrays(self) -> dict[str, np.ndarray]:
        """{name: array} of the averages."""
        return {name: average.cpu().numpy() for name, average in self._averages.items()}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the average for its weights as long as the block runs."""
        kept = {name: tensor.clone() for name, tensor in self._tensors.items()}
        self._set(self._averages)
        try:
            yield
        finally:
            self._set(kept)

    @torch.no_grad()
    def _set(self, values: dict) -> None:
        for name, tensor in self._tensors.items():
            tensor.copy_(values[name])
