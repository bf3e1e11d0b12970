"""Reads PyTorch state dicts (`.pth`) without torch. No code in them is run, and every length is checked.

The format since torch 1.6: a zip archive, not compressed. NAME/data.pkl is a pickle, in which a tensor is a storage with an
offset, a shape and strides. NAME/data/KEY is the raw data of the storage KEY, NAME/byteorder is "little" or "big".

The format before it, of many files of torchvision: five pickles (a magic number, 1001, facts of the machine, the value, a list of
the keys of storages), and then for each key the number of elements in 8 bytes and the raw data.
"""

import math
import os
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.files import DAMAGED_ARCHIVE
from ssdzoo.formats.pickle_values import SKIPPED, ForeignGlobal, read_pickle
from ssdzoo.formats.weights_file import open_weights

_MAX_PICKLE = 4 << 20  # bytes; a state dict needs about 200 for each tensor
_MAX_DIMENSIONS = 32  # numpy's
_OLD_MAGIC, _OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "bfloat16", "Long": "<i8", "Int": "<i4", "Short": "<i2",
    "Char": "i1", "Byte": "u1", "Bool": "?", "ComplexFloat": "<c8", "ComplexDouble": "<c16",
}  # fmt: skip
# Plain values that checkpoints hold beside their tensors. Nothing of them is needed.
_TYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
_SKIPPED_GLOBALS = (
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "frozenset", "dict", "list", "int")),
    "argparse.Namespace", "collections.Counter", "collections.defaultdict", "collections.deque", "_codecs.encode", "numpy.dtype",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "torch.device", *(f"torch.{name}" for name in _TYPES),
)  # fmt: skip


class _Dtype(NamedTuple):
    name: str  # numpy's, or bfloat16

    @property
    def size(self) -> int:
        return 2 if self.name == "bfloat16" else np.dtype(self.name).itemsize


class _Storage(NamedTuple):
    key: str
    dtype: _Dtype
    elements: int


