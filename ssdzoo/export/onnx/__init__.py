"""SSD symbols as ONNX: `to_onnx` translates the symbol's file itself, without mxnet.

`export` writes the file. `fold_norms` makes batch norms a part of convolutions. `translate` goes through the nodes with the
translators of `layers`, `arithmetic`, `shapes` and `boxes`; each is given an `operator` and adds to a `builder`. `candidates` and
`nms` are parts of `boxes`. `interface` gives the model its input and outputs.
"""

import importlib.util

from ssdzoo.errors import SSDZooError

if importlib.util.find_spec("onnx") is None:
    raise SSDZooError("ONNX models need the package onnx, which is not installed: pip install 'ssdzoo[onnx]'")

from ssdzoo.export.onnx.export import to_onnx

__all__ = ["to_onnx"]
