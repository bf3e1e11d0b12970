"""The parameters of a network in a `.params` file, or in a torch file of the same names, by their names in the network."""

import re
from collections.abc import Callable
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_tensors
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.params_file import read_params, strip_prefix

_OTHERS = {
    "zip": "a zip archive: unpack it first",
    "torch": "a PyTorch file: `ssdzoo convert` makes a .params of it; as weights of a backbone it is read as it is",
    "safetensors": "a safetensors file: `ssdzoo convert` makes a .params of it; as weights of a backbone it is read as it is",
    "keras": "an HDF5 file: those of Keras's VGG16, ResNets and MobileNets are read as weights of a backbone",
    "onnx": "an ONNX model: those that MXNet exported are read as weights of a backbone",
    "caffe": "a Caffe model: `ssdzoo convert` makes a .params of a detector; shicai's MobileNet is read as weights of a backbone",
}
# How the name of the first class head ends, by attribute path and in exported symbols.
CLASS_HEADS = ("class_predictors.0.predictor.weight", "convpredictor0_conv0_weight")
# Mean and std that gluoncv.utils.export_block puts before the network.
_PREPROCESSING = re.compile(r"^(arg:|aux:)?_defaultpreprocess\d+_init_(mean|scale)$")


def read_network_params(path: str | Path) -> dict:
    """{name: array} of a parameter file of a network, without `arg:` and `aux:`, and without the mean and std of
    `gluoncv.utils.export_block`. State dicts and `.safetensors` of the modules of `ssdzoo.export.to_torch` are such files too.

    Raises:
        WeightsError: missing, not a parameter file, damaged, without names, or with the same name twice.
    """
    kind = file_kind(path)
    if holds_detector(path):
        return read_tensors(path)
    if kind != "params":
        raise WeightsError(f"{path}: {_OTHERS[kind]}")
    arrays = read_params(path)
    if all(name.isdigit() for name in arrays):  # also where there is none at all
        raise WeightsError(f"{path}: holds no named parameters")
    arrays = {name: array for name, array in arrays.items() if not _PREPROCESSING.search(name)}
    return rename_arrays(arrays, strip_prefix, path)


def holds_detector(path: str | Path) -> bool:
    """Whether a torch file holds a detector under the names of its parameter file."""
    if file_kind(path) not in ("torch", "safetensors"):
        return False
    return any(name.endswith(CLASS_HEADS) for name in read_tensors(path))


def rename_arrays(arrays: dict, rename: Callable[[str], str], path: str | Path) -> dict:
    """The same arrays under other names.

    Args:
        arrays: {name: array}.
        rename: function from the old name to the new one.
        path: the file that they came from; the error names it.

    Raises:
        WeightsError: two get the same name.
    """
    sources: dict[str, str] = {}
    for name in arrays:
        other = sources.setdefault(rename(name), name)
        if other != name:
            raise WeightsError(f"{path}: holds the parameters of two networks: both {other!r} and {name!r}")
    return {new: arrays[name] for new, name in sources.items()}
