"""Reads named arrays from .safetensors, .pth and .h5 files, and writes .safetensors. No code in them is run, and every length is
checked."""

import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.files import replacing
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.torch_file import read_state_dict
from ssdzoo.formats.weights_file import open_weights

_MAX_HEADER = 100_000_000  # bytes, the limit of the format
_SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "BOOL": "?",
}  # fmt: skip


def read_tensors(path: str | Path) -> dict:
    """{name: array} of a `.safetensors` file or of a PyTorch state dict (`.pth`, `.pt`, `.bin`).

    A state dict may be stored under "state_dict", "model_state_dict", "model" or "net". The "module." of DataParallel and the
    "_orig_mod." of `torch.compile` are removed from names. The arrays are read-only, those of a `.safetensors` file views of the
    file; bfloat16 becomes float32.

    Raises:
        WeightsError: missing, damaged, or not a state dict; see `ssdzoo.formats.torch_file.read_state_dict`.
    """
    path = Path(path)
    arrays = _read_safetensors(path) if file_kind(path) == "safetensors" else read_state_dict(path)
    for wrapper in ("_orig_mod.", "module.", "_orig_mod."):  # either may be around the other
        if all(name.startswith(wrapper) for name in arrays):
            arrays = {name.removeprefix(wrapper): array for name, array in arrays.items()}
    return arrays


def _read_safetensors(path: Path) -> dict:
    """The format: the length of the header in 8 bytes; the header, JSON {name: {dtype, shape, data_offsets}}; the data."""
    with open_weights(path) as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise WeightsError(f"{path}: not a .safetensors file: a header of {length} bytes in a file of {size}")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise WeightsError(f"{path}: not a .safetensors file: its header is not a JSON object") from None
        if not header:
            raise WeightsError(f"{path}: holds no arrays")
        data = np.memmap(file, np.uint8, "r", offset=8 + length) if size > 8 + length else np.empty(0, np.uint8)
    return {name: _safetensor(path, name, entry, data) for name, entry in header.items()}


def _safetensor(path: Path, name: str, entry: Any, data: np.ndarray) -> np.ndarray:
    try:
        dtype, shape, (begin, end) = np.dtype(_SAFETENSORS_TYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
        integers = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"{path}: array {name!r} is not described as expected: {str(entry)[:100]}") from None
    if not integers or len(shape) > 32 or end > len(data) or end - begin != math.prod(shape) * dtype.itemsize:
        place = f"bytes {begin} to {end} of {len(data)}"
        raise WeightsError(f"{path}: array {name!r} {entry['dtype']} {shape} cannot be {place}; is the file truncated?")
    array = data[begin:end].view(dtype).reshape(shape)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array


def write_safetensors(path: str | Path, arrays: dict) -> None:
    """Writes {name: array} as a `.safetensors` file, in their order.

    Raises:
        CallError: a dtype that the format lacks. Nothing is written then.
    """
    kinds = {np.dtype(code).name: kind for kind, code in _SAFETENSORS_TYPES.items() if kind != "BF16"}
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, array in arrays.items():
        if array.dtype.name not in kinds:
            raise CallError(f"{path}: array {name!r} is {array.dtype}; the format has {', '.join(kinds)}")
        end = offset + array.nbytes
        header[name] = {"dtype": kinds[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the data are aligned
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data)


def read_hdf5(path: str | Path, wanted: Callable[[str], bool]) -> dict:
    """{name: array} of some data sets of an HDF5 file.

    Args:
        path: the file.
        wanted: whether to read the data set of this name.

    Raises:
        WeightsError: missing or damaged; a data set that is stored in another file, is compressed, or is not floating point.
    """
    path = Path(path)
    open_weights(path).close()  # the library opens it by its name
    import h5py

    arrays = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and wanted(name):
            if item.is_virtual or item.external or item.id.get_storage_size() < item.nbytes or item.dtype.kind != "f":
                raise WeightsError(f"{path}: data set {name!r} {item.shape} {item.dtype} is compressed, external or no floats")
            arrays[name] = item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: not an HDF5 file, or damaged ({str(error)[:100]})") from None
    return arrays
