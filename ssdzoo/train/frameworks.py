"""Which framework trains."""

from typing import Any


def framework(engine: str) -> Any:
    """The module that starts an engine of `Settings.engine`: `join`, `start_engine`, `set_threads` and `image_losses`.
    Importing it imports its framework."""
    if engine == "torch":
        from ssdzoo.train.torch import start as torch_start

        return torch_start
    from ssdzoo.train.mxnet import start as mxnet_start

    return mxnet_start
