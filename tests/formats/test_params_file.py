import io
import re
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.formats.params_file import read_stream
from ssdzoo.runtime import mxnet
from ssdzoo.weights import read_params, write_params
from tests.shared import shared_path
from tools.fuzz_params import mutate, seeds

mx = mxnet()

DTYPES = ["float32", "float64", "float16", "uint8", "int8", "int32", "int64", "bool"]
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
FLOATS = struct.pack("<2f", 1, 2)
QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def read_bytes(data, where="bytes"):
    return read_stream(io.BytesIO(data), len(data), where)


def file_of(*bodies, names=(b"x",)):
    """A file with raw array `bodies`."""
    out = struct.pack("<QQQ", 0x112, 0, len(bodies)) + b"".join(bodies) + struct.pack("<Q", len(names))
    return out + b"".join(struct.pack("<Q", len(name)) + name for name in names)


def dense(magic=V2, storage=0, shape=(1, 2), device=(1, 0), flag=0, data=FLOATS):
    return struct.pack(f"<Iii{len(shape)}q3i", magic, storage, len(shape), *shape, *device, flag) + data


def assert_same(found: dict, expected: dict):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_to_mxnet_in_both_directions(dtype, tmp_path):
    random = np.random.default_rng(0)
    values = {
        f"arg:{name}": random.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
        for name, shape in {"vector": (3,), "matrix": (2, 5), "weight": (4, 3, 1, 2), "one": (1,), "größe": (7, 1)}.items()
    }
    mx.nd.save(str(tmp_path / "theirs"), {name: mx.nd.array(a, dtype=a.dtype) for name, a in values.items()})
    found = read_params(tmp_path / "theirs")
    assert_same(found, {name: a.asnumpy() for name, a in mx.nd.load(str(tmp_path / "theirs")).items()})
    assert_same(found, values)
    write_params(tmp_path / "ours", values)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert all(a.flags.writeable and a.flags.owndata and a.flags.aligned for a in found.values())


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<III3i", 2, 1, 2, 1, 0, 0) + FLOATS,
        struct.pack("<Ii2q3i", V1, 2, 1, 2, 1, 0, 0) + FLOATS,
        dense(),
        dense(device=(2, 3)),
    ],
    ids=["first generation", "V1", "V2", "saved on a GPU"],
)
def test_generations(body, tmp_path):
    (tmp_path / "x").write_bytes(file_of(body))
    expected = {"x": np.array([[1, 2]], np.float32)}
    assert_same(read_params(tmp_path / "x"), expected)
    assert_same({k: v.asnumpy() for k, v in mx.nd.load(str(tmp_path / "x")).items()}, expected)


def test_files_of_np_shape_mode(tmp_path):
    with mx.util.np_shape(True), mx.util.np_array(True):
        values = {"scalar": mx.np.array(3.5), "empty": mx.np.zeros((0, 3)), "plain": mx.np.arange(4).reshape(2, 2)}
        mx.npx.save(str(tmp_path / "theirs"), values)
        found = read_params(tmp_path / "theirs")
        assert_same(found, {name: value.asnumpy() for name, value in values.items()})
        write_params(tmp_path / "ours", found)
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
        assert mx.npx.load(str(tmp_path / "ours"))["scalar"].item() == 3.5


def test_empty_arrays_without_scalars_stay_readable_for_nd_load(tmp_path):
    write_params(tmp_path / "x", {"empty": np.zeros((0, 3), np.float32)})
    assert mx.nd.load(str(tmp_path / "x"))["empty"].shape == (0, 3)


def test_lists_without_names(tmp_path):
    mx.nd.save(str(tmp_path / "list"), [mx.nd.ones(2), mx.nd.zeros((1, 3))])
    assert_same(read_params(tmp_path / "list"), {"0": np.ones(2, np.float32), "1": np.zeros((1, 3), np.float32)})
    mx.nd.save(str(tmp_path / "none"), {})
    assert read_params(tmp_path / "none") == {}


def test_what_numpy_holds_otherwise_is_written_right(tmp_path):
    square = np.arange(6, dtype=">f4").reshape(2, 3)
    write_params(tmp_path / "x", {"turned": square.T, "strided": np.arange(10, dtype=np.int32)[::3]})
    assert_same(read_params(tmp_path / "x"), {"turned": square.T.astype("<f4"), "strided": np.array([0, 3, 6, 9], np.int32)})


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"a": np.zeros(2, np.int16)}, "array 'a' is int16; the format has bool, float16"),
        ({"a": np.array(["x"])}, "array 'a' is <U1"),
        ({3: np.zeros(2)}, "must be text, not 3"),
        ({"\ud800": np.zeros(2)}, "must be text"),
    ],
)
def test_what_cannot_be_written(arrays, message, tmp_path):
    with pytest.raises(CallError, match=message):
        write_params(tmp_path / "x", arrays)
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_is_told_with_an_offset():
    data = file_of(dense(), struct.pack("<III3i", 2, 1, 2, 1, 0, 0) + FLOATS, names=(b"first", b"second"))
    assert len(read_bytes(data)) == 2
    for length in range(len(data)):
        with pytest.raises(WeightsError, match=r"^f: not an MXNet parameter file, or a damaged one: byte (\d+): ") as error:
            read_bytes(data[:length], "f")
        assert int(str(error.value).split("byte ")[1].split(":")[0]) <= length


