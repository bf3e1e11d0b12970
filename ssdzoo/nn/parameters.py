"""How parameters of several blocks start, and what they hold."""

from typing import Any

from ssdzoo.runtime import mx

# He et al. 2015, "Delving Deep into Rectifiers", section 2.2.
HE_FAN_OUT = mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
HE_FAN_IN = mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)


class Fixed(mx.init.Initializer):
    """Initializes a parameter to a given array. (`mx.init.Constant` would write its numbers into every exported symbol.)"""

    def __init__(self, value: Any):
        super().__init__()
        self._value = value

    def _init_weight(self, _, array):
        self._value.copyto(array)


def current_value(parameter: Any) -> Any:
    """The NDArray that a parameter holds on its first context; that of a constant even before it is initialized."""
    return parameter.value if parameter._data is None else parameter.data(parameter.list_ctx()[0])