class _Tensor(NamedTuple):
    """Elements of a storage. Offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def read_state_dict(path: str | Path) -> dict:
    """{name: array} of the tensors in a PyTorch state dict.

    It may be stored under "state_dict", "model_state_dict", "model" or "net". What is no tensor is left out. The arrays are
    read-only; bfloat16 becomes float32. An array may share memory with another one, where the tensors share a storage.

    Raises:
        WeightsError: missing, damaged, written before torch 0.1.10 (tar), big-endian, not a state dict, or one that asks for
            classes or functions other than those of tensors.
    """
    path = Path(path)
    try:
        with open_weights(path) as file:
            size = os.fstat(file.fileno()).st_size
            if _is_old(path, file):
                return _arrays(path, _OldFile(file, size))
            with zipfile.ZipFile(file) as archive:
                return _arrays(path, _Archive(archive, size))
    except ForeignGlobal as error:
        raise WeightsError(
            f"{path}: not a plain state dict (unpickling it asks for {str(error)[:100]}); nothing in it was run. Where you trust "
            "it, load it in torch and torch.save(model.state_dict(), FILE)"
        ) from None
    except (*DAMAGED_ARCHIVE, OSError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise WeightsError(f"{path}: not a plain state dict, or damaged: {reason}; get or save it again") from None


def _is_old(path: Path, file: BinaryIO) -> bool:
    start = file.read(512)
    file.seek(0)
    if start[257:262] == b"ustar":
        raise WeightsError(
            f"{path}: a tar archive, which torch wrote before 2017, is not read here: save it again with a current torch, "
            "torch.save(torch.load(FILE, weights_only=True), NEW), or as .safetensors"
        )
    return _OLD_MAGIC.to_bytes(10, "little") in start[:32]


def _arrays(path: Path, source: "_File") -> dict:
    return {name: source.array(name, tensor) for name, tensor in _tensors(path, source.value).items()}


def _tensors(path: Path, loaded: Any) -> dict:
    """{name: _Tensor} of a state dict, or of the one in a checkpoint."""
    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        kind = "plain object" if loaded is SKIPPED else type(loaded).__name__.strip("_").lower()
        raise WeightsError(f"{path}: holds a {kind}, not a state dict")
    tensors = {str(name): value for name, value in loaded.items() if isinstance(value, _Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: a state dict without tensors; its keys begin with {[str(k)[:50] for k in list(loaded)[:3]]}")
    return tensors


class _File:
    """The value of a file, in which tensors are `_Tensor`, and the arrays of these.

    Args:
        size: of the file, in bytes. Nothing that is read from it can be larger.
    """

    value: Any

    def __init__(self, size: int):
        self._size = size
        self._data: dict[_Storage, np.ndarray] = {}
        self._storages: dict[str, _Storage] = {}  # that the pickle names, by key

    def _raw(self, storage: _Storage) -> bytes:
        raise NotImplementedError

    def _unpickle(self, stream: BytesIO) -> Any:
        known: dict[str, Any] = dict.fromkeys(_SKIPPED_GLOBALS, SKIPPED) | {
            "collections.OrderedDict": _ordered_dict, "torch.Size": _torch_size, "torch._utils._rebuild_tensor": _rebuild_tensor,
            "torch._utils._rebuild_tensor_v2": _rebuild_tensor, "torch._utils._rebuild_parameter": _rebuild_parameter,
            "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
        }  # fmt: skip
        for name, dtype in _DTYPES.items():
            known[f"torch.{name}Storage"] = known[f"torch.cuda.{name}Storage"] = _Dtype(dtype)
        return read_pickle(stream, known, self._load)

    def _load(self, identifier: Any) -> _Storage:
        storage = _storage(identifier)
        if self._storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"storage {storage.key[:100]} has two dtypes or lengths")
        return storage

    def array(self, name: str, tensor: _Tensor) -> np.ndarray:
        """The array of a tensor; the error names it."""
        storage, offset, shape, strides = tensor
        possible = all(type(n) is int and 0 <= n < 2**62 for n in (offset, *shape, *strides))
        if not possible or len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS:
            raise ValueError(f"tensor {name[:100]!r} has an impossible shape, stride or offset")
        what = f"tensor {name[:100]!r} of shape {shape} and strides {strides} from element {offset}"
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
        if math.prod(shape) and last >= storage.elements:
            raise ValueError(f"{what} is not in its storage of {storage.elements}")
        # A stride of 0 repeats elements: so many must not be made of a small file.
        if math.prod(shape) * storage.dtype.size > self._size:
            raise ValueError(f"{what} is larger than the file")
        data = self._storage_data(storage)
        steps = tuple(stride * data.itemsize for stride in strides)
        # numpy refuses an offset at the end of the data, which a tensor without elements may have.
        begin = offset * data.itemsize if math.prod(shape) else 0
        array: np.ndarray = np.ndarray(shape, data.dtype, data if math.prod(shape) else None, begin, steps or None)
        array.flags.writeable = False
        return array

    def _storage_data(self, storage: _Storage) -> np.ndarray:
        if storage not in self._data:
            raw = self._raw(storage)
            expected = storage.elements * storage.dtype.size
            if len(raw) != expected:
                raise ValueError(f"storage {storage.key} has {len(raw)} bytes; expected {expected}")
            if storage.dtype.name == "bfloat16":  # the upper half of a float32
                data = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
            else:
                data = np.frombuffer(raw, storage.dtype.name)
            self._data[storage] = data
        return self._data[storage]


class _Archive(_File):
    """The pickle and the storages of a zip archive."""

    def __init__(self, file: zipfile.ZipFile, size: int):
        super().__init__(size)
        self._file, self._left = file, size
        names = file.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError(f"a zip archive with {len(pickles)} entries NAME/data.pkl")
        if len(set(names)) < len(names):
            raise ValueError("two entries of the archive have the same name")
        self._folder = pickles[0].removesuffix("data.pkl")
        if f"{self._folder}byteorder" in names and self._read("byteorder", 16) != b"little":
            raise ValueError("its numbers are not little-endian; save it again on another machine")
        self.value = self._unpickle(BytesIO(self._read("data.pkl", _MAX_PICKLE)))

    def _raw(self, storage: _Storage) -> bytes:
        return self._read(f"data/{storage.key}", storage.elements * storage.dtype.size)

    def _read(self, name: str, limit: int) -> bytes:
        """An entry, whose size is checked before memory is taken. Entries that overlap cannot add up to more than the file."""
        try:
            info = self._file.getinfo(self._folder + name)
        except KeyError:
            raise ValueError(f"{self._folder}{name[:100]} is not in the archive") from None
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name[:100]} is compressed, which torch.save does not do")
        if info.file_size > limit:
            raise ValueError(f"{name[:100]} has {info.file_size} bytes; expected at most {limit}")
        if info.file_size != info.compress_size or info.file_size > self._left:
            raise ValueError(f"{name[:100]} is said to have {info.file_size} bytes, in a file of {self._size}")
        self._left -= info.file_size
        return self._file.read(info)


class _OldFile(_File):
    """The pickles and the storages of a file written before torch 1.6."""

    def __init__(self, file: BinaryIO, size: int):
        super().__init__(size)
        self._file = file
        stream = BytesIO(file.read(_MAX_PICKLE))
        magic, version, machine, self.value, keys = (self._unpickle(stream) for _ in range(5))
        if (magic, version) != (_OLD_MAGIC, _OLD_VERSION) or not isinstance(machine, dict) or not isinstance(keys, list):
            raise ValueError("does not begin as torch's files do")
        if machine.get("little_endian") is not True:
            raise ValueError("its numbers are not little-endian; save it again on another machine")
        self._places: dict[str, int] = {}
        place = stream.tell()
        for key in keys:
            if not isinstance(key, str) or key not in self._storages or key in self._places:
                raise ValueError("its list of storages is not that of its tensors")
            storage = self._storages[key]
            file.seek(place)
            start = file.read(8)
            place += 8
            if len(start) < 8 or struct.unpack("<q", start)[0] != storage.elements:
                raise ValueError(f"storage {key[:100]} is cut off, or is not of {storage.elements} elements")
            self._places[key], place = place, place + storage.elements * storage.dtype.size
            if place > size:
                raise ValueError(f"storage {key[:100]} of {storage.elements} elements is cut off")

    def _raw(self, storage: _Storage) -> bytes:
        if storage.key not in self._places:
            raise ValueError(f"storage {storage.key[:100]} is not in the file")
        self._file.seek(self._places[storage.key])
        return self._file.read(storage.elements * storage.dtype.size)


def _ordered_dict(pairs: Any = ()) -> dict:
    """Python 2 gives the items as a list of pairs; Python 3 gives nothing and sets them afterwards."""
    if not all(isinstance(key, str) for key, _ in pairs):
        raise TypeError
    return dict(pairs)


def _torch_size(numbers: Any) -> tuple:
    if not isinstance(numbers, tuple):
        raise TypeError
    return numbers


def _storage(identifier: Any) -> _Storage:
    """From ("storage", dtype, key, device, number of elements), and None in an old file."""
    kind, dtype, key, _, count, *view = identifier
    if view not in ([], [None]):
        raise ValueError("a view of a storage is not read here")
    if kind != "storage" or not isinstance(dtype, _Dtype) or not isinstance(key, str):
        raise ValueError("a persistent id that is no storage")
    if type(count) is not int or not 0 <= count < 2**62:
        raise ValueError("a storage without a possible number of elements")
    return _Storage(key, dtype, count)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any = None, hooks: Any = None,
                    metadata: Any = None) -> _Tensor:  # fmt: skip
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise TypeError
    if metadata:
        raise ValueError("a tensor that is stored negated or conjugated is not read here")
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, gradient: Any = None, hooks: Any = None, state: Any = None) -> _Tensor:
    if not isinstance(tensor, _Tensor):
        raise TypeError
    return tensor
