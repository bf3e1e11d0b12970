"""MXNet as a backend: networks of Gluon, and exported symbols."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.machine import package_version
from ssdzoo.model_source import SymbolSource
from ssdzoo.predict.backends.protocol import HeadOutputs, NoHeadOutputs
from ssdzoo.runtime import mxnet
from ssdzoo.symbol_preset import parse_symbol


class MXNetBackend:
    """Runs a Gluon network, an SSD or an exported symbol, on the first context of its parameters; see `protocol.Backend`.

    Args:
        net: called with images (B, 3, H, W) float32, it gives class ids, scores and boxes.
        channels_last: it takes (B, H, W, 3) float32 instead.
    """

    file: Path | None = None
    in_flight = 1

    def __init__(self, net: Any, channels_last: bool = False):
        self._net, self._channels_last = net, channels_last
        self._context = next(iter(net.collect_params().values())).list_ctx()[0]
        self.runtime = f"mxnet {package_version('mxnet')}"

    def __call__(self, images: np.ndarray) -> tuple:
        return tuple(output.asnumpy() for output in self._net(self._array(images)))

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        if not hasattr(self._net, "head_outputs"):
            raise NoHeadOutputs("an exported symbol in mxnet gives its detections alone")
        logits, offsets, _ = self._net.head_outputs(self._array(images))
        return HeadOutputs(logits.asnumpy(), offsets.asnumpy())

    def _array(self, images: np.ndarray) -> Any:
        if self._channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        return mxnet().nd.array(images, ctx=self._context)


def symbol_block(source: SymbolSource, ctx: Any = None) -> Any:
    """An exported model as a hybridized gluon.SymbolBlock on `ctx`.

    Raises:
        WeightsError: one of the files is damaged, or they don't fit together.
    """
    mx, arrays = mxnet(), source.arrays
    symbol_file, params_file = source.symbol, source.params.name
    try:
        with warnings.catch_warnings():
            # It asks for the type of the data, and then takes that of the parameters.
            warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
            block = mx.gluon.SymbolBlock(parse_symbol(source.graph), [mx.sym.var(source.input.name)])
        parameters = block.collect_params()
        odd = sorted(parameters.keys() ^ arrays.keys())
        if odd:
            where = "the parameter file lacks" if odd[0] in parameters else "the graph lacks"
            raise WeightsError(f"{symbol_file} and {params_file} don't belong together: {where} {odd[0]!r}")
        for name, parameter in parameters.items():
            array = mx.nd.array(arrays[name], dtype=arrays[name].dtype)
            parameter._load_init(array, ctx or mx.cpu(), cast_dtype=True, dtype_source="saved")
    except (mx.base.MXNetError, AssertionError) as error:
        raise WeightsError(f"{symbol_file} and {params_file} don't load: {str(error).strip().splitlines()[-1]}") from None
    block.hybridize()
    return block
