"""Files that are no files, have no end, or expand: one clear error at once, in little memory."""

import os
import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

from ssdzoo.data import images, load_dataset
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.formats.image_finder import path_tails
from ssdzoo.data.images import image_size, read_image
from ssdzoo.errors import DataError
from ssdzoo.files import open_file, read_whole, replacing
from ssdzoo.report.pictures import save_image
from tests.data.formats.written import NAMES, write
from tests.hostile import limits, put  # noqa: F401


@pytest.mark.parametrize("kind", ["fifo", "device", "socket"])
def test_only_files_are_opened(kind, tmp_path):
    why = put(kind, tmp_path / "x")
    (tmp_path / "link").symlink_to("x")
    for name in ("x", "link"):
        with pytest.raises(OSError, match=why):
            open_file(tmp_path / name)
        with pytest.raises(DataError, match=f"{name}: cannot be read: {why}"):
            read_image(tmp_path / name)
    (tmp_path / "y").write_bytes(b"abc")
    (tmp_path / "other").symlink_to("y")
    with open_file(tmp_path / "other") as file:
        assert file.read() == b"abc"


@pytest.mark.parametrize("path, error", [("a\0b", OSError), ("", FileNotFoundError), (".", IsADirectoryError)])
def test_what_no_path_is(path, error):
    with pytest.raises(error):
        open_file(path)
    if path == "a\0b":
        with pytest.raises(OSError, match="no file can have this name"), replacing(path):
            pass


OF_KIND = {"lst": "recordio", "createml": "json", "label studio": "json"}  # of what a function writes


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "sparse"])
@pytest.mark.parametrize("format, file", [
    ("voc", "Annotations/a.xml"), ("voc", "ImageSets/Main/train.txt"), ("coco", "annotations/instances_train2017.json"),
    ("yolo", "labels/train/a.txt"), ("yolo", "data.yaml"), ("recordio", "train.idx"), ("recordio", "train.rec"),
    ("recordio", "classes.txt"), ("lst", "train.lst"), ("csv", "train.csv"), ("labelme", "train/a.json"),
    ("cvat", "annotations.xml"), ("createml", "train/_annotations.createml.json"), ("label studio", "train.json"),
])  # fmt: skip
def test_no_reader_waits_for_a_file(kind, format, file, tmp_path):
    data = write(format, tmp_path / "d")
    put(kind, data / file)
    if file in ("classes.txt", "train.idx") and kind != "sparse":  # nothing is there that could be read
        return
    with pytest.raises(DataError) as error:
        load_dataset(data, "train", format=OF_KIND.get(format, format))
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("kind", ["fifo", "device", "sparse"])
def test_images_that_are_none(kind, tmp_path):
    data = write("voc", tmp_path / "d")
    put(kind, data / "JPEGImages" / "a.png")
    with pytest.raises(DataError, match="a.png: (cannot be read|40,960 MiB are too many for an image)"):
        load_dataset(data, "train")
    assert [p.kind for p in check_dataset(data, workers=0).errors] == ["image"]


def test_a_text_has_a_largest_size(tmp_path):
    (tmp_path / "x").write_text("a" * 1000)
    assert read_whole(tmp_path / "x", 1000) == b"a" * 1000
    with pytest.raises(OSError, match="too large: text files of up to 0 MiB are read"):
        read_whole(tmp_path / "x", 999)


@pytest.mark.parametrize("text, message", [
    ("<annotation>" + "<a>" * 1_000_000, "nested deeper than 100 levels, which no annotation needs"),
    ("<annotation>" + "<a>" * 90, "not XML: no element found"),
])  # fmt: skip
def test_xml_that_is_nested_deeply(text, message, tmp_path):
    data = write("voc", tmp_path / "d")
    (data / "Annotations" / "a.xml").write_text(text)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def progressive(scans):
    """A JPEG of 64x64 pixels whose last scan is repeated until there are so many."""
    data = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_jpeg_of_many_scans(tmp_path):
    (tmp_path / "x.jpg").write_bytes(progressive(20))
    assert read_image(tmp_path / "x.jpg").shape == (64, 64, 3)
    (tmp_path / "x.jpg").write_bytes(progressive(3000))
    with pytest.raises(DataError, match="x.jpg: a JPEG of 3000 scans; up to 100 are decoded at its size"):
        read_image(tmp_path / "x.jpg")


