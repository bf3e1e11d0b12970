"""Which file an image is that a data set names."""

import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssdzoo.data.formats.image_files import find_image, image_of_stem, images_below, is_image
from ssdzoo.data.formats.text_files import nfc, read_class_list
from ssdzoo.errors import DataError

NFC, NFD = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")


@pytest.fixture
def folder(tmp_path):
    """A function that makes files in a folder, by default those of images."""

    def make(*names: str, content: bytes = b"") -> Path:
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content or cv2.imencode(".jpg", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
        return tmp_path / "data"

    return make


@pytest.mark.parametrize("there, text, found", [
    (["a.jpg"], "a.jpg", "a.jpg"),
    (["sub/a.jpg", "a.jpg"], "sub/a.jpg", "sub/a.jpg"),
    (["sub/a.jpg"], "./sub/../sub/a.jpg", "sub/a.jpg"),
    (["sub/a.jpg"], "sub\\a.jpg", "sub/a.jpg"),
    (["sub\\a.jpg", "sub/a.jpg"], "sub\\a.jpg", "sub\\a.jpg"),  # exactly this name goes first
    (["my a.jpg"], "my%20a.jpg", "my a.jpg"),
    (["my%20a.jpg", "my a.jpg"], "my%20a.jpg", "my%20a.jpg"),
    (["sub/my a.jpg"], "sub\\my%20a.jpg", "sub/my a.jpg"),
    (["100%.jpg"], "100%.jpg", "100%.jpg"),
    ([f"caf{NFD}.jpg"], f"caf{NFC}.jpg", f"caf{NFD}.jpg"),
    ([f"caf{NFC}.jpg"], f"caf{NFD}.jpg", f"caf{NFC}.jpg"),
    ([f"{NFD}/{NFD}/a.jpg"], f"{NFC}/{NFC}/a.jpg", f"{NFD}/{NFD}/a.jpg"),
    ([f"{NFC}.jpg", f"{NFD}.jpg"], f"{NFD}.jpg", f"{NFD}.jpg"),
    (["a.JPG"], "a.jpg", "a.JPG"),
    (["a.png", "a.xml", "a.txt"], "a.jpg", "a.png"),
    (["a.jpg"], "a", "a.jpg"),
    (["a.jfif"], "a.jpg", "a.jfif"),
    (["a.2.jpg", "a.jpg"], "a.2", "a.2.jpg"),
    (["a.jpg", "a.png"], "a.png", "a.png"),
    (["a.jpg", "._a.jpg", "._a.png"], "a.png", "a.jpg"),
])  # fmt: skip
def test_the_image_that_a_path_names(there, text, found, folder):
    assert find_image(folder(*there), text, "x.csv: line 3") == folder() / found


@pytest.mark.parametrize("text, message", [
    ("../a.jpg", r"^x.csv: line 3: '../a.jpg' leads out of .*data; expected a path inside of it"),
    ("..\\a.jpg", "leads out of"), ("/a.jpg", "leads out of"), ("C:\\a.jpg", "leads out of"), ("", "names no image"),
    ("b.jpg", "^x.csv: line 3: .*data/b.jpg: no such image; put it there, or take it out of the data$"),
    ("%2e%2e/a.jpg", "no such image"), ("sub/a.jpg", "no such image"), ("a.2", "no such image"),
    ("b" * 300, "cannot be read: File name too long"), ("A.jpg", "no such image"),
    ("two.bmp", "^x.csv: line 3: 'two.bmp' may be two.jpg or two.png in .*data: keep one of them$"),
    ("two", "may be two.jpg or two.png"), ("text.jpg", "no such image"),
])  # fmt: skip
def test_a_path_that_names_none(text, message, folder):
    folder("text.dat", content=b"no image at all")
    with pytest.raises(DataError, match=message):
        find_image(folder("a.jpg", "two.jpg", "two.png", "two.txt", "text.xml", "../a.jpg"), text, "x.csv: line 3")


def test_the_image_of_a_stem(folder):
    data = folder("a.jpg", "b.png", "b.webp", "sub/c.jpe", f"{NFD}.tif", "d.v1.jpg", "e.jpg")
    assert [image_of_stem(data, stem, "x").name for stem in ("a", "sub/c", NFC, NFD, "d.v1")] == [
        "a.jpg", "c.jpe", f"{NFD}.tif", f"{NFD}.tif", "d.v1.jpg",
    ]  # fmt: skip
    with pytest.raises(DataError, match="^x.txt: 'b' may be b.png or b.webp in .*data: keep one of them"):
        image_of_stem(data, "b", "x.txt")
    for missing in ("c", "d", "sub/a"):
        with pytest.raises(DataError, match=f"^x.txt: no image of the name '{missing[-1]}' in "):
            image_of_stem(data, missing, "x.txt")
    with pytest.raises(DataError, match="leads out of"):
        image_of_stem(data / "sub", "../a", "x.txt")


def test_links_are_followed(folder, tmp_path):
    folder("../elsewhere/a.jpg")
    os.symlink(tmp_path / "elsewhere", folder("b.jpg") / "linked")
    assert find_image(folder(), "linked/a.jpg", "x") == folder() / "linked" / "a.jpg"
    assert images_below(folder()) == [folder() / "b.jpg", folder() / "linked" / "a.jpg"]


def test_a_new_file_is_found(folder):
    assert find_image(folder("a.jpg"), "a.jpg", "x")
    assert find_image(folder("b.png"), "b.png", "x") == folder() / "b.png"


def test_images_are_known_by_their_suffix_or_their_content(folder):
    data = folder("a.jpg", "b.jfif", "c.JPE", "d", "e.xml", "._f.jpg", "sub/g.jpg", ".cache/h.jpg", "__MACOSX/i.jpg")
    folder("j.dat", "k.txt", content=b"text")
    folder("l.webp", content=b"text")  # a broken image, which is reported when it is read
    assert [p.name for p in images_below(data)] == ["a.jpg", "b.jfif", "c.JPE", "d", "l.webp", "g.jpg"]
    assert not is_image(data / "sub") and not is_image(data / "nowhere.xyz") and is_image(data / "nowhere.png")


def test_names_are_compared_in_nfc(tmp_path):
    assert nfc(NFD) == NFC == nfc(NFC) and nfc("cat") == "cat" and len(NFD) == 2
    (tmp_path / "classes.txt").write_text(f"caf{NFD}\ncat\n", "utf-8")
    assert read_class_list(tmp_path, "classes.txt") == [f"caf{NFC}", "cat"]
    (tmp_path / "classes.txt").write_text(f"{NFD}\n{NFC}\n", "utf-8")
    with pytest.raises(DataError, match="class 'é' is there twice"):
        read_class_list(tmp_path, "classes.txt")
