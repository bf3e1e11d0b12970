"""MXNet as a backend: networks of Gluon, and exported symbols."""

import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import ExportError, WeightsError
from ssdzoo.formats.graph_parts import with_detection
from ssdzoo.machine import cores, package_version
from ssdzoo.model_source import SymbolSource
from ssdzoo.predict.backends.protocol import HeadOutputs, NoHeadOutputs, run_error
from ssdzoo.preset import Preset
from ssdzoo.runtime import free_threads, mxnet, set_threads
from ssdzoo.symbol_mxnet import check_shapes, parse_symbol, reason
from ssdzoo.symbol_preset import image_shape

_FIRST_PASSES = 2  # of a shape; in the second one some weights have the layout that the first one gave them


class MXNetBackend:
    """Runs a Gluon network, an SSD or an exported symbol, on the first context of its parameters; see `protocol.Backend`.

    Args:
        net: called with images (B, 3, H, W) float32, it gives class ids, scores and boxes, or rows of these.
        channels_last: it takes (B, H, W, 3) float32 instead.
        normalized: its boxes are in normalized coordinates, as those of MultiBoxDetection are; else in pixels.
        steady: the number of threads stays, as in a training; else it follows the cores that other programs leave free.

    Raises:
        ExportError: when it is called, and mxnet can't run the network.
    """

    file: Path | None = None
    in_flight = 1
    takes_pixels = False

    def __init__(self, net: Any, channels_last: bool = False, normalized: bool = False, steady: bool = False):
        self._net, self._channels_last, self._normalized, self._steady = net, channels_last, normalized, steady
        self._local = threading.local()
        self._context = next(iter(net.collect_params().values())).list_ctx()[0]
        self.on_gpu = self._context.device_type == "gpu"
        self.runtime = f"mxnet {package_version('mxnet')}"

    def __call__(self, images: np.ndarray) -> tuple:
        try:
            with self._threads("detections", images.shape):
                outputs = self._net(self._array(images))
                arrays = [o.asnumpy() for o in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
        except mxnet().base.MXNetError as error:
            raise run_error(f"mxnet can't run the network: {reason(error)}") from None
        ids, scores, boxes = arrays if len(arrays) == 3 else _split_rows(arrays[0])
        if self._normalized:
            height, width = images.shape[2:]
            boxes = np.where(ids >= 0, boxes * np.array([width, height] * 2, np.float32), boxes)
        return ids, scores, boxes

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        if not hasattr(self._net, "head_outputs"):
            raise NoHeadOutputs("an exported symbol in mxnet gives its detections alone")
        with self._threads("head outputs", images.shape):
            logits, offsets, _ = self._net.head_outputs(self._array(images))
            return HeadOutputs(logits.asnumpy(), offsets.asnumpy())

    @contextmanager
    def _threads(self, *key: object) -> Iterator[None]:
        """All cores in the first passes of a graph with a shape, then those that are free; and all again for other code.

        oneDNN makes what it needs for a layer when that first runs, or when its weights have got another layout, for the threads
        that there are then. With more of them later it writes beyond its buffers.
        """
        free = None if self._steady else free_threads()
        if free is None:
            yield
            return
        passes = self._local.__dict__.setdefault("passes", Counter())  # mxnet keeps what oneDNN made for each thread
        passes[key] += 1
        set_threads(cores() if passes[key] <= _FIRST_PASSES else free)
        try:
            yield
        finally:
            set_threads(cores())

    def _array(self, images: np.ndarray) -> Any:
        if self._channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        return mxnet().nd.array(images, ctx=self._context)


def _split_rows(rows: np.ndarray) -> tuple:
    """Class ids (B, K, 1), scores (B, K, 1) and boxes (B, K, 4) of the best rows (B, N, 6), at most as many as an ONNX file of
    the same graph gives. Rows that NMS dropped lie between the others, with an id of -1."""
    order = np.argsort(np.where(rows[..., 0] < 0, np.inf, -rows[..., 1]), axis=1, kind="stable")[:, : Preset.post_nms]
    rows = np.take_along_axis(rows, order[..., None], 1)
    return rows[..., :1], rows[..., 1:2], rows[..., 2:]


def symbol_block(source: SymbolSource, ctx: Any = None) -> Any:
    """An exported model as a hybridized gluon.SymbolBlock on `ctx`.

    Raises:
        WeightsError: one of the files is damaged, or they don't fit together.
        ExportError: a graph that mxnet can't run, or one whose outputs are no detections.
    """
    mx, arrays = mxnet(), source.arrays
    symbol_file, params_file = source.symbol, source.params.name
    try:
        with warnings.catch_warnings():
            # It asks for the type of the data, and then takes that of the parameters.
            warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
            symbol = parse_symbol(with_detection(source.graph, source.preset))
            block = mx.gluon.SymbolBlock(symbol, [mx.sym.var(source.input.name)])
        parameters = block.collect_params()
        odd = sorted(parameters.keys() ^ arrays.keys())
        if odd:
            where = "the parameter file lacks" if odd[0] in parameters else "the graph lacks"
            raise WeightsError(f"{symbol_file} and {params_file} don't belong together: {where} {odd[0]!r}")
        _check_outputs(symbol, source)
        for name, parameter in parameters.items():
            array = mx.nd.array(arrays[name], dtype=arrays[name].dtype)
            parameter._load_init(array, ctx or mx.cpu(), cast_dtype=True, dtype_source="saved")
    except (mx.base.MXNetError, AssertionError, UnicodeError, TypeError, ValueError) as error:
        if isinstance(error, (WeightsError, ExportError)):
            raise
        raise WeightsError(f"{symbol_file} and {params_file} don't load: {reason(error)}") from None
    block.hybridize()
    return block


def _check_outputs(symbol: Any, source: SymbolSource) -> None:
    """
    Raises:
        ExportError: the shapes of the graph don't fit each other at its input size, or its outputs are no detections.
    """
    image = image_shape(source.preset.base_size, source.input)
    known = {name: source.arrays[name].shape for name in symbol.list_inputs() if name in source.arrays}
    shapes = check_shapes(symbol, str(source.symbol), **known, **{source.input.name: image})
    widths = [shape[2] if len(shape) == 3 else None for shape in shapes]
    if widths not in ([6], [1, 1, 4]):
        found = ", ".join(map(str, shapes[:4]))
        raise ExportError(
            f"{source.symbol}: its outputs {found} are no detections: neither (B, K, 6) nor ids (B, K, 1), scores (B, K, 1) and "
            "boxes (B, K, 4)"
        )
