import pytest

from ssdzoo.data import class_names, load_dataset
from ssdzoo.errors import DataError
from tests.data.formats.written import write_csv, write_images

HEADER = "image,xmin,ymin,xmax,ymax,class\n"


def table(root, text):
    write_images(root / "d")
    (root / "d" / "train.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root / "d"


def test_tables_of_many_programs(tmp_path):
    header, rows = (
        "\ufeffclass, Image ,xmin,ymin,xmax,ymax,difficult",
        ['"dog, wild",a.png,1,2,30.5,40,0', "", "cat,b.png,1,2,3,4,0"],
    )
    text = "\r\n".join([header, *rows, "cat,a.png,0,0,9,9,1", ""])
    data = load_dataset(table(tmp_path, text), "train")
    assert data.names == ["cat", "dog, wild"] and [r.image.name for r in data.records] == ["a.png", "b.png"]
    assert data[0].boxes.tolist() == [[1, 2, 30.5, 40], [0, 0, 9, 9]] and data[0].difficult.tolist() == [False, True]


def test_names_beside_the_table(tmp_path):
    data = write_csv(tmp_path / "d")
    (data / "classes.txt").write_text("cow\nbee\nant\n")
    assert class_names(data) == ["cow", "bee", "ant"]
    (data / "classes.txt").write_text("cow\nbees\nant\n")
    with pytest.raises(DataError, match="line 4 is of class 'bee', which is not among cow, bees, ant; do you mean 'bees'"):
        load_dataset(data, "train")
    (data / "classes.txt").write_text("cow\ncow\n")
    with pytest.raises(DataError, match="classes.txt: class 'cow' is there twice"):
        class_names(data)


@pytest.mark.parametrize(
    "text, message",
    [
        ("image,x,y,w,h,class\na.png,1,2,3,4,cat\n", "line 1 is 'image,x,y,w,h,class', without 'xmin'; expected image,xmin"),
        (HEADER.replace(",", ";"), "not a data set"),
        (HEADER + "a.png,1,2,3,cat\n", "line 2 has 5 fields, line 1 names 6"),
        (HEADER + "a.png,1,2,x,4,cat\n", "line 2: box '1,2,x,4' is not four numbers"),
        (HEADER + "a.png,1,2,,4,cat\n", "line 2: box '1,2,,4' is not four numbers"),
        (HEADER + "a.png,1,2,nan,4,cat\n", "is not four numbers"),
        (HEADER + "a.png,1,2,1e999,4,cat\n", r"line 2 \(cat\): box \(1, 2, inf, 4\) is not finite"),
        (HEADER + "a.png,1,2,3,4,\n", "line 2 has a box, but no class"),
        (HEADER + "a.png,1,2,300,4,cat\n", r"line 2 \(cat\): box \(1, 2, 300, 4\) is outside of the 128x64 image"),
        (HEADER + "z.png,1,2,30,4,cat\n", "z.png: no such image"),
        (HEADER + "../../etc/passwd,1,2,30,4,cat\n", "line 2: '../../etc/passwd' leads out of"),
        (HEADER + "/etc/passwd,1,2,30,4,cat\n", "line 2: '/etc/passwd' leads out of"),
        (HEADER + ",1,2,30,4,cat\n", "line 2: '' names no image"),
        (HEADER + "train.csv,1,2,30,4,cat\n", "train.csv: not an image"),
        (HEADER + "a\0.png,1,2,30,4,cat\n", "names no image|not a table"),
        (HEADER + "a.png,1,2,30,4," + "c" * 200_000, "not a table: field larger than"),
        (HEADER.encode() + b"a.png,1,2,30,4,\xff\n", "train.csv: not UTF-8 text, from byte 47 on"),
        (HEADER, "lists no images"),
    ],
)
def test_wrong_tables(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(table(tmp_path, text), "train")
