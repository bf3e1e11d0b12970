import hashlib
import re
from pathlib import Path

import pytest

import ssdzoo
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


# Where a file may be opened without `ssdzoo.files`: those of this package and of the system, and those that ssdzoo itself just
# wrote.
OWN = {
    "formats/model_archive.py",
    "files.py", "machine.py", "cgroups.py", "costs.py", "zoo.py", "weights/published.py", "weights/sources.py", "demo/shapes.py",
    "demo/quickstart.py", "augmentation/named.py", "report/page.py",
    "data/loading/shared_memory.py", "serve/page.py", "export/torch/standalone.py",
}  # fmt: skip
BARE = re.compile(
    r"(?<![\w.])open\(|\.open\(|\.read_text\(|\.read_bytes\(\)|np\.(?:load|memmap)\((?!opened|file)|ZipFile\((?!file|content)"
    r"|h5py\.File|VideoCapture|imread|readNet"
)
# The same within other lines: written files, members of an archive, and what is opened by `open_file` first,
# or by fsspec on another machine.
ALLOWED = (
    'open(temporary, "wb")', 'open(path, "wb")', 'open(self.path, "ab" if resume else "xb")', 'files.open(path, "rb")',
    "archive.open(member)", "archive.open(name)", "tarfile.open(fileobj=",
    "Image.open(file)", 'h5py.File(path, "r")',
    "cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)", "transform(mx.image.imread(path)",
)  # fmt: skip


def test_files_of_users_are_opened_in_one_place():
    """Else a FIFO waits, a device has no end, and a file of 40 GB without content takes all memory."""
    root, found = Path(ssdzoo.__file__).parent, []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        for i, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if name not in OWN and BARE.search(line) and not any(allowed in line for allowed in ALLOWED):
                found.append(f"{name}:{i}: {line.strip()}")
    assert found == []
