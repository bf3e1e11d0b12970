import argparse
import collections
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ssdzoo.errors import WeightsError
from ssdzoo.formats.array_files import read_tensors
from ssdzoo.formats.torch_file import read_state_dict
from tests.formats.torch_files import items, name, number, tensor, text, write_archive, write_old, write_pth

EIGHT = np.arange(8, dtype=np.float32)


def write(path, value, storages=None, **kwargs):
    write_archive(path, value, {"0": EIGHT.tobytes()} if storages is None else storages, **kwargs)
    return path


def test_every_dtype(tmp_path):
    arrays = {
        "f4": np.array([[1, -2.5, 3]], np.float32), "f8": np.array([0.1]), "f2": np.array([1.5, -2], np.float16),
        "i8": np.array(7), "i4": np.array([-1], np.int32), "u1": np.array([255], np.uint8), "b": np.array([True, False]),
        "none": np.zeros((0, 3), np.float32),
    }  # fmt: skip
    write_pth(tmp_path / "x.pth", arrays)
    read = read_tensors(tmp_path / "x.pth")
    assert list(read) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key], array)
        assert read[key].dtype == array.dtype and read[key].shape == array.shape and not read[key].flags.writeable


def test_bfloat16_becomes_float32(tmp_path):
    """1, -2.5 and 2^100 are exact in bfloat16: 0x3F80, 0xC020, 0x7180."""
    data = np.array([0x3F80, 0xC020, 0x7180], "<u2").tobytes()
    write(tmp_path / "x.pth", items({"a": tensor("0", [3], [1], 3, storage="BFloat16Storage")}), {"0": data})
    assert read_state_dict(tmp_path / "x.pth")["a"].tolist() == [1, -2.5, 2.0**100]


