import numpy as np
import pytest

from ssdzoo.errors import WeightsError
from ssdzoo.formats.caffemodel import read_caffemodel
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.onnx_initializers import read_initializers
from tests.hostile import limits  # noqa: F401
from tests.weights.wire_format import field, integer, onnx_model, tensor, varint, write_onnx

ARRAYS = {
    "a_weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(2.5, np.float32),
    "shape": np.array([0, -1]),
}
ONES = np.ones(2, np.float32)


@pytest.mark.parametrize("raw", [True, False])
def test_initializers(raw, tmp_path):
    arrays = {name: array for name, array in ARRAYS.items() if raw or name != "shape"}
    read = read_initializers(write_onnx(tmp_path / "x.onnx", arrays, raw))
    assert list(read) == ["a_weight", "scalar"]  # and no int64
    assert read["a_weight"].tolist() == [[0, 1, 2], [3, 4, 5]] and read["a_weight"].dtype == np.float32
    assert read["scalar"].shape == () and read["scalar"] == 2.5


@pytest.mark.parametrize("raw", [True, False])
def test_initializers_that_the_onnx_package_wrote(raw, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")
    tensors = []
    for name, array in {**ARRAYS, "half": np.array([1.5], np.float16), "double": np.array([0.1, 3])}.items():
        if raw or name != "half":
            data = array.tobytes() if raw else array.ravel()
            tensors.append(
                onnx.helper.make_tensor(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, data, raw)
            )
    inputs = [onnx.helper.make_tensor_value_info("a_weight", onnx.TensorProto.FLOAT, (2, 3))]
    node = onnx.helper.make_node("Relu", ["a_weight"], ["out"], doc_string="x")
    graph = onnx.helper.make_graph([node], "g", inputs, [onnx.helper.make_empty_tensor_value_info("out")], tensors)
    onnx.save(onnx.helper.make_model(graph, producer_name="a"), tmp_path / "x")
    read = read_initializers(tmp_path / "x")
    assert file_kind(tmp_path / "x") == "onnx"
    np.testing.assert_array_equal(read["a_weight"], ARRAYS["a_weight"])
    assert read["double"].tolist() == [0.1, 3] and read["double"].dtype == np.float64
    assert "shape" not in read and (not raw or read["half"].tolist() == [1.5])


def initializer(**change: bytes) -> bytes:
    """A tensor `a` (2,) of ones, with other bytes for some of its fields."""
    parts = {"dims": integer(1, 2), "type": integer(2, 1), "name": field(8, b"a"), "data": field(9, ONES.tobytes()), **change}
    return b"".join(parts.values())


@pytest.mark.parametrize("model, message", [
    (b"", "an ONNX model without weights"),
    (integer(1, 3) + field(7, b""), "an ONNX model without weights"),
    (onnx_model([tensor("shape", ARRAYS["shape"])]), "an ONNX model without weights"),
    (onnx_model([initializer()])[:-3], r"not an ONNX model, or damaged: field 7 has \d+ bytes, \d+ are left"),
    (onnx_model([initializer(dims=integer(1, 3))]), r"initializer 'a': \(3,\) float32 has 8 bytes, expected 12"),
    (onnx_model([initializer(dims=integer(1, 2**64 - 1))]), r"initializer 'a': \(18446744073709551615,\) float32 has 8 bytes"),
    (onnx_model([initializer(dims=integer(1, 0) + integer(1, 2**63), data=field(9, b""))]), "not an ONNX model, or damaged"),
    (onnx_model([initializer(dims=integer(1, 2) + 40 * integer(1, 1))]), "initializer 'a': maximum supported dimension"),
    (onnx_model([initializer(type=field(2, b"\xff"))]), "damaged: an integer does not end"),
    (onnx_model([initializer(data=b"")]), r"initializer 'a': \(2,\) float32 has 0 bytes, expected 8"),
    (onnx_model([initializer(data=integer(9, 1))]), "initializer 'a': an integer stands where bytes are expected"),
    (onnx_model([initializer(data=field(13, b"") + integer(14, 1))]), "the weights of 'a' are in another file; save the"),
    (onnx_model([initializer()] * 2), "it has two initializers 'a'"),
    (onnx_model([initializer(name=field(8, b"\xff"))]), "damaged: 'utf-8' codec"),
    (onnx_model([initializer(dims=varint(1 << 3 | 4))]), "field 1 is of the unknown type 4"),
    (integer(1, 3) + b"\xff" * 12, "damaged: an integer does not end"),
    (integer(1, 3) + b"\x3a\xff", "damaged: an integer does not end"),
    (integer(1, 3) + integer(7, 5), "an integer stands where bytes are expected"),
])  # fmt: skip
def test_onnx_models_that_lie(model, message, tmp_path):
    (tmp_path / "x.onnx").write_bytes(model)
    with pytest.raises(WeightsError, match=f"x.onnx: .*{message}"):
        read_initializers(tmp_path / "x.onnx")


def test_a_missing_file(tmp_path):
    for read in (read_initializers, read_caffemodel):
        with pytest.raises(WeightsError, match="gone: no such file"):
            read(tmp_path / "gone")


def layer(name: str, kind: str, *blobs: bytes) -> bytes:
    return field(100, field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(7, blob) for blob in blobs))


