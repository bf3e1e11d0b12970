"""SSD symbols as torch modules: `to_torch` translates the symbol's file itself, without mxnet.

`module` finds the symbol of a model. `translate` goes through its nodes with the translators of `layers`, `arithmetic`, `shapes`
and `boxes`; each is given an `operator` call and adds to a `builder`. `operations` is what torch lacks.
"""

import importlib.util

from ssdzoo.errors import SSDZooError

if importlib.util.find_spec("torch") is None:
    raise SSDZooError("torch modules need the package torch, which is not installed: pip install 'ssdzoo[torch]'")

from ssdzoo.export.heads import head_symbol
from ssdzoo.export.torch.module import set_arrays, to_arrays, to_torch

__all__ = ["head_symbol", "set_arrays", "to_arrays", "to_torch"]
