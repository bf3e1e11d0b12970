"""MXNet's `.params` files in plain numpy: read and written without mxnet.

A file is a list of arrays and a list of names, little-endian:

    uint64 0x112, uint64 0, uint64 number of arrays, arrays, uint64 number of names, names (uint64 length, bytes)

and an array, in the four generations that mxnet has written since 2015:

    | first uint32 | storage type | shape                      | since |
    | 0xF993FACA   | int32        | int32 ndim, int64 each     | 1.6, under np_shape: the only one with scalars |
    | 0xF993FAC9   | int32        | int32 ndim, int64 each     | 0.12 |
    | 0xF993FAC8   |              | int32 ndim, int64 each     | 0.9 |
    | ndim         |              | uint32 each                | the beginning |

    then int32 device type, int32 device id, int32 type flag, and the values row by row.

Source: `NDArray::Save` and `Load` in mxnet's src/ndarray/ndarray.cc, and files that mxnet 1.9.1 wrote.
"""

import io
import math
import os
import struct
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.files import replacing
from ssdzoo.formats.weights_file import open_weights
from ssdzoo.quote import brief

FILE_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8", 7: "?"}
_FLAGS = {np.dtype(code): flag for flag, code in _TYPES.items()}
_NAMES = ", ".join(sorted(dtype.name for dtype in _FLAGS))
_MAX_AXES = 32  # of numpy 1
_MIN_ARRAY = 20  # bytes of the smallest array: one empty axis in the oldest generation


def read_params(path: str | Path) -> dict:
    """{name: array} of a parameter file, in the order of the file. Names are as they are stored: see `strip_prefix`.

    Arrays are writable and own their memory; dtypes are float16, float32, float64, int8, uint8, int32, int64 and bool. An
    array list without names, as `mx.nd.save` writes it, gets the names "0", "1" and so on.

    Memory is taken only for values that are in the file: every length is compared with the rest of the file first.

    Raises:
        WeightsError: no such file, not a parameter file, more or fewer bytes than its header says, a sparse or a bfloat16 array.
            The message names the file and the offset in bytes.
    """
    path = Path(path)
    with open_weights(path) as file:
        try:
            return read_stream(file, os.fstat(file.fileno()).st_size, path)
        except OSError as error:
            raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None


def strip_prefix(name: str) -> str:
    """A parameter's name without the `arg:` or `aux:` that mxnet's `export` puts before it."""
    return name.removeprefix("arg:").removeprefix("aux:")


def read_stream(file: io.BufferedIOBase, size: int, where: str | Path) -> dict:
    """`read_params` of an open binary file.

    Args:
        file: open for reading.
        size: its length in bytes.
        where: its name in errors.
    """
    reader = _Reader(file, size, where)
    magic, reserved, count = reader.numbers("<QQQ", "the file header")
    if magic != FILE_MAGIC or reserved:
        reader.fail(0, f"it begins with {magic:#x}, {reserved:#x} instead of {FILE_MAGIC:#x}, 0x0")
    if count > reader.rest // _MIN_ARRAY:
        reader.fail(16, f"the header says {count} arrays, but only {reader.rest} bytes follow")
    arrays = [_read_array(reader, f"array {i}") for i in range(count)]
    names = _read_names(reader, count)
    if reader.rest:
        reader.fail(reader.offset, f"{reader.rest} bytes follow after the end")
    return dict(zip(names, arrays))


class _Reader:
    """Reads forward, and never beyond the end of the file."""

    def __init__(self, file: io.BufferedIOBase, size: int, where: str | Path):
        self._file, self._size, self._where = file, size, where
        self.offset = 0

    @property
    def rest(self) -> int:
        return self._size - self.offset

    def fail(self, offset: int, what: str) -> NoReturn:
        raise WeightsError(f"{self._where}: not an MXNet parameter file, or a damaged one: byte {offset}: {what}")

    def refuse(self, offset: int, what: str) -> NoReturn:
        raise WeightsError(f"{self._where}: byte {offset}: {what}")

    def numbers(self, format: str, what: str) -> tuple:
        return struct.unpack(format, self.bytes(struct.calcsize(format), what))

    def bytes(self, length: int, what: str) -> bytes:
        return self.array((length,), np.dtype("u1"), what).tobytes()

    def array(self, shape: tuple, dtype: np.dtype, what: str) -> np.ndarray:
        length = math.prod(shape) * dtype.itemsize
        if length > self.rest:
            self.fail(self.offset, f"truncated: {what} needs {length} bytes, {self.rest} are left")
        array = np.empty(shape, dtype)
        got = self._file.readinto(array.reshape(-1).view(np.uint8).data) if length else 0
        if got != length:  # the file became shorter while it was read
            self.fail(self.offset, f"truncated: {what} needs {length} bytes, {got} were read")
        self.offset += length
        return array


