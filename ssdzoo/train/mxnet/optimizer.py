"""What changes the weights: MXNet's optimizer, with a state that has names, and a moving average."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.runtime import mx
from ssdzoo.train.settings import Settings


class Optimizer(mx.gluon.Trainer):
    """Updates the parameters of a network that learn.

    Args:
        net: an initialized network.
        settings: see `ssdzoo.train.settings.Settings`.
        store: MXNet's distributed key-value store, or None for this process alone.
    """

    def __init__(self, net: Any, settings: Settings, store: Any = None):
        self.learning = {path: p for path, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
        for parameter in self.learning.values():
            if settings.accumulate > 1:
                parameter.grad_req = "add"
            if not settings.bias_decay and parameter.name.endswith(("_bias", "_gamma", "_beta", "_scale")):
                parameter.wd_mult = 0.0
        arguments = {"learning_rate": 0.01, "wd": settings.weight_decay}
        if settings.optimizer == "sgd":
            arguments["momentum"] = settings.momentum
        parameters = list(self.learning.values())
        super().__init__(parameters, settings.optimizer, arguments, kvstore=store or "device", update_on_kvstore=False)
        if store:
            # MXNet pulls the first worker's weights without an order between this and the first push of gradients under the same
            # keys, so that a worker could get their sum for its weights.
            self._init_kvstore()
            self._init_params()
            mx.nd.waitall()
        self._amp = settings.amp
        if self._amp:
            mx.contrib.amp.init_trainer(self)

    def scaled(self, totals: list) -> Any:
        """A context with what to differentiate in place of `totals`: the same, or in half precision larger numbers."""
        return mx.contrib.amp.scale_loss(totals, self) if self._amp else nullcontext(totals)

    def clip(self, maximum: float) -> None:
        """Bounds the L2 norm of all gradients together."""
        for grads in zip(*(p.list_grad() for p in self.learning.values())):  # of each context
            norm = np.sqrt(float(mx.nd.multi_sum_sq(*grads, num_arrays=len(grads)).sum().asscalar()))
            if norm > maximum:
                for grad in grads:
                    grad *= maximum / norm

    def zero_grads(self) -> None:
        """Begins to add up gradients again, where several batches are added."""
        for parameter in self.learning.values():
            if parameter.grad_req == "add":
                parameter.zero_grad()

    def state(self) -> dict:
        """The optimizer's arrays, {"attribute path:number": array}: momenta, or Adam's moments."""
        return {name: part.asnumpy() for name, part in self._named(self._updaters[0].states).items()}

    def restore(self, arrays: dict, updates: int) -> None:
        """Continues after that many updates with arrays that `state` gave.

        Raises:
            CallError: they belong to another optimizer or other weights.
        """
        for context, updater in enumerate(self._updaters):
            states = self._new_states(context)
            parts = self._named(states)
            if {name: part.shape for name, part in parts.items()} != {name: array.shape for name, array in arrays.items()}:
                raise CallError(
                    "the saved optimizer state is of another optimizer=, or of other weights: resume with the same arguments"
                )
            for name, part in parts.items():
                part[:] = arrays[name]
            updater.states.update(states)
            updater.states_synced.update(dict.fromkeys(states, True))
        self.optimizer.begin_num_update = self.optimizer.num_update = updates

    def _new_states(self, context: int) -> dict:
        """{index of a parameter: the state with which it begins} on one context."""
        create = self.optimizer.create_state_multi_precision
        return {i: create(i, p.list_data()[context]) for i, p in enumerate(self.learning.values())}

    def _named(self, states: dict) -> dict:
        """{"attribute path:number": array} of states, each of which is None, an array, or several."""
        paths = list(self.learning)
        named: dict[str, Any] = {}
        for index, state in states.items():
            parts = state if isinstance(state, (list, tuple)) else [state]
            named |= {f"{paths[index]}:{k}": part for k, part in enumerate(parts) if part is not None}
        return named


class MovingAverage:
    """A moving average of the weights (Polyak and Juditsky 1992), which is evaluated in their place.

    average <- d * average + (1 - d) * weights after each update, with d = min(decay, (1 + t) / (10 + t)) after t updates, so
    that the first weights are soon forgotten. The statistics of batch norms are averaged alike.

    Args:
        net: the network whose weights are averaged.
        decay: near 1, such as 0.998: the average reaches back about 1 / (1 - decay) updates.
    """

    def __init__(self, net: Any, decay: float):
        self._parameters = {
            name: p for name, p in net._collect_params_with_prefix().items() if not isinstance(p, mx.gluon.Constant)
        }
        self._decay = decay
        self.averages = self._weights()

    def _weights(self) -> dict:
        return {name: p.list_data()[0].copy() for name, p in self._parameters.items()}

    def restore(self, arrays: dict) -> None:
        """Continues with saved averages, (name: numpy array); those that are missing stay as they are."""
        for name, average in self.averages.items():
            if name in arrays:
                average[:] = arrays[name]

    def update(self, updates: int) -> None:
        """After the update of that number, counted from 1."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for name, parameter in self._parameters.items():
            average = self.averages[name]
            average += (1 - decay) * (parameter.list_data()[0] - average)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the average for its weights as long as the block runs."""
        kept = self._weights()
        self._set(self.averages)
        try:
            yield
        finally:
            self._set(kept)

    def _set(self, arrays: dict) -> None:
        for name, parameter in self._parameters.items():
            parameter.set_data(arrays[name])