@pytest.mark.parametrize(
    "data, message",
    [
        (b"hello, I am a text file and no parameters", r"byte 0: it begins with 0x49202c6f6c6c6568"),
        (struct.pack("<QQQQ", 0x112, 7, 0, 0), r"byte 0: it begins with 0x112, 0x7 instead"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 60), r"byte 16: the header says 1152921504606846976 arrays, but only 0 bytes follow"),
        (
            file_of(dense(shape=(1 << 40, 2))),
            r"byte 64: truncated: array 0 \(1099511627776, 2\) float32 needs 8796093022208 bytes",
        ),
        (file_of(dense(shape=(1 << 62, 1 << 62))), r"byte 36: array 0 has the shape .*, which no machine holds"),
        (file_of(dense(shape=(0, 1 << 62))), r"byte 36: array 0 has the shape .*, which no machine holds"),
        (file_of(dense(shape=(-1, 2))), r"byte 36: array 0 has the shape \(-1, 2\)"),
        (file_of(struct.pack("<Iii5q", V2, 0, 1 << 30, *[0] * 5)), r"byte 32: array 0 has 1073741824 axes; 0 to 32"),
        (file_of(struct.pack("<Iii5q", V3, 0, -1, *[0] * 5)), r"byte 32: array 0 has -1 axes"),
        (file_of(struct.pack("<5Q", *[0xFFFFFFFF] * 5)), r"byte 24: array 0 has 4294967295 axes"),
        (file_of(dense(flag=99)), r"byte 60: array 0 has the unknown type flag 99"),
        (file_of(dense(flag=12)), r"f: byte 60: array 0 is bfloat16, which numpy lacks: cast it"),
        (file_of(dense(storage=-1)), r"f: byte 24: array 0 is of unknown storage type -1; only dense"),
        (file_of(dense(shape=()) + bytes(20)), r"f: byte 24: array 0 was saved before it had a shape"),
        (file_of(dense(flag=7, data=b"\1\2")), r"byte 64: array 0 is bool, but has bytes other than 0 and 1"),
        (file_of(dense(), names=(b"x", b"y")), r"byte 72: 2 names for 1 arrays"),
        (file_of(dense(), dense(), names=(b"x", b"x")), r"the name 'x' is there twice"),
        (file_of(dense(), names=(b"\xff\xfe",)), r"byte 88: name 0 is not UTF-8"),
        (file_of(dense())[:-1] + b"xyz", r"byte 89: 2 bytes follow after the end"),
        (
            file_of(dense())[:-9] + struct.pack("<Q", 1 << 50) + b"x",
            r"truncated: name 0 needs 1125899906842624 bytes, 1 are left",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_lying_headers(data, message):
    tracemalloc.start()
    try:
        read_bytes(data, "f")
        said = "nothing"
    except WeightsError as error:
        said = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert re.search(message, said) and peak < 20_000, (said, peak)


@pytest.mark.parametrize("kind, word", [("row_sparse", "row-sparse"), ("csr", "CSR-sparse")])
def test_sparse_arrays_are_refused(kind, word, tmp_path):
    mx.nd.save(str(tmp_path / "x"), {"a": mx.nd.ones((2, 3)).tostype(kind)})
    with pytest.raises(WeightsError, match=rf"array 0 is {word}; only dense arrays are read"):
        read_params(tmp_path / "x")


def test_places_that_hold_no_file(tmp_path):
    with pytest.raises(WeightsError, match="nowhere: no such file"):
        read_params(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="cannot be read: Is a directory"):
        read_params(tmp_path)


def test_real_weights():
    path = shared_path("weights/mobilenet0.25-imagenet.params")
    found = read_params(path)
    assert len(found) == 137 and found["features.0.weight"].shape == (8, 3, 3, 3)
    assert_same(found, {name: array.asnumpy() for name, array in mx.nd.load(str(path)).items()})


def test_works_without_mxnet(tmp_path):
    code = f"""
import sys
sys.modules["mxnet"] = None
import numpy as np
from ssdzoo.weights import read_params, write_params
write_params({str(tmp_path / "x")!r}, {{"a": np.ones(3)}})
print(read_params({str(tmp_path / "x")!r}))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "{'a': array([1., 1., 1.])}\n"


any_arrays = st.sampled_from(DTYPES).flatmap(lambda d: arrays(d, array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3)))


@settings(QUICK, max_examples=40)  # each one waits for the disk
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), any_arrays, max_size=5))
def test_round_trips_of_anything(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "round.params"
    write_params(path, values)
    assert_same(read_params(path), values)


@QUICK
@given(st.integers(0, 2**32))
def test_damage_of_any_kind_is_an_error_or_harmless(seed):
    data = mutate(np.random.default_rng(seed), seeds())
    try:
        found = read_bytes(data)
    except WeightsError:
        return
    assert sum(array.nbytes for array in found.values()) < len(data)


@QUICK
@given(st.binary(max_size=200))
def test_noise_is_an_error(noise):
    for data in (noise, struct.pack("<QQ", 0x112, 0) + noise):
        try:
            assert sum(array.nbytes for array in read_bytes(data).values()) <= len(data)
        except WeightsError:
            pass
