"""What kind of weights a file holds."""

import zipfile
from pathlib import Path

_SUFFIXES = {
    ".params": "params", ".pth": "torch", ".pt": "torch", ".bin": "torch", ".safetensors": "safetensors",
    ".caffemodel": "caffe", ".h5": "keras", ".hdf5": "keras",
}  # fmt: skip


def file_kind(path: str | Path) -> str:
    """One of "params", "torch", "safetensors", "caffe", "keras" and "zip".

    The first bytes decide. The suffix decides where they do not, and where the file is missing or cannot be read: the reader of
    that kind then says so.
    """
    by_suffix = _SUFFIXES.get(Path(path).suffix.lower(), "params")
    try:
        with open(path, "rb") as file:
            start = file.read(16)
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
    return by_suffix


def _holds_pickle(path: str | Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
