import struct

import numpy as np
import pytest

from ssdzoo.data import class_names, load_dataset
from ssdzoo.data.images import FilePart, image_size, read_image
from ssdzoo.errors import DataError
from tests.data.formats.written import NAMES, OBJECTS, chain, labels_of, record, write_images, write_lst, write_recordio

MAGIC = struct.pack("<I", 0xCED7230A)


def rec(root, *payloads, index=False):
    root.mkdir()
    data, offsets = chain(payloads)
    (root / "train.rec").write_bytes(data)
    if index:
        (root / "train.idx").write_text("".join(f"{i}\t{at}\n" for i, at in enumerate(offsets)))
    return root


@pytest.fixture
def image(tmp_path):
    return (write_images(tmp_path / "images", ["a"]) / "a.png").read_bytes()


@pytest.mark.parametrize("index", [True, False])
def test_images_stay_in_the_file(index, tmp_path):
    data = load_dataset(write_recordio(tmp_path / "d", index=index) / "train.rec", "train")
    part = data[1].image
    assert isinstance(part, FilePart) and str(part) == f"{tmp_path}/d/train.rec[{part.offset}:{part.offset + part.size}]"
    assert part.read() == (tmp_path / "d" / "images" / "b.png").read_bytes()
    assert part.stem == f"train-{part.offset}" and image_size(part) == (64, 128)


def test_an_index_chooses(tmp_path):
    data = write_recordio(tmp_path / "d")
    lines = (data / "train.idx").read_text().splitlines()
    (data / "train.idx").write_text("\n".join([lines[3], lines[0]]))
    assert [len(r.boxes) for r in load_dataset(data, "train").records] == [3, 2]


def test_labels_with_more_in_them(tmp_path, image):
    rows = [(1, 8, 16, 40, 48), (0, 0, 0, 64, 32)]
    padded = [*labels_of(rows, (4, 6, 128, 64), difficult=[0, 1]), -1, -1, -1, -1, -1, -1]
    data = load_dataset(rec(tmp_path / "d", record(padded, image)), "train")
    assert data[0].boxes.tolist() == [[8, 16, 40, 48], [0, 0, 64, 32]] and data[0].difficult.tolist() == [False, True]
    assert data.names == ["0", "1"] and load_dataset(tmp_path / "d", "train", ["x", "y"])[0].class_ids.tolist() == [1, 0]


def test_a_magic_number_within_an_image(tmp_path):
    """The writer cuts a payload at each one that lies on a border of 4 bytes."""
    photo = np.zeros((64, 128, 3), np.uint8)
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + photo.size, 0, 0, 54, 40, 128, 64, 1, 24, 0, photo.size, 0, 0, 0, 0)
    body = bytearray(photo.tobytes())
    labels = labels_of([(0, 8, 16, 40, 48)])
    start = 24 + 4 * len(labels) + len(header)
    for at in (100, 104, 5000):
        body[at - start % 4 : at - start % 4 + 4] = MAGIC
    payload = record(labels, header + bytes(body))
    data = load_dataset(rec(tmp_path / "d", payload, payload), "train")
    assert len(data[1].image.holes) == 3 and data[1].image.read() == header + bytes(body)
    pixels = read_image(data[1].image)
    assert pixels.shape == (64, 128, 3) and sorted(set(pixels.ravel().tolist())) == [0, 0x0A, 0x23, 0xCE, 0xD7]


def test_the_same_as_mxnet_reads(tmp_path):
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    images = write_images(tmp_path / "d" / "images")
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "d" / "train.idx"), str(tmp_path / "d" / "train.rec"), "w")
    # Behind the image, the magic number on and off the borders of 4 bytes.
    contents = {n: (images / f"{n}.png").read_bytes() + (MAGIC + b"x") * 5 + bytes(k) + MAGIC * k for k, n in enumerate(OBJECTS)}
    for i, (name, rows) in enumerate(OBJECTS.items()):
        header = mx.recordio.IRHeader(0, np.array(labels_of(rows), np.float32), i, 0)
        writer.write_idx(i, mx.recordio.pack(header, contents[name]))
    writer.close()
    reader = mx.recordio.MXIndexedRecordIO(str(tmp_path / "d" / "train.idx"), str(tmp_path / "d" / "train.rec"), "r")
    for index in (True, False):
        data = load_dataset(tmp_path / "d", "train")
        for i, (found, rows) in enumerate(zip(data.records, OBJECTS.values(), strict=True)):
            _, content = mx.recordio.unpack(reader.read_idx(i))
            assert found.image.read() == content == list(contents.values())[i]
            assert found.boxes.tolist() == [list(row[1:]) for row in rows]
        if index:
            assert all(r.image.holes for r in data.records)
            (tmp_path / "d" / "train.idx").unlink()


