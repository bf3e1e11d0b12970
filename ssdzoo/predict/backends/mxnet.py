"""MXNet as a backend: networks of Gluon, and exported symbols."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.machine import package_version
from ssdzoo.model_source import SymbolSource
from ssdzoo.predict.backends.protocol import HeadOutputs, NoHeadOutputs
from ssdzoo.preset import Preset
from ssdzoo.runtime import mxnet
from ssdzoo.symbol_preset import parse_symbol


class MXNetBackend:
    """Runs a Gluon network, an SSD or an exported symbol, on the first context of its parameters; see `protocol.Backend`.

    Args:
        net: called with images (B, 3, H, W) float32, it gives class ids, scores and boxes; or, as MultiBoxDetection does, rows of
            these with boxes in normalized coordinates.
        channels_last: it takes (B, H, W, 3) float32 instead.
    """

    file: Path | None = None
    in_flight = 1

    def __init__(self, net: Any, channels_last: bool = False):
        self._net, self._channels_last = net, channels_last
        self._context = next(iter(net.collect_params().values())).list_ctx()[0]
        self.runtime = f"mxnet {package_version('mxnet')}"

    def __call__(self, images: np.ndarray) -> tuple:
        outputs = self._net(self._array(images))
        if isinstance(outputs, (list, tuple)):
            return tuple(output.asnumpy() for output in outputs)
        return _split_rows(outputs.asnumpy(), *images.shape[2:])

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        if not hasattr(self._net, "head_outputs"):
            raise NoHeadOutputs("an exported symbol in mxnet gives its detections alone")
        logits, offsets, _ = self._net.head_outputs(self._array(images))
        return HeadOutputs(logits.asnumpy(), offsets.asnumpy())

    def _array(self, images: np.ndarray) -> Any:
        if self._channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        return mxnet().nd.array(images, ctx=self._context)


def _split_rows(rows: np.ndarray, height: int, width: int) -> tuple:
    """Class ids (B, K, 1), scores (B, K, 1) and boxes (B, K, 4) in pixels of the best rows (B, N, 6), at most as many as an ONNX
    file of the same graph gives. Rows that NMS dropped lie between the others, with an id of -1."""
    order = np.argsort(np.where(rows[..., 0] < 0, np.inf, -rows[..., 1]), axis=1, kind="stable")[:, : Preset.post_nms]
    rows = np.take_along_axis(rows, order[..., None], 1)
    return rows[..., :1], rows[..., 1:2], rows[..., 2:] * np.array([width, height] * 2, np.float32)


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
