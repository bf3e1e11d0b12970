"""What kind of weights a file holds, and its arrays under the names of the file: no mxnet, no networks."""

import zipfile
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.weights.params_file import read_params

READERS = {"params": read_params}
_SUFFIXES = {".params": "params", ".pth": "torch", ".pt": "torch", ".safetensors": "safetensors", ".caffemodel": "caffe"}
_WORDS = {
    "zip": "a zip archive: unpack it first",
    "torch": "a PyTorch file",
    "safetensors": "a safetensors file",
    "caffe": "a Caffe model",
}


def file_kind(path) -> str:
    """ "params", "torch", "safetensors", "caffe" or "zip": by the first bytes, and where these say nothing by the suffix.

    Raises:
        WeightsError: no such file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such parameter file") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    if start[:8] == b"\x12\x01" + bytes(6):
        return "params"
    if start[:4] == b"PK\x03\x04":
        return "torch" if _holds_pickle(path) else "zip"
    if start[8:10] == b'{"':
        return "safetensors"
    return _SUFFIXES.get(path.suffix.lower(), "params")


def _holds_pickle(path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read_source(path) -> dict:
    """{name: array} of a file of weights, whatever its kind, under the names of the file.

    Raises:
        WeightsError: no such file, of a kind that is not read, damaged.
    """
    kind = file_kind(path)
    if kind not in READERS:
        raise WeightsError(f"{path}: {_WORDS[kind]}; what is read here is {', '.join(f'.{k}' for k in READERS)}")
    return READERS[kind](path)
