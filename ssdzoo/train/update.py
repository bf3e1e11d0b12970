"""From gradients to new weights: sums over contexts and processes, clipping, optimizer, half precision."""

from contextlib import contextmanager

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.runtime import mxnet

mx = mxnet()

_SUMS = 1 << 20  # a key beyond those of the parameters, which are counted from 0


class Updater:
    """Updates a network's weights.

    Args:
        net: an initialized network; `settings`: see `ssdzoo.train.settings.Settings`.
        store: MXNet's distributed key-value store, or None for this process alone.
    """

    def __init__(self, net, settings, store=None):
        paths = net._collect_params_with_prefix()
        self._paths = [path for path, p in paths.items() if p.grad_req != "null"]
        self._parameters = [paths[path] for path in self._paths]
        self._clip_norm, self._store = settings.clip_norm, store
        self._adds = settings.accumulate > 1
        for parameter in self._parameters:
            if self._adds:
                parameter.grad_req = "add"
            if not settings.bias_decay and parameter.name.endswith(("_bias", "_gamma", "_beta", "_scale")):
                parameter.wd_mult = 0.0
        arguments = {"learning_rate": 0.01, "wd": settings.weight_decay}
        if settings.optimizer == "sgd":
            arguments["momentum"] = settings.momentum
        self._trainer = mx.gluon.Trainer(
            self._parameters, settings.optimizer, arguments, kvstore=store or "device", update_on_kvstore=False
        )
        self._amp = settings.amp
        if self._amp:
            mx.contrib.amp.init_trainer(self._trainer)
        if store:
            store.init(_SUMS, mx.nd.zeros((4,)))

    def sum_over_processes(self, values: np.ndarray) -> np.ndarray:
        """The sums of up to four numbers over all processes that train together."""
        if not self._store:
            return values
        total = mx.nd.zeros((4,))
        total[: len(values)] = values
        self._store.push(_SUMS, total)
        self._store.pull(_SUMS, out=total)
        return total.asnumpy()[: len(values)].astype(np.float64)

    @contextmanager
    def scaled(self, totals: list):
        """What to differentiate instead of `totals`: the same, or in half precision larger numbers."""
        if not self._amp:
            yield totals
            return
        with mx.contrib.amp.scale_loss(totals, self._trainer) as scaled:
            yield scaled

    def step(self, rate: float, divisor: float) -> None:
        """Updates the weights with the gradients over `divisor`, and begins to collect new ones."""
        self._trainer.set_learning_rate(rate)
        self._trainer.allreduce_grads()
        if self._clip_norm:
            self._clip(self._clip_norm * divisor)
        self._trainer.update(divisor)
        if self._adds:
            for parameter in self._parameters:
                parameter.zero_grad()

    def _clip(self, largest: float) -> None:
        for grads in zip(*(p.list_grad() for p in self._parameters)):
            norm = np.sqrt(float(mx.nd.multi_sum_sq(*grads, num_arrays=len(grads)).sum().asscalar()))
            if norm > largest:
                for grad in grads:
                    grad *= largest / norm

    def state(self) -> dict:
        """The optimizer's arrays, {"attribute path:number": array}: momenta, or Adam's moments."""
        states = self._trainer._updaters[0].states.items()
        return {name: part.asnumpy() for index, state in states for name, part in self._named(index, state).items()}

    def restore(self, arrays: dict, updates: int) -> None:
        """Continues after that many updates with arrays that `state` gave.

        Raises:
            CallError: they belong to another optimizer or other weights.
        """
        expected = {
            name: part.shape for i in range(len(self._parameters)) for name, part in self._named(i, self._fresh(i)).items()
        }
        if {name: array.shape for name, array in arrays.items()} != expected:
            raise CallError(
                "the saved optimizer state is of another --optimizer, or of other weights: resume with the same arguments"
            )
        for context, updater in enumerate(self._trainer._updaters):
            for i in range(len(self._parameters)):
                state = updater.states[i] = self._fresh(i, context)
                updater.states_synced[i] = True
                for name, part in self._named(i, state).items():
                    part[:] = arrays[name]
        optimizer = self._trainer.optimizer
        optimizer.begin_num_update = optimizer.num_update = updates

    def _fresh(self, index: int, context: int = 0):
        """The state with which a parameter begins on one of its contexts."""
        return self._trainer.optimizer.create_state_multi_precision(index, self._parameters[index].list_data()[context])

    def _named(self, index: int, state) -> dict:
        """{"attribute path:number": array} of a parameter's state: None, an array, or several."""
        parts = state if isinstance(state, (list, tuple)) else [state]
        return {f"{self._paths[index]}:{k}": part for k, part in enumerate(parts) if part is not None}


def check_amp(contexts: list) -> None:
    """Switches half precision on, before the network is built.

    Raises:
        CallError: not on GPUs, where MXNet has half precision of use.
    """
    if any(context.device_type != "gpu" for context in contexts):
        raise CallError(
            "--amp needs --gpus: on CPUs MXNet's half precision converts the weights anew in each call, and is slower than none"
        )
    mx.contrib.amp.init()