def _read_array(reader: _Reader, what: str) -> np.ndarray:
    start = reader.offset
    (first,) = reader.numbers("<I", f"the header of {what}")
    if first in (_V2, _V3):
        (storage,) = reader.numbers("<i", f"the storage type of {what}")
        if storage:
            kind = {1: "row-sparse", 2: "CSR-sparse"}.get(storage, f"of unknown storage type {storage}")
            reader.refuse(start, f"{what} is {kind}; only dense arrays are read: densify it in mxnet with .tostype('default')")
    shape = _read_shape(reader, first, what)
    if not shape and first != _V3:
        reader.refuse(start, f"{what} was saved before it had a shape; only mxnet's np_shape files hold scalars")
    at = reader.offset + 8  # the device does not matter here
    *_, flag = reader.numbers("<iii", f"device and type of {what}")
    if flag == 12:
        reader.refuse(at, f"{what} is bfloat16, which numpy lacks: cast it in mxnet with .astype('float32')")
    if flag not in _TYPES:
        reader.fail(at, f"{what} has the unknown type flag {flag}")
    dtype = np.dtype(_TYPES[flag])
    array = reader.array(shape, dtype, f"{what} {shape} {dtype.name}")
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        reader.fail(at + 4, f"{what} is bool, but has bytes other than 0 and 1")
    return array


def _read_shape(reader: _Reader, first: int, what: str) -> tuple:
    at, code, ndim = reader.offset, "q", first
    if first in (_V1, _V2, _V3):
        (ndim,) = reader.numbers("<i", f"the number of axes of {what}")
    else:
        at, code = at - 4, "I"
    if not 0 <= ndim <= _MAX_AXES:
        reader.fail(at, f"{what} has {ndim} axes; 0 to {_MAX_AXES} are possible")
    shape = reader.numbers(f"<{ndim}{code}", f"the shape of {what}")
    if min(shape, default=0) < 0:
        reader.fail(at + 4, f"{what} has the shape {shape}")
    if 8 * math.prod(max(length, 1) for length in shape) > sys.maxsize:  # an empty array may have such a shape, but not in numpy
        reader.fail(at + 4, f"{what} has the shape {shape}, which no machine holds")
    return shape


def _read_names(reader: _Reader, count: int) -> list:
    at = reader.offset
    (named,) = reader.numbers("<Q", "the number of names")
    if named == 0:
        return [str(i) for i in range(count)]
    if named != count:
        reader.fail(at, f"{named} names for {count} arrays")
    names = {}
    for i in range(count):
        at = reader.offset
        (length,) = reader.numbers("<Q", f"the length of name {i}")
        try:
            name = reader.bytes(length, f"name {i}").decode()
        except UnicodeDecodeError as error:
            reader.fail(at + 8, f"name {i} is not UTF-8: {error.reason}")
        if name in names:
            reader.fail(at + 8, f"the name {brief(name)} is there twice")
        names[name] = i
    return list(names)


def write_params(path: str | Path, arrays: dict) -> None:
    """Writes {name: array} as a parameter file that `mx.nd.load` reads, byte for byte what `mx.nd.save` writes.

    Scalars exist in mxnet's np_shape mode only. A file that contains one is written for that mode as a whole; `mx.npx.load` reads
    it.

    Raises:
        CallError: a dtype that the format lacks, or a name that is not text. Nothing is written then.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not isinstance(name, str) or name != name.encode(errors="replace").decode():
            raise CallError(f"{path}: the name of an array must be text, not {brief(name)}")
        if array.dtype.newbyteorder("<") not in _FLAGS:
            raise CallError(f"{path}: array {brief(name)} is {array.dtype}; the format has {_NAMES}")
    magic = _V3 if any(array.ndim == 0 for array in arrays.values()) else _V2
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<QQQ", FILE_MAGIC, 0, len(arrays)))
        for array in arrays.values():
            dtype = array.dtype.newbyteorder("<")
            file.write(struct.pack(f"<Iii{array.ndim}q", magic, 0, array.ndim, *array.shape))
            file.write(struct.pack("<iii", 1, 0, _FLAGS[dtype]))
            file.write(np.asarray(array, dtype, order="C").reshape(-1).view(np.uint8).data)
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            encoded = name.encode()
            file.write(struct.pack("<Q", len(encoded)) + encoded)
