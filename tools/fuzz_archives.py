"""Reads damaged files of weights that other programs wrote, and archives: python tools/fuzz_archives.py --inputs 20000

Each input is a small file with 1 to 4 changed bits, bytes, numbers, cuts or repetitions: a `.pth` (a zip, or as before torch
1.6), a `.safetensors`, an `.h5`, a `.caffemodel` with its `.prototxt`, the initializers of an `.onnx`, a zip with a parameter
file as MXNet's server has them, or a `.npz`. Each goes through the reader of its kind. One in eight is replaced by a FIFO, a
folder, a device or a sparse file of 40 GB.

It found that OpenCV's importer of Caffe ends the process (SIGSEGV) where a layer of a `.prototxt` fits no weights; since then
both files are read without OpenCV. It found a hang (numpy opens a `.npz` by its name, and a FIFO waits), and an OSError for a zip
with bzip2 in it. Otherwise 20,000 inputs of seed 100 gave clear errors or arrays.
"""

import io
import json
import struct
import sys
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.data import index
from ssdzoo.errors import SSDZooError
from ssdzoo.formats.array_files import read_hdf5, read_tensors
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.onnx_initializers import read_initializers
from ssdzoo.formats.params_file import read_params, write_params
from ssdzoo.weights.download import Failed
from ssdzoo.weights.importers.caffe import read_caffe
from ssdzoo.weights.mirrors import _Installation
from ssdzoo.weights.sources import Source
from tests.formats.torch_files import items, tensor, write_old, write_pth
from tests.weights.importers.caffe_files import Model
from tests.weights.wire_format import write_onnx
from tools.fuzz_annotations import replace
from tools.fuzzing import main, mutate_bytes

_ARRAYS = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "a.bias": np.ones(3, np.float32)}
_ODD = [0, 1, 2, 8, 14, 99, 255, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
_SUFFIX = {"old": "pth"}  # others are called as their kind


def _caffe(folder: Path) -> None:
    """A small network with the names of the layers by which weiliu89's SSD is recognized."""
    net = Model(16)
    x = net.relu("relu", net.conv("conv4_3", "data", 8, 3, pad=1))
    net.layer("conv4_3_norm", "Normalize", x, "norm_param { across_spatial: false channel_shared: false }", blobs=[np.ones(8)])
    x = net.layer("pool4", "Pooling", x, "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    x = net.conv("fc6", x, 8, 3, pad=6, dilation=6)
    x = net.conv("conv9_2", net.conv("fc7", x, 8, 1), 8, 3, 2, 1)
    net.heads(["fc7"], 3, 3, ((2,),), [(3, 6)], (8,))
    net.save(folder, "x")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.params", path.with_suffix(".params").read_bytes())
        archive.writestr("folder/none", b"")
    path.with_suffix(".params").unlink()


def _safetensors(path: Path) -> None:
    header, data = {}, b""
    for name, array in _ARRAYS.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _h5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in _ARRAYS.items():
            file.create_dataset(f"model_weights/{name}", data=array)


@lru_cache(maxsize=1)
def seeds() -> dict:
    """{kind: {suffix: bytes}} of whole files."""
    import tempfile

    found: dict = {}
    for kind in ("pth", "old", "safetensors", "h5", "caffemodel", "onnx", "zip", "npz"):
        with tempfile.TemporaryDirectory() as name:
            folder, path = Path(name), Path(name) / f"x.{_SUFFIX.get(kind, kind)}"
            if kind == "pth":
                write_pth(path, _ARRAYS)
            elif kind == "old":
                write_old(path, items({"w": tensor("0", (3, 4), (4, 1), 12, old=True)}), {"0": (12, bytes(48))})
            elif kind == "safetensors":
                _safetensors(path)
            elif kind == "h5":
                _h5(path)
            elif kind == "caffemodel":
                _caffe(folder)
            elif kind == "onnx":
                write_onnx(path, _ARRAYS)
            elif kind == "zip":
                write_params(folder / "x.params", _ARRAYS)
                _zip(path)
            else:
                np.savez(path, plain=np.frombuffer(b'{"source": []}', np.uint8), **_ARRAYS)
            found[kind] = {p.suffix: p.read_bytes() for p in folder.iterdir()}
    return found


def mutate(random: np.random.Generator, data: bytes) -> bytes:
    """`data` after random changes of bytes, or with a number that formats are bad at in some places."""
    if random.integers(2):
        return mutate_bytes(random, data)
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        width, at = int(random.choice([1, 2, 4, 8])), int(random.integers(len(data)))
        value = _ODD[int(random.integers(len(_ODD)))] & ((1 << 8 * width) - 1)
        changed[at : at + width] = value.to_bytes(width, "little")
    return bytes(changed)


def _install(path: Path) -> None:
    """As a zip of a mirror."""
    source = Source("x.params", "x", "x", "http://x", archived=True)
    try:
        with io.BytesIO(path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 20 else b"") as content:
            _Installation(source, path.with_name("installed"), lambda source, file: None).install(content)
        read_params(path.with_name("installed"))
    except Failed as failure:  # the caller says it with the places that were asked
        raise SSDZooError(str(failure)) from None


def _load_index(path: Path) -> None:
    index.user_cache = lambda: path.parent
    place = index._place("x", [str(path)])
    place.parent.mkdir()
    if path.exists() or path.is_symlink():
        path.rename(place)
    index.load_index("x", [str(path)])


def check(random: np.random.Generator, folder: Path) -> str:
    kind = str(random.choice(list(seeds())))
    files = seeds()[kind]
    chosen = sorted(files)[int(random.integers(len(files)))]
    for suffix, data in files.items():
        path = folder / f"x{suffix}"
        if suffix == chosen and random.integers(8) == 0:
            replace(random, path)
        else:
            path.write_bytes(mutate(random, data) if suffix == chosen else data)
    path = folder / f"x.{_SUFFIX.get(kind, kind)}"
    file_kind(path)
    readers = {
        "caffemodel": read_caffe, "onnx": read_initializers, "zip": _install, "npz": _load_index,
        "h5": lambda path: read_hdf5(path, lambda name: True),
    }  # fmt: skip
    found = readers.get(kind, read_tensors)(path)
    if isinstance(found, dict):
        assert sum(array.nbytes for array in found.values()) <= 1 << 20, "more than the file holds"
    return f"{kind}: read"


if __name__ == "__main__":
    main(check, __doc__, memory=2048)
