"""Names of images from folders, patterns, lists and other file systems, and their shards."""

import io
import os
import sys
from itertools import chain
from types import SimpleNamespace

import pytest

from ssdzoo.errors import CallError, DataError, SSDZooError
from ssdzoo.predict.sharding import Shard
from ssdzoo.predict.sources import LONGEST_LINE, list_names


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_a_shard_is_the_same_wherever_the_folder_lies_and_whatever_the_order(tmp_path, monkeypatch):
    names = [f"{i:03d}.jpg" for i in range(200)]
    here, there = touch(tmp_path / "a", *names), touch(tmp_path / "b" / "c", *reversed(names))
    shards = [Shard(i, 3) for i in (1, 2, 3)]
    parts = [list_names([here], shard=shard) for shard in shards]
    assert sorted(chain(*parts)) == [str(here / name) for name in names]  # all of them, each in one part
    # They never change: the first 16 digits that `printf 000.jpg | sha256sum` prints, modulo 3.
    assert [len(part) for part in parts] == [67, 57, 76]
    assert [os.path.basename(name) for name in parts[0][:3]] == ["000.jpg", "004.jpg", "010.jpg"]
    for shard, part in zip(shards, parts):
        expected = [name.removeprefix(str(here)) for name in part]
        assert [name.removeprefix(str(there)) for name in list_names([there], shard=shard)] == expected
        assert [name.removeprefix(str(here)) for name in list_names([f"{here}/*.jpg"], shard=shard)] == expected
        assert [f"/{name}" for name in _listed(here, names, shard, monkeypatch)] == expected
        assert [name.removeprefix(str(there)) for name in list_names([there / n for n in names], shard=shard)] == expected


def _listed(folder, names, shard, monkeypatch):
    (folder / "list.txt").write_text("\n".join(names))
    found = list_names(from_list=folder / "list.txt", shard=shard)
    (folder / "list.txt").unlink()
    assert all(name.startswith(f"{folder}/") for name in found)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(names).encode())))
    from_stdin = list_names(from_list="-", shard=shard)
    assert [f"{folder}/{name}" for name in from_stdin] == found
    return from_stdin


def test_below_a_pattern_the_folders_count(tmp_path):
    touch(tmp_path, *(f"{folder}/frame.jpg" for folder in "abcdefghijkl"))
    parts = [list_names([f"{tmp_path}/**/*.jpg"], shard=Shard(i, 2)) for i in (1, 2)]
    assert [[name.split("/")[-2] for name in part] for part in parts] == [list("abdfgl"), list("cehijk")]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "3/", "a/b", "-1/3", "1/0", "1.5/2", "1/2/3", "", "1/9999999999"])
def test_wrong_shards(text):
    with pytest.raises(CallError, match="expected a part from 1 on and their number, such as 3/16"):
        Shard.parse(text)


def test_shards_of_a_text():
    assert (Shard.parse("3/16"), str(Shard(16, 16))) == (Shard(3, 16), "16/16")
    assert all(Shard(1, 1).takes(key) for key in ("", "a", "\udcff", "a\0b"))


def test_lists(tmp_path, monkeypatch):
    path = tmp_path / "photos" / "list.txt"
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbfa.jpg\r\n\n./b c.jpg \n  \n/far/c.jpg\ncaf\xe9.jpg\nx\0y.jpg\na.jpg")
    monkeypatch.chdir(tmp_path)
    assert list_names(from_list="photos/list.txt") == [
        "photos/a.jpg", "photos/b c.jpg ", "/far/c.jpg", "photos/caf\udce9.jpg", "photos/x\0y.jpg", "photos/a.jpg",
    ]  # fmt: skip
    assert list_names(from_list=path)[0] == str(tmp_path / "photos" / "a.jpg")
    path.write_bytes(b"\n \r\n")
    with pytest.raises(CallError, match=r"list\.txt: an empty list; expected the path of one image a line"):
        list_names(from_list=path)
    path.write_bytes(b"a.jpg\n" + b"x" * LONGEST_LINE)
    with pytest.raises(DataError, match="line 2 is too long for a path"):
        list_names(from_list=path)
    with pytest.raises(DataError, match="none.txt: cannot be read: No such file"):
        list_names(from_list=tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        list_names(from_list=tmp_path)


def test_addresses_of_files_are_paths(tmp_path):
    touch(tmp_path, "a.jpg", "b.png", "c.txt")
    assert list_names([f"file://{tmp_path}"]) == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.png"]
    (tmp_path / "list").write_text(f"file://{tmp_path}/a.jpg")
    assert list_names(from_list=tmp_path / "list") == [f"{tmp_path}/a.jpg"]


@pytest.fixture
def memory():
    fsspec = pytest.importorskip("fsspec", reason="needs the extra fsspec")
    files = fsspec.filesystem("memory")
    for name in ("/set/b.jpg", "/set/a.JPG", "/set/notes.txt", "/set/more/c.jpg"):
        files.pipe(name, b"data")
    yield files
    files.rm("/set", recursive=True)


def test_other_file_systems(memory, tmp_path):
    assert list_names(["memory://set"]) == list_names(["memory://set/"]) == ["memory:///set/a.JPG", "memory:///set/b.jpg"]
    assert list_names(["memory://set/b.jpg", tmp_path / "none.mp4"]) == ["memory:///set/b.jpg", str(tmp_path / "none.mp4")]
    everything = ["memory:///set/b.jpg", "memory:///set/more/c.jpg"]
    assert list_names(["memory://set/**/*.jpg"]) == everything
    touch(tmp_path, "b.jpg", "more/c.jpg")
    for shard in (Shard(1, 2), Shard(2, 2)):  # as the same files here
        local = [name.removeprefix(str(tmp_path)) for name in list_names([f"{tmp_path}/**/*.jpg"], shard=shard)]
        assert [name.removeprefix("memory:///set") for name in list_names(["memory://set/**/*.jpg"], shard=shard)] == local
    with pytest.raises(CallError, match="memory://set/x.: no file matches this pattern"):
        list_names(["memory://set/x*"])
    with pytest.raises(DataError, match=r"memory://set/none\.jpg: no such image or folder"):
        list_names(["memory://set/none.jpg"])
    memory.pipe("/set/empty/notes.txt", b"")
    with pytest.raises(CallError, match="memory://set/empty: no images in this folder"):
        list_names(["memory://set/empty"])
    (tmp_path / "list").write_text("memory://set/none.jpg\nb.jpg")
    assert list_names(from_list=tmp_path / "list") == ["memory://set/none.jpg", str(tmp_path / "b.jpg")]


def test_what_fsspec_lacks(memory, tmp_path, monkeypatch):
    (tmp_path / "list").write_text("a.jpg\nnosuch://bucket/b.jpg")
    for given in ({"images": ["nosuch://bucket/*.jpg"]}, {"from_list": tmp_path / "list"}):
        with pytest.raises(CallError, match="nosuch://bucket/.*: fsspec knows no file system 'nosuch'"):
            list_names(**given)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(SSDZooError, match=r"s3://bucket/b\.jpg: Install s3fs to access S3"):
        list_names(["s3://bucket/b.jpg"])
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(SSDZooError, match=r"fsspec is not installed .*: pip install 'ssdzoo\[fsspec\]'"):
        list_names(["s3://bucket/b.jpg"])
