"""Writes the wire format of Protocol Buffers, and ONNX models of initializers alone."""

import numpy as np


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def integer(number: int, value: int) -> bytes:
    """A field that holds an integer."""
    return varint(number << 3) + varint(value)


def field(number: int, data: bytes) -> bytes:
    """A field that holds a text, a message or data."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, array: np.ndarray, raw: bool = True) -> bytes:
    """TensorProto: dims 1, data_type 2 (1 is float32, 7 int64), float_data 4, name 8, raw_data 9."""
    data, kind = array.tobytes(), {"float32": 1, "int64": 7}[array.dtype.name]
    dims = b"".join(integer(1, n) for n in array.shape)
    return dims + integer(2, kind) + (b"" if raw else field(4, data)) + field(8, name.encode()) + (field(9, data) if raw else b"")


def onnx_model(tensors: list) -> bytes:
    """ModelProto: ir_version 1, producer_name 2, graph 7; GraphProto: name 2, initializer 5."""
    graph = field(2, b"mxnet_converted_model") + b"".join(field(5, data) for data in tensors)
    return integer(1, 3) + field(2, b"onnx-mxnet") + field(7, graph)


def write_onnx(path, arrays: dict, raw: bool = True):
    """Writes {name: array} as the initializers of an ONNX model; returns the path."""
    path.write_bytes(onnx_model([tensor(name, array, raw) for name, array in arrays.items()]))
    return path
