"""Reads the weights of an ONNX model. Needs neither onnx nor a runtime."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from ssdzoo.formats.protobuf import fields, floats, integers, messages, read_message, text

# Numbers of fields and types: onnx.proto3 of the ONNX project.
_GRAPH = 7  # of ModelProto
_INITIALIZER = 5  # of GraphProto
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 9, 13, 14  # of TensorProto
_TYPES = {1: ("<f4", 4), 10: ("<f2", 0), 11: ("<f8", 10)}  # dtype, and field of its numbers where they are not raw


def read_initializers(path: str | Path) -> dict:
    """{name: array} of the floating-point initializers of an ONNX model. Those of other types, such as shapes, are left out.

    Raises:
        WeightsError: missing, damaged, without initializers, or with weights in another file.
    """
    return read_message(path, "an ONNX model", _parse)


def _parse(model: memoryview) -> dict:
    arrays: dict[str, np.ndarray] = {}
    for graph in (messages(value) for number, value in fields(model) if number == _GRAPH):
        for tensor in (messages(value) for number, value in fields(graph) if number == _INITIALIZER):
            name, array = _tensor(tensor)
            if name in arrays:
                raise ValueError(f"it has two initializers {name!r}")
            if array is not None:
                arrays[name] = array
    return arrays


def _tensor(tensor: memoryview) -> tuple[str, np.ndarray | None]:
    """Its name, and its array where that is of floating point."""
    found = defaultdict(list)
    for number, value in fields(tensor):
        found[number].append(value)
    name = text(found[_NAME][-1]) if found[_NAME] else ""
    if found[_EXTERNAL_DATA] or any(found[_DATA_LOCATION]):
        raise ValueError(f"the weights of {name!r} are in another file; save the model as one file")
    kind = (integers(found[_DATA_TYPE]) or [0])[-1]
    if kind not in _TYPES:
        return name, None
    dtype, typed = _TYPES[kind]
    try:
        return name, floats(found[_RAW_DATA] or found[typed], integers(found[_DIMS]), dtype)
    except ValueError as error:
        raise ValueError(f"initializer {name!r}: {error}") from None
