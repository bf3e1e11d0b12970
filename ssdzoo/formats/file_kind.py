"""What kind of weights a file holds."""

import re
import zipfile
from pathlib import Path

from ssdzoo.files import DAMAGED_ARCHIVE, open_file

# An ONNX model begins with the version of its format (field 1) and another field. A .caffemodel of since 2014 begins with its
# layers (field 100), or with its name (field 1) and then those.
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]")
_CAFFE = re.compile(rb"(\x0a[\x01-\x7f][ -~]+)?\xa2\x06")

_SUFFIXES = {
    ".params": "params", ".pth": "torch", ".pt": "torch", ".bin": "torch", ".safetensors": "safetensors",
    ".caffemodel": "caffe", ".h5": "keras", ".hdf5": "keras", ".onnx": "onnx",
}  # fmt: skip


def file_kind(path: str | Path) -> str:
    """One of "params", "torch", "safetensors", "caffe", "keras", "onnx" and "zip".

    The first bytes decide. The suffix decides where they do not, and where the file is missing or cannot be read: the reader of
    that kind then says so.
    """
    by_suffix = _SUFFIXES.get(Path(path).suffix.lower(), "params")
    try:
        with open_file(path) as file:
            start = file.read(150)
    except OSError:
        return by_suffix
    if start[:8] == b"\x12\x01" + bytes(6):
        return "params"
    if start[:4] == b"PK\x03\x04":
        return "torch" if by_suffix == "torch" or _holds_pickle(path) else "zip"
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        return "keras"
    if start[8:10] == b'{"':
        return "safetensors"
    if _ONNX.match(start):
        return "onnx"
    if _CAFFE.match(start):
        return "caffe"
    return by_suffix


def _holds_pickle(path: str | Path) -> bool:
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (*DAMAGED_ARCHIVE, OSError):
        return False
