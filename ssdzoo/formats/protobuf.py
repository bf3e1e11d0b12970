"""The wire format of Protocol Buffers, as far as files of weights need it. Every length is checked."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.formats.weights_file import open_weights

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message in their order: (number, value). The value of a varint is an integer, any other is its bytes.

    Raises:
        ValueError: no message, or a truncated one.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if not number:
            raise ValueError("a field has the number 0")
        if wire == 0:
            value: Value
            value, position = _varint(message, position)
        else:
            if wire == 2:
                size, position = _varint(message, position)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise ValueError(f"field {number} is of the unknown type {wire}")
            if size > len(message) - position:
                raise ValueError(f"field {number} has {size} bytes, {len(message) - position} are left")
            value, position = message[position : position + size], position + size
        yield number, value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """An integer of 7 bits to a byte, the lowest first, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position + shift // 7 >= len(data):
            break
        byte = data[position + shift // 7]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + shift // 7 + 1
    raise ValueError("an integer does not end")


def messages(value: Value) -> memoryview:
    """The bytes of a field that holds a message, a text or data.

    Raises:
        ValueError: it holds an integer.
    """
    if isinstance(value, int):
        raise ValueError("an integer stands where bytes are expected")
    return value


def text(value: Value) -> str:
    """The text of a field. Raises a ValueError where it is none."""
    return str(bytes(messages(value)), "utf-8")


def integers(values: Iterable[Value]) -> list[int]:
    """The integers of a repeated field: one to a field, or many in one field ("packed"). Raises a ValueError."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            found.append(number)
    return found


def floats(values: Iterable[Value], shape: Iterable[int], dtype: str = "<f4") -> np.ndarray:
    """The array of a repeated field of numbers that are stored with a fixed number of bytes.

    Args:
        values: of the field; there may be more than one.
        shape: of the array.
        dtype: of the array.

    Raises:
        ValueError: their number of bytes is not that of the array.
    """
    parts, shape = [messages(value) for value in values], tuple(shape)
    size, expected = sum(map(len, parts)), math.prod(shape) * np.dtype(dtype).itemsize
    if size != expected:
        raise ValueError(f"{shape} {np.dtype(dtype)} has {size} bytes, expected {expected}")
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def read_message(path: str | Path, kind: str, parse: Callable[[memoryview], dict]) -> dict:
    """The arrays of a file that is one message.

    Args:
        path: the file.
        kind: of the file, such as "an ONNX model", for errors.
        parse: function from the message to {name: array}.

    Raises:
        WeightsError: missing, empty, damaged, or without arrays.
    """
    with open_weights(path) as file:
        data: Any = np.memmap(file, np.uint8, "r") if os.fstat(file.fileno()).st_size else b""
    try:
        arrays = parse(memoryview(data))
    except (ValueError, OverflowError) as error:  # OverflowError: a dimension that no array has
        raise WeightsError(f"{path}: not {kind}, or damaged: {error}") from None
    if not arrays:
        raise WeightsError(f"{path}: {kind} without weights")
    return arrays