def test_a_thumbnail_s_scans_do_not_count(tmp_path):
    data = progressive(20)
    segment = b"\xff\xe2" + (2 + 2 * 200).to_bytes(2, "big") + b"\xff\xda" * 200
    (tmp_path / "x.jpg").write_bytes(data[:2] + segment + data[2:])
    assert read_image(tmp_path / "x.jpg").shape == (64, 64, 3)


def chunk(content):
    """Of a PNG."""
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


@pytest.mark.parametrize("data", [
    b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n", b"PF\n30000 30000\n-1\n", b"P5\n30000 30000\n255\n",
    b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
    b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR" + struct.pack(">2I5B", 30000, 30000, 1, 0, 0, 0, 0)) + chunk(b"IDAT") + chunk(b"IEND"),
    b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">2H", 30000, 30000) + b"\3\1\x22\0\2\x11\1\3\x11\1"
    b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0" + bytes(1000) + b"\xff\xd9",
])  # fmt: skip
def test_few_bytes_of_any_format_claim_many_pixels(data, tmp_path):
    (tmp_path / "x.png").write_bytes(data + bytes(1000) * (data[:1] not in b"\x89\xff"))
    with pytest.raises(DataError, match="30000x30000 are too many pixels, the limit is 536 million"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("data", [
    b"\xff\xd8" + b"\xff" * 5_000_000, b"\x89PNG\r\n\x1a\n" + bytes(5_000_000), b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0",
])  # fmt: skip
def test_headers_without_an_end(data, tmp_path):
    (tmp_path / "x").write_bytes(data)
    since = time.perf_counter()
    with pytest.raises(DataError, match="truncated"):
        image_size(tmp_path / "x")
    assert time.perf_counter() - since < 2


def test_names_that_are_not_utf_8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    save_image(path, np.zeros((8, 9, 3), np.uint8))
    assert image_size(path) == (8, 9) and images.has_decoder(path)
    path.write_bytes(b"no image")
    with pytest.raises(DataError) as error:
        image_size(path)
    assert "caf\\udce9.jpg: not an image" in str(error.value)


def test_names_of_thousands_of_characters(tmp_path):
    """pathlib's `is_file` would raise an OSError."""
    data = write("yolo", tmp_path / "d")
    (data / "data.yaml").write_text(f"train: {'x' * 3000}/none\nnames: [ant, bee, cow]\n")
    with pytest.raises(DataError) as error:
        load_dataset(data, "train")
    assert len(str(error.value)) < 1100
    data = write("csv", tmp_path / "e")
    (data / "train.csv").write_text("image,xmin,ymin,xmax,ymax,class\n" + "y" * 5000 + "/none.png,1,2,3,4,ant\n")
    with pytest.raises(DataError, match=r"line 2: .* \.\.\. .*: cannot be read: File name too long"):
        load_dataset(data, "train")
    assert len(path_tails("y/" * 3000 + "none.png")) == 31


def test_half_a_character_in_a_name(tmp_path):
    data = write("coco", tmp_path / "d")
    file = data / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text().replace("a.png", "\\ud800.png"))
    with pytest.raises(DataError, match="'.ud800.png' names no image"):
        load_dataset(data, "train")


def test_an_offset_that_no_file_reaches(tmp_path):
    data = write("recordio", tmp_path / "d")
    (data / "train.idx").write_text(f"0\t{10**17}\n")
    with pytest.raises(DataError, match="byte 1(0{17}): truncated, the file ends at byte"):
        load_dataset(data, "train")


@pytest.mark.parametrize("names", [NAMES, ["x"]])
def test_messages_of_classes_are_short(names, tmp_path):
    data = write("coco", tmp_path / "d")
    file = data / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text().replace('"ant"', '"' + "ant" * 10_000 + '"'))
    with pytest.raises(DataError) as error:
        load_dataset(data, "train", names)
    assert len(str(error.value)) < 1000
