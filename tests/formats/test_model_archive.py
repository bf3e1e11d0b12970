"""Archives of models, and hostile ones."""

import gzip
import io
import os
import tarfile

import numpy as np
import pytest

from ssdzoo.errors import SSDZooError, WeightsError
from ssdzoo.exported_files import find_exported
from ssdzoo.formats import model_archive
from ssdzoo.formats.model_archive import list_archive
from tests.hostile import limits  # noqa: F401

FILES = {"m-symbol.json": b"{}", "m-0000.params": b"weights", "hyperparams.json": b"{}"}


def member(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(path, *members, mode="w:gz"):
    """An archive of FILES, and of (TarInfo, content) after them."""
    with tarfile.open(path, mode) as tar:
        for info, content in [*(member(name, content) for name, content in FILES.items()), *members]:
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode, name", [("w:gz", "m.tar.gz"), ("w", "m.tar")])
def test_an_archive(mode, name, tmp_path):
    folder = member("./more", type=tarfile.DIRTYPE)
    long = member("./more/" + "x" * 200, b"abc")  # a name that has a header of its own
    found = list_archive(archive(tmp_path / name, folder, long, mode=mode), (".json",))
    assert found.sizes == {"m-symbol.json": 2, "m-0000.params": 7, "hyperparams.json": 2, "more/" + "x" * 200: 3}
    assert found.texts == {"m-symbol.json": b"{}", "hyperparams.json": b"{}"}
    with found.open("m-0000.params") as file:
        assert file.read() == b"weights"
    with pytest.raises(WeightsError, match="'other' is no longer in it"), found.open("other"):
        pass


@pytest.mark.parametrize(
    "hostile, message",
    [
        (member("../evil"), r"the path '\.\./evil' leads out of it"),
        (member("a/../../evil"), "leads out of it"),
        (member("/etc/evil"), "leads out of it"),
        (member("..\\evil"), "leads out of it"),
        (member("a\nb"), "leads out of it"),
        (member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'link' is a link or a device"),
        (member("link", type=tarfile.LNKTYPE, linkname="m-symbol.json"), "a link or a device"),
        (member("zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5), "a link or a device"),
        (member("disk", type=tarfile.BLKTYPE), "a link or a device"),
        (member("pipe", type=tarfile.FIFOTYPE), "a link or a device"),
        (member("m-0000.params", b"other"), "holds 'm-0000.params' twice"),
        (member("./m-0000.params", b"other"), "holds 'm-0000.params' twice"),
        (member("big", size=(2 << 30) + 1), "'big' has 2147483649 bytes; at most 2147483648 are read"),
        (member("b-symbol.json", size=(64 << 20) + 1), "at most 67108864 are read"),
        (member("x", bytes(1 << 17), type=tarfile.XHDTYPE), "a damaged one .a header of 131072 bytes"),
        (member("x", bytes(1 << 17), type=tarfile.GNUTYPE_LONGNAME), "a header of 131072 bytes"),
    ],
)
def test_hostile_members(hostile, message, tmp_path):
    path = tmp_path / "m.tar.gz"
    info, content = hostile
    if info.size != len(content):  # a header without its content
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, text in FILES.items():
                tar.addfile(member(name, text)[0], io.BytesIO(text))
        whole = packed.getvalue().rstrip(b"\0")
        path.write_bytes(gzip.compress(whole + bytes(-len(whole) % 512) + info.tobuf()))
    else:
        archive(path, hostile)
    with pytest.raises(WeightsError, match=message):
        list_archive(path, ("-symbol.json",))
    assert os.listdir(tmp_path) == ["m.tar.gz"]


def test_bombs(tmp_path, monkeypatch):
    many = archive(tmp_path / "many.tar.gz", *(member(f"f{i}") for i in range(1000)))
    with pytest.raises(WeightsError, match="more than 1000 files"):
        list_archive(many)
    chain = archive(tmp_path / "chain.tar.gz", *(member("x", b"11 path=ab\n", type=tarfile.XHDTYPE) for _ in range(2000)))
    with pytest.raises(WeightsError, match="a damaged one"):
        list_archive(chain)
    bomb = archive(tmp_path / "bomb.tar.gz", member("zeros", bytes(9 << 20)))
    assert bomb.stat().st_size < 20_000 and list_archive(bomb).sizes["zeros"] == 9 << 20
    monkeypatch.setattr(model_archive, "_MAX_BYTES", 4 << 20)
    with pytest.raises(WeightsError, match="'zeros' has 9437184 bytes; at most 4194304"):
        list_archive(bomb)
    behind = tmp_path / "behind.tar.gz"  # after the end of the archive
    behind.write_bytes(gzip.compress(gzip.decompress(archive(tmp_path / "m.tar.gz").read_bytes()) + bytes(9 << 20)))
    with pytest.raises(WeightsError, match="its content has more than"):
        list_archive(behind)


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "m.tar.gz"
    with pytest.raises(WeightsError, match="no such archive"):
        list_archive(path)
    path.mkdir()
    with pytest.raises(WeightsError, match="Is a directory"):
        list_archive(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(WeightsError, match="a FIFO, not a file"):
        list_archive(path)
    path.unlink()
    for content in (b"", b"text" * 999, b"\x1f\x8b", gzip.compress(b""), gzip.compress(b"text" * 999)):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a tar archive, or a damaged one"):
            list_archive(path)


def test_damaged_archives(tmp_path):
    """Every cut is found, and every changed byte that matters; nothing else is raised."""
    whole = archive(tmp_path / "m.tar.gz", member("noise", np.random.default_rng(0).bytes(2000))).read_bytes()
    path = tmp_path / "cut.tar.gz"
    for length in range(0, len(whole), 101):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="a damaged one"):
            list_archive(path)
    rng, refused = np.random.default_rng(1), 0
    plain = bytearray(gzip.decompress(whole))
    for start in (whole, bytes(plain)):
        for _ in range(80):
            changed = bytearray(start)
            for place in rng.integers(0, len(changed), 3):
                changed[place] = rng.integers(256)
            path.write_bytes(changed)
            try:
                find_exported(path)
            except SSDZooError:
                refused += 1
    assert refused > 80


def test_the_files_of_a_model(tmp_path):
    path = archive(tmp_path / "m.tar.gz", member("m-0007.params", b"later"), member("._m-symbol.json", b"of macOS"))
    found = find_exported(path)
    assert (found.name, found.params.name, found.hyperparams.name, found.classes) == (
        "m",
        "m-0007.params",
        "hyperparams.json",
        None,
    )
    assert found.sidecar == tmp_path / "m.toml" and found.on_disk == [path]
    (tmp_path / "m.toml").write_text("base_size = 300")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    found = find_exported(path)
    assert found.sidecar_fields() == {"base_size": (300, 300)} and found.listed_classes() == ["cat", "dog"]
    assert found.on_disk == [path, tmp_path / "classes.txt", tmp_path / "m.toml"]
    (tmp_path / "sub").mkdir()
    inside = archive(tmp_path / "sub" / "m.tgz", member("classes.txt", b"a\nb"))
    assert find_exported(inside).listed_classes() == ["a", "b"]


def test_archives_without_a_model(tmp_path, monkeypatch):
    two = archive(tmp_path / "two.tar.gz", member("deploy_m-symbol.json", b"{}"))
    with pytest.raises(
        SSDZooError, match="holds 2 exported models: unpack it, and name one of m-symbol.json, deploy_m-symbol.json"
    ):
        find_exported(two)
    monkeypatch.setitem(globals(), "FILES", {"m-symbol.json": b"{}", "other-0000.params": b""})
    with pytest.raises(WeightsError, match=r"x.tar.gz/m-symbol.json: its parameters m-0000.params are missing"):
        find_exported(archive(tmp_path / "x.tar.gz"))
    monkeypatch.setitem(globals(), "FILES", {"README": b"hello"})
    with pytest.raises(WeightsError, match="holds no exported model: expected NAME-symbol.json and NAME-0000.params"):
        find_exported(archive(tmp_path / "y.tar.gz"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "expected a JSON object"), ("{", "expected a JSON object"), ("[" * 100_000, "expected a JSON object"),
        ('{"image_shape": "big"}', "'image_shape' is 'big'; expected a whole number"),
        ('{"image_shape": "9999"}', "'base_size' is .* from 1 to 4096"), ('{"num_classes": "-3"}', "'num_classes' is '-3'"),
    ],
)  # fmt: skip
def test_hyperparameters(text, message, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "hyperparams.json").write_text('{"image_shape": "512", "num_classes": 3, "epochs": "30"}')
    assert find_exported(tmp_path).hyperparameters() == ({"base_size": (512, 512)}, 3)
    (tmp_path / "hyperparams.json").write_text(text)
    with pytest.raises(SSDZooError, match=message):
        find_exported(tmp_path).hyperparameters()
