"""SSD symbols as ONNX: `to_onnx` translates the symbol's file itself, without mxnet.

`symbol_graph` reads the file; `fold` makes batch norms a part of convolutions; `translate` goes through its nodes with the
translators of `layers`, `tensors` and `boxes`; `contract` gives the model its input and outputs.
"""

import importlib.util

from ssdzoo.errors import SSDZooError

if importlib.util.find_spec("onnx") is None:
    raise SSDZooError("ONNX models need the package onnx, which is not installed: pip install 'ssdzoo[onnx]'")

from ssdzoo.export.onnx.export import to_onnx

__all__ = ["to_onnx"]
