import json
import struct

import numpy as np
import pytest

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.formats import array_files
from ssdzoo.formats.array_files import read_hdf5, read_tensors
from tests.weights.outputs import write_safetensors


def safetensors(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize("write", [write_safetensors, array_files.write_safetensors])
def test_safetensors(write, tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, np.int64), "c": np.array([1.5, -2], np.float16),
        "none": np.zeros((0, 3), np.float32), "d": np.array([255], np.uint8),
    }  # fmt: skip
    write(tmp_path / "x.safetensors", arrays)
    read = read_tensors(tmp_path / "x.safetensors")
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype and read[name].shape == array.shape


def test_a_dtype_that_safetensors_lacks(tmp_path):
    with pytest.raises(CallError, match="array 'a' is complex64; the format has float64, float32"):
        array_files.write_safetensors(tmp_path / "x.safetensors", {"a": np.zeros(2, np.complex64)})
    assert list(tmp_path.iterdir()) == []


def test_bfloat16(tmp_path):
    """1, -2.5 and 2^100 are exact in bfloat16: 0x3F80, 0xC020, 0x7180."""
    data = struct.pack("<3H", 0x3F80, 0xC020, 0x7180)
    path = safetensors(tmp_path / "x.safetensors", {"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}, data)
    assert read_tensors(path)["a"].tolist() == [1, -2.5, 2.0**100]


@pytest.mark.parametrize("entry, message", [
    ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, None),
    ({"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}, r"cannot be bytes 0 to 4000000000000 of 8; is the"),
    ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, r"'a' F32 \(3,\) cannot be bytes 0 to 8"),
    ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "cannot be bytes -8 to 0"),
    ({"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}, "cannot be bytes"),
    ({"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, "cannot be bytes"),
    ({"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}, "cannot be bytes"),
    ({"dtype": "F32", "shape": [1] * 40 + [2], "data_offsets": [0, 8]}, "cannot be bytes"),
    ({"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}, "array 'a' is not described as expected"),
    ({"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}, "array 'a' is not described as expected"),
    ({"shape": [2]}, "array 'a' is not described as expected"),
    ([1, 2], "array 'a' is not described as expected"),
])  # fmt: skip
def test_safetensors_that_lie(entry, message, tmp_path):
    path = safetensors(tmp_path / "x.safetensors", {"a": entry}, np.array([1, 2], np.float32).tobytes())
    if message is None:
        assert read_tensors(path)["a"].tolist() == [1, 2]
    else:
        with pytest.raises(WeightsError, match=f"x.safetensors: .*{message}"):
            read_tensors(path)


@pytest.mark.parametrize("content, message", [
    (b"", "a header of 0 bytes in a file of 0"),
    (b"\xff" * 8 + b"{}", "a header of 18446744073709551615 bytes in a file of 10"),
    (struct.pack("<Q", 4) + b"nope", "its header is not a JSON object"),
    (struct.pack("<Q", 4) + b"[12]", "its header is not a JSON object"),
    (struct.pack("<Q", 40000) + b"[" * 40000, "its header is not a JSON object"),
    (struct.pack("<Q", 2) + b"{}", "holds no arrays"),
])  # fmt: skip
def test_files_that_are_no_safetensors(content, message, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_tensors(tmp_path / "x.safetensors")


def test_hdf5(tmp_path):
    import h5py

    array = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/a/kernel:0"] = array
        file["b/b/kernel:0"] = array
    assert list(read_hdf5(tmp_path / "x.h5", lambda name: name.startswith("a"))) == ["a/a/kernel:0"]
    np.testing.assert_array_equal(read_hdf5(tmp_path / "x.h5", lambda name: True)["b/b/kernel:0"], array)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:100])
    for name in ("cut", "gone"):
        with pytest.raises(WeightsError, match=f"{name}.h5: (not an HDF5 file, or damaged|no such file)"):
            read_hdf5(tmp_path / f"{name}.h5", lambda name: True)


@pytest.mark.parametrize("kind", ["long", "packed", "elsewhere", "link", "text"])
def test_hdf5_that_lies(kind, tmp_path):
    import h5py

    (tmp_path / "secret").write_bytes(b"x" * 80)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if kind == "long":
            file.create_dataset("a", (10**6, 10**6), "f4")
        elif kind == "packed":
            file.create_dataset("a", data=np.zeros((1000, 1000), np.float32), compression="gzip")
        elif kind == "elsewhere":
            file.create_dataset("a", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)])
        elif kind == "link":
            file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/a")
        else:
            file["a"] = "text"
    if kind == "link":
        assert read_hdf5(tmp_path / "x.h5", lambda name: True) == {}
    else:
        with pytest.raises(WeightsError, match="x.h5: data set 'a' .* is compressed, external or no floats"):
            read_hdf5(tmp_path / "x.h5", lambda name: True)
