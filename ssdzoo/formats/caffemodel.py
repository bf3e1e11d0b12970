"""Reads the weights of a `.caffemodel` without its prototxt."""

from pathlib import Path

import numpy as np

from ssdzoo.formats.protobuf import fields, floats, integers, messages, read_message, text

# Numbers of fields: caffe.proto of BVLC's Caffe.
_LAYER = 100  # of NetParameter
_NAME, _TYPE, _BLOB = 1, 2, 7  # of LayerParameter
_DATA, _SHAPE = 5, 7  # of BlobProto
_DIM = 1  # of BlobShape
_PARTS = {"BatchNorm": ("mean", "variance", "factor")}


def read_caffemodel(path: str | Path) -> dict:
    """{LAYER.weight, LAYER.bias, or LAYER.mean, LAYER.variance and LAYER.factor of a BatchNorm: float32 array}.

    Further blobs of a layer are left out, and so are layers in the format of before 2014.

    Raises:
        WeightsError: missing, damaged, or without weights.
    """
    return read_message(path, "a Caffe model", _parse)


def _parse(net: memoryview) -> dict:
    arrays = {}
    for layer in (messages(value) for number, value in fields(net) if number == _LAYER):
        found = list(fields(layer))
        name, kind = (next((text(value) for number, value in found if number == wanted), "") for wanted in (_NAME, _TYPE))
        blobs = (messages(value) for number, value in found if number == _BLOB)
        for part, blob in zip(_PARTS.get(kind, ("weight", "bias")), blobs):
            try:
                arrays[f"{name}.{part}"] = _array(list(fields(blob)))
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from None
    return arrays


def _array(blob: list) -> np.ndarray:
    shape = [value for number, value in blob if number == _SHAPE]
    dims = [value for entry in shape for number, value in fields(messages(entry)) if number == _DIM]
    return floats([value for number, value in blob if number == _DATA], integers(dims))
