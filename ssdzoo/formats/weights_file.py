"""What kind of weights a file holds, and its arrays under the names of the file: no mxnet, no networks."""

import re
import zipfile
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.params_file import read_params

_SUFFIXES = {
    ".params": "params", ".pth": "torch", ".pt": "torch", ".bin": "torch", ".safetensors": "safetensors",
    ".caffemodel": "caffe", ".h5": "keras", ".hdf5": "keras",
}  # fmt: skip
_OTHERS = {
    "zip": "a zip archive: unpack it first",
    "torch": "a PyTorch file: `ssdzoo convert` makes a .params of it; as weights of a backbone it is read as it is",
    "safetensors": "a safetensors file: `ssdzoo convert` makes a .params of it; as weights of a backbone it is read as it is",
    "keras": "an HDF5 file: that of Keras's VGG16 is read as weights of a backbone",
    "caffe": "a Caffe model: `ssdzoo convert` makes a .params of it",
}
# Mean and std that gluoncv.utils.export_block puts before the network.
_PREPROCESSING = re.compile(r"^(arg:|aux:)?_defaultpreprocess\d+_init_(mean|scale)$")


def file_kind(path) -> str:
    """ "params", "torch", "safetensors", "caffe", "keras" or "zip": by the first bytes; where these say nothing, by the suffix.

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
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        return "keras"
    if start[8:10] == b'{"':
        return "safetensors"
    return _SUFFIXES.get(path.suffix.lower(), "params")


def _holds_pickle(path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read_named(path) -> dict:
    """{name: array} of a parameter file of a network, names without `arg:` and `aux:`.

    Raises:
        WeightsError: missing, not a parameter file, damaged, without names.
    """
    kind = file_kind(path)
    if kind != "params":
        raise WeightsError(f"{path}: {_OTHERS[kind]}")
    arrays = read_params(path)
    if all(name.isdigit() for name in arrays):  # also where there is none at all
        raise WeightsError(f"{path}: holds no named parameters")
    arrays = {name: array for name, array in arrays.items() if not _PREPROCESSING.search(name)}
    return renamed(arrays, lambda name: re.sub(r"^(arg|aux):", "", name), path)


def renamed(arrays: dict, rename, path) -> dict:
    """The same arrays under other names.

    Raises:
        WeightsError: two get the same name.
    """
    sources = {}
    for name in arrays:
        other = sources.setdefault(rename(name), name)
        if other != name:
            raise WeightsError(f"{path}: holds the parameters of two networks: both {other!r} and {name!r}")
    return {new: arrays[name] for new, name in sources.items()}
