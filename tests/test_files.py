import hashlib

import pytest

from ssdzoo.files import file_hash, replacing, write_text


def test_a_file_is_replaced_at_once(tmp_path):
    write_text(tmp_path / "a" / "x.txt", "old")
    with replacing(tmp_path / "a" / "x.txt") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "a" / "x.txt").read_text() == "old" and temporary.suffix == ".txt"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x.txt"]
    assert (tmp_path / "a" / "x.txt").read_text() == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "x.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.txt", "old")]


def test_a_hash_is_that_of_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1_000_000)
    assert file_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file_hash(path, "sha1") == hashlib.sha1(path.read_bytes()).hexdigest()
