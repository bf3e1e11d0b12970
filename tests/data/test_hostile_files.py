"""Files that are no files, have no end, or expand: one clear error at once, in little memory."""

import os
import resource
import signal
import socket
import time
import tracemalloc

import cv2
import numpy as np
import pytest

from ssdzoo.data import images, load_dataset
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.check.similar_names import similar_names
from ssdzoo.data.formats.image_finder import path_tails
from ssdzoo.data.images import image_size, read_image
from ssdzoo.errors import DataError
from ssdzoo.files import open_file, read_whole, replacing
from ssdzoo.report.pictures import save_image
from ssdzoo.suggest import did_you_mean
from tests.data.formats.written import NAMES, write


@pytest.fixture(autouse=True)
def limits():
    """A minute, of which a hang takes more on any machine, and 1 GiB more than now."""

    def late(*_):
        pytest.fail("a hang")  # no OSError, as which it would be reported like that of a file

    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    signal.alarm(60)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, before)
    signal.signal(signal.SIGALRM, handler)


def put(kind, path):
    """Replaces a file by something else; returns what errors call it."""
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
        return "a FIFO, not a file"
    if kind == "device":
        path.symlink_to("/dev/zero")
        return "a device, not a file"
    if kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
        os.chdir(here)
        return "a socket, not a file"
    with open(path, "wb") as file:
        file.truncate(40 << 30)
    return "byte 0 is zero"


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


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "sparse"])
@pytest.mark.parametrize("format, file", [
    ("voc", "Annotations/a.xml"), ("voc", "ImageSets/Main/train.txt"), ("coco", "annotations/instances_train2017.json"),
    ("yolo", "labels/train/a.txt"), ("yolo", "data.yaml"), ("recordio", "train.idx"), ("recordio", "train.rec"),
    ("recordio", "classes.txt"), ("lst", "train.lst"), ("csv", "train.csv"), ("labelme", "train/a.json"),
])  # fmt: skip
def test_no_reader_waits_for_a_file(kind, format, file, tmp_path):
    data = write(format, tmp_path / "d")
    put(kind, data / file)
    if file in ("classes.txt", "train.idx") and kind != "sparse":  # nothing is there that could be read
        return
    with pytest.raises(DataError) as error:
        load_dataset(data, "train", format={"lst": "recordio"}.get(format, format))
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


@pytest.mark.parametrize("data", [
    b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n", b"PF\n30000 30000\n-1\n", b"P5\n30000 30000\n255\n",
    b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
])  # fmt: skip
def test_few_bytes_of_any_format_claim_many_pixels(data, tmp_path):
    (tmp_path / "x.png").write_bytes(data + bytes(1000))
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


def test_near_names_among_a_million(tmp_path):
    names = [f"name number {i}" for i in range(1_000_000)]
    assert did_you_mean("name numbr 7", names) == "; do you mean 'name number 7'?"
    assert did_you_mean("x" * 100_000, names) == ""
    assert len(similar_names([f"{chr(0x4E00 + i)}aaaaa" for i in range(2000)])) == 1000  # pairs that are shown


def test_many_classes(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdzoo.data.check.check_dataset.COMPARED", 100)
    monkeypatch.setattr("ssdzoo.data.check.similar_names.COMPARED", 100)
    data = write("yolo", tmp_path / "d")
    (data / "data.yaml").write_text("train: images/train\nnames: [" + ", ".join(f"name{i}" for i in range(500)) + "]\n")
    report = check_dataset(data, workers=0)
    assert report.classes["name2"]["objects"] == {"train": 2} and report.classes["name499"]["width"] is None
    assert [p.message for p in report.problems if p.kind == "many classes"] == [
        "has 500 classes; of these the first 100 were compared for names that mean the same"
    ]


@pytest.mark.parametrize("names", [NAMES, ["x"]])
def test_messages_of_classes_are_short(names, tmp_path):
    data = write("coco", tmp_path / "d")
    file = data / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text().replace('"ant"', '"' + "ant" * 10_000 + '"'))
    with pytest.raises(DataError) as error:
        load_dataset(data, "train", names)
    assert len(str(error.value)) < 1000


def test_a_list_of_many_images_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdzoo.data.formats.yolo.MOST_WRONG", 20)
    monkeypatch.setattr("ssdzoo.data.formats.voc.MOST_MISSING", 20)
    data = write("yolo", tmp_path / "d")
    (data / "data.yaml").write_text("train: list.txt\nnames: [ant, bee, cow]\n")
    (data / "list.txt").write_text("images/train/a.png\n" + "images/train/none.png\n" * 100_000)
    problems = [p.message for p in check_dataset(data, workers=0).errors]
    assert "20 of its first 21 lines name no image; the others were not looked at" in problems
    data = write("voc", tmp_path / "e")
    (data / "ImageSets" / "Main" / "train.txt").write_text("a\n" + "".join(f"none{i}\n" for i in range(10_000)))
    problems = [p.message for p in check_dataset(data, workers=0).errors]
    assert problems[0] == "10,000 of its 10,001 lines name no annotation; 20 of them are listed" and len(problems) == 21