def blob(array, shape=None) -> bytes:
    dims = np.shape(array) if shape is None else shape
    return field(7, field(1, b"".join(map(varint, dims)))) + field(5, np.asarray(array, "<f4").tobytes())


def test_caffemodel(tmp_path):
    """Blobs by the type of their layer; numbers one to a field, as a writer may put them, are read as well."""
    numbers = field(7, integer(1, 2)) + b"".join(varint(5 << 3 | 5) + np.float32(x).tobytes() for x in (3, 4))
    norm = layer("norm", "BatchNorm", blob([1.0]), blob([2.0]), blob([999.0]))
    content = field(1, b"net") + layer("data", "Input") + layer("conv", "Convolution", blob([[1.0], [2]]), numbers) + norm
    (tmp_path / "x").write_bytes(content)
    assert file_kind(tmp_path / "x") == "caffe"
    read = {name: array.tolist() for name, array in read_caffemodel(tmp_path / "x").items()}
    assert read == {"conv.weight": [[1], [2]], "conv.bias": [3, 4], "norm.mean": [1], "norm.variance": [2], "norm.factor": [999]}


@pytest.mark.parametrize("content, message", [
    (b"", "a Caffe model without weights"),
    (field(2, b"old"), "a Caffe model without weights"),
    (layer("conv", "Convolution", blob([1.0], (2,))), r"layer 'conv': \(2,\) float32 has 4 bytes, expected 8"),
    (layer("conv", "Convolution", blob([1.0]))[:-1], "not a Caffe model, or damaged: field 100 has"),
    (b"hello" * 100, "not a Caffe model, or damaged"),
])  # fmt: skip
def test_caffemodels_that_lie(content, message, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(WeightsError, match=f"x: .*{message}"):
        read_caffemodel(tmp_path / "x")


@pytest.mark.parametrize("start, suffix, kind", [
    (b"\x08\x03\x12\x00", ".params", "onnx"), (b"\x08\x08:\x05", "", "onnx"), (b"no", ".onnx", "onnx"),
    (b"\x08\x03", "", "params"), (b"\n\tMOBILENET\xa2\x06", "", "caffe"), (b"\xa2\x06", ".bin", "caffe"),
    (b"\n\tMOBILENET", "", "params"),
])  # fmt: skip
def test_the_first_bytes_say_the_kind(start, suffix, kind, tmp_path):
    (tmp_path / f"x{suffix}").write_bytes(start + bytes(20))
    assert file_kind(tmp_path / f"x{suffix}") == kind