def test_strides_offsets_and_shared_storages(tmp_path):
    values = {
        "transposed": tensor("0", [2, 3], [1, 2], 8, 1), "every second": tensor("0", [4], [2], 8),
        "one": tensor("0", [], [], 8, 7), "repeated": tensor("0", [3, 2], [0, 4], 8), "all": tensor("0", [8], [1], 8),
    }  # fmt: skip
    read = read_state_dict(write(tmp_path / "x.pth", items(values)))
    assert read["transposed"].tolist() == [[1, 3, 5], [2, 4, 6]]
    assert read["every second"].tolist() == [0, 2, 4, 6]
    assert read["one"] == 7 and read["one"].shape == ()
    assert read["repeated"].tolist() == [[0, 4]] * 3
    assert np.shares_memory(read["all"], read["every second"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_checkpoint_is_read_as_torch_reads_it(protocol, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    base = torch.arange(24.0)
    state = collections.OrderedDict(
        a=base[2:14].reshape(3, 4).t(), p=torch.nn.Parameter(torch.ones(2)), b=torch.tensor([0.1, 3e38]).bfloat16(),
        e=torch.zeros(0, 3), h=torch.ones(3).half(), d=torch.ones(3).double(), i=torch.arange(3), s=torch.tensor(3.0),
        x=torch.ones(1).expand(7), c=base[::2], t=torch.tensor([True, False]), u=torch.arange(3, dtype=torch.uint8),
    )  # fmt: skip
    torch.save(state, tmp_path / "plain.pth", pickle_protocol=protocol)
    plain = torch.load(tmp_path / "plain.pth", weights_only=True) if protocol == 2 else state
    checkpoint = {
        "epoch": np.float64(3), "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), dtype=torch.float32, ids={1, 2}),
        "optimizer": {"state": {0: {"moment": torch.ones(3)}}, "groups": [{"lr": 0.1, "betas": (0.9, 0.99)}], "big": 2**80},
        "milestones": collections.Counter([3]), "model": {f"module.{key}": value for key, value in state.items()},
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "checkpoint.pth", pickle_protocol=protocol)
    for path in (tmp_path / "plain.pth", tmp_path / "checkpoint.pth"):
        read = read_tensors(path)
        assert list(read) == list(plain)
        for key, value in plain.items():
            expected = (value.float() if key == "b" else value).detach().numpy()
            np.testing.assert_array_equal(read[key], expected)
            assert read[key].dtype == expected.dtype


def test_a_model_of_torch(tmp_path):
    """The names of batch norms, and the attributes of the dict that holds them (`_metadata`)."""
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
    torch.save(state, tmp_path / "x.pth")
    read = read_state_dict(tmp_path / "x.pth")
    assert list(read) == list(state) and read["1.num_batches_tracked"] == 0
    np.testing.assert_array_equal(read["0.weight"], state["0.weight"].numpy())


def test_the_names_may_be_python_2s(tmp_path):
    """An OrderedDict with its items as an argument, and texts of one byte for each letter."""
    pair = b"](U\x01a" + tensor("0", [2], [1], 8) + b"e"
    write(tmp_path / "x.pth", name("collections", "OrderedDict") + b"](" + pair + b"e\x85R")
    assert read_state_dict(tmp_path / "x.pth")["a"].tolist() == [0, 1]


@pytest.mark.parametrize("module, what", [
    ("builtins", "eval"), ("os", "system"), ("torch._utils", "_rebuild_qtensor"), ("torch", "load"), ("io", "open"),
    ("collections", "OrderedDict.fromkeys"), ("ssdzoo.formats.torch_file", "read_state_dict"),
])  # fmt: skip
def test_another_global_is_refused_with_its_name(module, what, tmp_path):
    """Also where it is not called, and as the two texts of protocol 4."""
    message = rf"x.pth: not a plain state dict \(unpickling it asks for {module}.{what}\); nothing in it was run"
    call, alone = name(module, what) + b"(" + text("echo") + b"tR", name(module, what)
    for value in (call, alone, text(module) + text(what) + b"\x93"):
        write(tmp_path / "x.pth", items({"a": tensor("0", [8], [1], 8), "b": value}))
        with pytest.raises(WeightsError, match=message):
            read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("value, message", [
    (tensor("0", [8], [1], 8), "holds a tensor, not a state dict"),
    (b"](K\x01K\x02e", "holds a list, not a state dict"),
    (name("argparse", "Namespace") + b")\x81}b", "holds a plain object, not a state dict"),
    (items({"a": number(1)}), r"a state dict without tensors; its keys begin with \['a'\]"),
    (items({"a": tensor("0", [9], [1], 8)}), r"'a' of shape \(9,\) and strides \(1,\) from element 0 is not in its storage of 8"),
    (items({"a": tensor("0", [2], [1], 8, 7)}), "from element 7 is not in its storage of 8"),
    (items({"a": tensor("0", [2], [-1], 8)}), "tensor 'a' has an impossible shape, stride or offset"),
    (items({"a": tensor("0", [-1, -2], [1, 1], 8)}), "tensor 'a' has an impossible shape"),
    (items({"a": tensor("0", [2], [1], 8, -4)}), "tensor 'a' has an impossible shape"),
    (items({"a": tensor("0", [2, 2], [1], 8)}), "tensor 'a' has an impossible shape"),
    (items({"a": tensor("0", [1] * 33, [1] * 33, 8)}), "tensor 'a' has an impossible shape"),
    (items({"a": tensor("0", [2**70], [0], 8)}), "tensor 'a' has an impossible shape"),
    (items({"a": tensor("0", [10**6, 10**6], [0, 0], 8)}), "is larger than the file"),
    (items({"a": tensor("0", [2**40], [1], 2**40)}), "is larger than the file"),
    (items({"a": tensor("0", [1], [1], 2**40)}), "storage 0 has 32 bytes; expected 4398046511104"),
    (items({"a": tensor("0", [8], [1], 7)}), "is not in its storage of 7"),
    (items({"a": tensor("0", [7], [1], 7)}), "data/0 has 32 bytes; expected at most 28"),
    (items({"a": tensor("0", [8], [1], 2**70)}), "a storage without a possible number of elements"),
    (items({"a": tensor("../../x", [8], [1], 8)}), "archive/data/../../x is not in the archive"),
    (b"K\x01K\x02", "its pickle is damaged"),
    (b"e", "its pickle is damaged at byte 2 .IndexError."),
    (b"h\x05", "its pickle is damaged at byte 2 .KeyError."),
    (b"\x85", "its pickle is damaged at byte 2 .IndexError."),
    (b"K\x01)R", "its pickle is damaged at byte 5 .TypeError."),
    (name("torch", "FloatStorage") + b")R", "its pickle is damaged at byte 23 .TypeError."),
    (b"K\x01K\x02a", "its pickle is damaged"),
    (b"\x8b\xff\xff\xff\x7f" + b"0", "its pickle is damaged"),
    (b"X\xff\xff\xff\x7fabc", "its pickle is damaged"),
    (b"I1\n", "operation INT is not read here"),
    (b"P1\n", "operation PERSID is not read here"),
    (b"(cos\nsystem\no", "asks for os.system"),
    (b"\x82\x01", "operation EXT1 is not read here"),
    (b"", "its pickle is damaged"),
])  # fmt: skip
def test_files_that_lie(value, message, tmp_path):
    with pytest.raises(WeightsError, match=f"x.pth: .*{message}"):
        read_state_dict(write(tmp_path / "x.pth", value))


@pytest.mark.parametrize("value", [
    b"]" * 20_000 + b"a" * 19_999,  # a list in a list in a list
    b")" + b"\x85" * 20_000,  # the same of tuples
    b"]q\x00h\x00a",  # a list in itself
    b"}q\x00" + text("a") + b"h\x00s",
    b"]q\x00" + b"".join(b"(h%ch%ctq%c" % (i, i, i + 1) for i in range(100)),  # 2^100 lists
])  # fmt: skip
def test_deep_and_circular_values_do_no_harm(value, tmp_path):
    path = write(tmp_path / "x.pth", items({"a": tensor("0", [8], [1], 8), "b": value}))
    np.testing.assert_array_equal(read_state_dict(path)["a"], EIGHT)


def test_a_deep_tuple_as_a_key(tmp_path):
    """Its hash would overflow the stack of the interpreter."""
    deep = b"}" + b")" + b"\x85" * 20_000 + b"K\x01s"
    path = write(tmp_path / "x.pth", items({"a": tensor("0", [8], [1], 8), "b": deep}))
    np.testing.assert_array_equal(read_state_dict(path)["a"], EIGHT)


@pytest.mark.parametrize("change, message", [
    ({"entries": {"byteorder": b"big"}}, "its numbers are not little-endian"),
    ({"entries": {"byteorder": b"x" * 100}}, "byteorder has 100 bytes; expected at most 16"),
    ({"compression": zipfile.ZIP_DEFLATED}, "is compressed, which torch.save does not do"),
    ({"storages": {}}, "archive/data/0 is not in the archive"),
    ({"storages": {"0": b"1234"}}, "storage 0 has 4 bytes; expected 32"),
    ({"entries": {"x/data.pkl": b""}}, None),
    ({"value": items({"b": text("x" * (4 << 20)), "a": tensor("0", [8], [1], 8)})}, "data.pkl has .* expected at most 4194304"),
])  # fmt: skip
def test_archives_that_lie(change, message, tmp_path):
    path = write(tmp_path / "x.pth", change.pop("value", items({"a": tensor("0", [8], [1], 8)})), **change)
    if message is None:
        assert list(read_state_dict(path)) == ["a"]
    else:
        with pytest.raises(WeightsError, match=f"x.pth: not a plain state dict, or damaged: .*{message}"):
            read_state_dict(path)


def test_a_changed_bit_and_half_a_file(tmp_path):
    data = write(tmp_path / "x.pth", items({"a": tensor("0", [8], [1], 8)})).read_bytes()
    place = data.index(EIGHT.tobytes())
    (tmp_path / "x.pth").write_bytes(data[:place] + b"\x01" + data[place + 1 :])
    with pytest.raises(WeightsError, match="or damaged: Bad CRC-32 for file 'archive/data/0'"):
        read_state_dict(tmp_path / "x.pth")
    for end in range(0, len(data), 13):
        (tmp_path / "x.pth").write_bytes(data[:end])
        with pytest.raises(WeightsError, match="x.pth: not a plain state dict, or damaged"):
            read_state_dict(tmp_path / "x.pth")


def test_damaged_files_never_end_otherwise(tmp_path):
    """Every fifth byte is changed, one at a time: what is read is the array, or the error is one that names the file."""
    data = bytearray(write(tmp_path / "x.pth", items({"a": tensor("0", [8], [1], 8)})).read_bytes())
    random = np.random.default_rng(0)
    for place in range(0, len(data), 5):
        old, data[place] = data[place], random.integers(256)
        (tmp_path / "x.pth").write_bytes(data)
        data[place] = old
        try:
            assert len(read_state_dict(tmp_path / "x.pth")) == 1
        except WeightsError as error:
            assert str(error).startswith(str(tmp_path / "x.pth"))


def test_entries_that_overlap_do_not_add_up(tmp_path):
    """Many storages of the archive's list stand on the same bytes: a small file must not become a large memory."""
    key, size = "0", 100_000
    values = {str(i): tensor(str(i), [size], [1], size, storage="ByteStorage") for i in range(20)}
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + items(values) + b".")
        file.writestr(f"archive/data/{key}", bytes(size))
        for i in range(1, 20):
            info = zipfile.ZipInfo(f"archive/data/{i}")
            other = file.getinfo("archive/data/0")
            info.header_offset, info.file_size, info.compress_size, info.CRC = other.header_offset, size, size, other.CRC
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
    with pytest.raises(WeightsError, match="not a plain state dict, or damaged: "):
        read_state_dict(tmp_path / "x.pth")


def test_a_tar_archive_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "x.pth").write_bytes(bytes(257) + b"ustar\0" + bytes(300))
    with pytest.raises(
        WeightsError, match=r"x.pth: a tar archive, which torch wrote before 2017, is not read here: save it again"
    ):
        read_tensors(tmp_path / "x.pth")


def test_a_file_before_torch_1_6(tmp_path):
    """The format of torchvision's files of 2017 to 2020, such as vgg16-397923af.pth. Theirs have no kind of gradient."""
    value = items(
        {"a": tensor("140", [2, 3], [1, 2], 8, 1, old=True), "b": tensor("14", [2], [1], 2, storage="LongStorage", old=True)}
    )
    write_old(tmp_path / "x.pth", value, {"14": (2, np.array([7, -8]).tobytes()), "140": (8, EIGHT.tobytes())})
    read = read_tensors(tmp_path / "x.pth")
    assert read["a"].tolist() == [[1, 3, 5], [2, 4, 6]] and read["b"].tolist() == [7, -8]


def test_an_old_checkpoint_is_read_as_torch_reads_it(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    base = torch.arange(24.0)
    state = {
        "a": base[2:14].reshape(3, 4).t(),
        "c": base[::2],
        "h": torch.ones(3).half(),
        "i": torch.arange(3),
        "e": torch.zeros(0, 3),
    }
    path = tmp_path / "x.pth"
    torch.save({"state_dict": collections.OrderedDict(state), "epoch": 3}, path, _use_new_zipfile_serialization=False)
    read, expected = read_tensors(path), torch.load(path, weights_only=True)["state_dict"]
    assert list(read) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(read[key], value.numpy())
        assert read[key].dtype == value.numpy().dtype


@pytest.mark.parametrize("change, message", [
    ({"storages": {"0": (7, EIGHT.tobytes())}}, "storage 0 is cut off, or is not of 8 elements"),
    ({"storages": {"0": (8, EIGHT.tobytes()[:-1])}}, "storage 0 of 8 elements is cut off"),
    ({"storages": {"1": (8, EIGHT.tobytes())}}, "its list of storages is not that of its tensors"),
    ({"storages": {}}, "storage 0 is not in the file"),
    ({"value": items({"a": tensor("0", [2**40], [1], 2**40, old=True)})}, "storage 0 is cut off, or is not of 1099511627776"),
    ({"little": b"\x89"}, "its numbers are not little-endian"),
    ({"version": 1002}, "does not begin as torch's files do"),
    ({"value": items({key: tensor("0", [7], [1], count, old=True) for key, count in (("a", 7), ("b", 8))})}, "two dtypes"),
])  # fmt: skip
def test_old_files_that_lie(change, message, tmp_path):
    good = {"value": items({"a": tensor("0", [8], [1], 8, old=True)}), "storages": {"0": (8, EIGHT.tobytes())}}
    write_old(tmp_path / "x.pth", **{**good, **change})
    with pytest.raises(WeightsError, match=f"x.pth: not a plain state dict, or damaged: .*{message}"):
        read_tensors(tmp_path / "x.pth")


def test_an_old_file_cut_and_changed(tmp_path):
    write_old(tmp_path / "x.pth", items({"a": tensor("0", [8], [1], 8, old=True)}), {"0": (8, EIGHT.tobytes())})
    data = (tmp_path / "x.pth").read_bytes()
    random = np.random.default_rng(0)
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] = random.integers(256)
        for content in (data[:place], changed):
            (tmp_path / "x.pth").write_bytes(content)
            try:
                assert len(read_tensors(tmp_path / "x.pth")) == 1 and content is changed
            except WeightsError as error:
                assert str(error).startswith(str(tmp_path / "x.pth"))


def test_it_needs_neither_torch_nor_mxnet(tmp_path):
    write_pth(tmp_path / "x.pth", {"a": EIGHT})
    code = f"""
import sys
sys.modules["mxnet"] = sys.modules["torch"] = None
from ssdzoo.formats.array_files import read_tensors
from tests.hostile import limits  # noqa: F401
print(read_tensors({str(tmp_path / "x.pth")!r})["a"].sum())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.stdout, result.stderr) == ("28.0\n", "")