def test_the_file_that_our_tests_write_is_mxnet_s(tmp_path):
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    write_recordio(tmp_path / "d")
    reader = mx.recordio.MXRecordIO(str(tmp_path / "d" / "train.rec"), "r")
    for name, rows in OBJECTS.items():
        header, content = mx.recordio.unpack(reader.read())
        assert content == (tmp_path / "d" / "images" / f"{name}.png").read_bytes()
        np.testing.assert_array_equal(header.label, np.float32(labels_of(rows)))
    assert reader.read() is None


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d[:-9], r"train.rec: byte \d+: truncated, a record of \d+ bytes in a file that ends at byte \d+"),
        (lambda d: d[:5], "byte 0: truncated, the file ends at byte 5"),
        (lambda d: b"\0" + d[1:], "byte 0: 0xced72300 instead of RecordIO's 0xced7230a: damaged, or no .rec file"),
        (lambda d: d[:4] + b"\xff\xff\xff\x1f" + d[8:], "byte 0: truncated, a record of 536870911 bytes"),
        (lambda d: d[:4] + bytes([*d[4:7], d[7] | 0x60]) + d[8:], "byte 0: a record with flag 3, which does not follow"),
        (lambda d: d[:8] + b"\xff\xff\xff\xff" + d[12:], "record at byte 0: a header that claims 4294967295 labels in a payload"),
        (lambda d: d[:8] + b"\0\0\0\0" + d[12:], "record at byte 0: has 1 label, as for classification"),
        (lambda d: d[:32] + struct.pack("<f", 1) + d[36:], "labels begin with 1, 5; expected A of 2 or more and B of 5 or more"),
        (lambda d: d[:32] + struct.pack("<f", float("nan")) + d[36:], "labels begin with nan, 5"),
        (lambda d: d[:36] + struct.pack("<f", 7) + d[40:], "12 labels are not a header of 2 and objects of 7"),
        (lambda d: d[:40] + struct.pack("<f", 3) + d[44:], "record at byte 0, object 1 has class 3; there are 3 names"),
        (lambda d: d[:40] + struct.pack("<f", 1e30) + d[44:], r"object 1 has class 1e\+30; there are 3 names"),
        (lambda d: d[:40] + struct.pack("<f", float("nan")) + d[44:], "object 1 has class nan"),
        (lambda d: d[:44] + struct.pack("<f", float("inf")) + d[48:], "is not finite"),
        (lambda d: d[:52] + struct.pack("<f", 1.5) + d[56:], r"object 1 \(ant\): box \(.*, 1.5, 0.75\) is outside of"),
    ],
)
def test_damaged_files(change, message, index, tmp_path):
    data = write_recordio(tmp_path / "d", index=index)
    (data / "train.rec").write_bytes(change((data / "train.rec").read_bytes()))
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")


def test_a_class_that_is_damage_makes_no_list_of_names(tmp_path, image):
    data = rec(tmp_path / "d", record([2, 5, 1e9, 0, 0, 1, 1], image))
    assert class_names(data) == []
    with pytest.raises(DataError, match=r"object 1 has class 1e\+09; expected 0, 1, 2"):
        load_dataset(data, "train")


@pytest.mark.parametrize(
    "text, message",
    [
        ("0 0\n1 x\n", "train.idx: line 2 is '1 x'; expected a key and an offset"),
        ("0 " + "9" * 100, "line 1 is .*expected a key and an offset"),
        ("0 999999999999", "byte 999999999999: truncated"),
        ("0 4", "byte 4: 0x.* instead of RecordIO's"),
        ("", "contains no records"),
    ],
)
def test_wrong_indices(text, message, tmp_path):
    data = write_recordio(tmp_path / "d")
    (data / "train.idx").write_text(text)
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")


def test_an_image_that_is_cut_short_within_its_record(tmp_path, image):
    data = rec(tmp_path / "d", record(labels_of(OBJECTS["a"]), image[:-100]))
    with pytest.raises(DataError, match=r"train.rec\[80:\d+\]: truncated"):
        load_dataset(data, "train")
    with pytest.raises(DataError, match="truncated"):
        image_size(FilePart(data / "train.rec", 80, 10**12))


@pytest.mark.parametrize(
    "line, message",
    [
        ("0\t2\t5\timages/zzz.png", "zzz.png: no such image"),
        ("0\t2\t5\t../../etc/passwd", "line 1: '../../etc/passwd' leads out of"),
        ("0 2 5 images/a.png", "line 1 is '0 2 5 images/a.png'; expected a number, labels and a path with tabs"),
        ("0\t2\tfive\timages/a.png", "expected a number, labels and a path"),
        ("0\t1.0\timages/a.png", "expected a number, labels and a path"),
        ("0\t1\t5\timages/a.png", "labels begin with 1, 5"),
        ("0\t2\t5\t0\t0\t0\t1\timages/a.png", "6 labels are not a header of 2 and objects of 5"),
    ],
)
def test_wrong_lists(line, message, tmp_path):
    data = write_lst(tmp_path / "d")
    (data / "train.lst").write_text(line)
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")


def test_names_of_a_file_of_its_own(tmp_path):
    data = write_lst(tmp_path / "d")
    (data / "train.names").write_text("x\ny\nz\n")
    assert class_names(data) == ["x", "y", "z"]
    (data / "train.names").unlink()
    assert class_names(data) == NAMES
    (data / "classes.txt").unlink()
    assert class_names(data) == ["0", "1", "2"]


def test_smaller_copies_of_images_in_a_file(tmp_path):
    from ssdzoo.data.loading.resize_cache import ResizeCache

    cache = ResizeCache(tmp_path / "cache", (16, 32))
    records = load_dataset(write_recordio(tmp_path / "d"), "train").records
    assert [cache.read(record).shape for record in records] == [(32, 64, 3)] * 4
    assert len({cache.path(record) for record in records}) == 4 == len(list((tmp_path / "cache").iterdir()))
