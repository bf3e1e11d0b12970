"""A moving average of the weights (Polyak and Juditsky 1992), which is evaluated in their place."""

from contextlib import contextmanager

from ssdzoo.runtime import mxnet

mx = mxnet()


class MovingAverage:
    """average <- d * average + (1 - d) * weights after each update, with d = min(decay, (1 + t) / (10 + t)) after t updates, so
    that the first weights are soon forgotten. The statistics of batch norms are averaged alike.

    Args:
        net: the network whose weights are averaged.
        decay: near 1, such as 0.998: the average reaches back about 1 / (1 - decay) updates.
    """

    def __init__(self, net, decay: float):
        self._parameters = {
            name: p for name, p in net._collect_params_with_prefix().items() if not isinstance(p, mx.gluon.Constant)
        }
        self._decay = decay
        self.averages = {name: _on_first(p).copy() for name, p in self._parameters.items()}

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
            average += (1 - decay) * (_on_first(parameter) - average)

    @contextmanager
    def in_place(self):
        """The network has the average for its weights as long as the block runs."""
        kept = {name: _on_first(p).copy() for name, p in self._parameters.items()}
        self._set(self.averages)
        try:
            yield
        finally:
            self._set(kept)

    def _set(self, arrays: dict) -> None:
        for name, parameter in self._parameters.items():
            parameter.set_data(arrays[name])


def _on_first(parameter):
    return parameter.list_data()[0]
