"""PyTorch files byte by byte, without torch: pickles of protocol 2 from their operations, and zip archives around them."""

import struct
import zipfile

import numpy as np

STORAGES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int", "uint8": "Byte", "bool": "Bool",
}  # fmt: skip


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module: str, what: str) -> bytes:
    """A class or function by its name."""
    return f"c{module}\n{what}\n".encode()


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(key: str, shape, strides, count: int, offset: int = 0, storage: str = "FloatStorage", old: bool = False) -> bytes:
    """Args: old: as before torch 1.6, with no view of its storage, and without a gradient, as before torch 0.4."""
    view = b"N" if old else b""
    identifier = b"(" + text("storage") + name("torch", storage) + text(key) + text("cpu") + number(count) + view + b"tQ"
    if old:
        arguments = identifier + number(offset) + numbers(shape) + numbers(strides)
        return name("torch._utils", "_rebuild_tensor") + b"(" + arguments + b"tR"
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = identifier + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + hooks
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def items(values: dict) -> bytes:
    """A dict of values that are pickled already."""
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def write_archive(path, value: bytes, storages: dict, entries=(), compression=zipfile.ZIP_STORED) -> None:
    """A file with the pickle of one value, and raw storages {key: bytes}."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + value + b".")
        for entry, data in {"byteorder": b"little", "version": b"3\n", **dict(entries)}.items():
            file.writestr(f"archive/{entry}", data)
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)


def write_old(path, value: bytes, storages: dict, version: int = 1001, little: bytes = b"\x88") -> None:
    """A file as before torch 1.6: five pickles, and storages {key: (number of elements, bytes)}."""
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    facts = items({"protocol_version": number(1001), "little_endian": little})
    pickles = (number(0x1950A86A20F9469CFC6C), number(version), facts, value, keys)
    with open(path, "wb") as file:
        file.write(b"".join(b"\x80\x02" + pickle + b"." for pickle in pickles))
        file.write(b"".join(struct.pack("<q", count) + data for count, data in storages.values()))


def write_pth(path, arrays: dict) -> None:
    """A state dict {name: array}, as torch.save writes it."""
    values, storages = {}, {}
    for i, (key, array) in enumerate(arrays.items()):
        array = np.asarray(array)
        strides = [step // array.itemsize for step in np.ascontiguousarray(array).reshape(array.shape).strides]
        values[key] = tensor(str(i), array.shape, strides, array.size, storage=f"{STORAGES[array.dtype.name]}Storage")
        storages[str(i)] = array.tobytes()
    write_archive(path, items(values), storages)
