import pytest

from ssdzoo.data import class_names, load_dataset
from ssdzoo.errors import DataError
from tests.data.formats.exported import BOX, check_export, write_files
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
        ("image,xmin,ymin,xmax,class\na.png,1,2,3,cat\n", "line 1 is 'image,xmin,.*, without 'ymax'; expected image,xmin"),
        (
            "image,xmin,ymin,xmax,ymax,kind\na.png,1,2,3,4,x\n",
            "without 'class'; .*; take out 'kind' where there is only one class",
        ),
        ("image,bbox,class\na.png,[1 2 3 4],cat\n", r"line 2: box '\[1 2 3 4\]' is not four numbers"),
        (HEADER.replace(",", ";"), "lists no images"),
        (HEADER.replace(",", " "), "not a data set"),
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
        (HEADER + "a\0.png,1,2,30,4,cat\n", "not UTF-8 text: byte 33 is zero"),
        (HEADER + "a.png,1,2,30,4," + "c" * 200_000, "not a table: field larger than"),
        (HEADER.encode() + b"a.png,1,2,30,4,\xff\n", "train.csv: not UTF-8 text, from byte 47 on"),
        (HEADER, "lists no images"),
    ],
)
def test_wrong_tables(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(table(tmp_path, text), "train")


TENSORFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,dog,20,30,80,70\n"
D2L = "img_name,label,xmin,ymin,xmax,ymax\n"
RETINANET = "{0}/a.jpg,20,30,80,70,dog\n{0}/b.jpg,,,,,\n"
MAKESENSE = "dog,20,30,60,40,a.jpg,100,80\n"
DOG = {"a.jpg": "dog"}


@pytest.mark.parametrize("files, splits", [
    ({"labels.csv": TENSORFLOW, "a.jpg": 1}, {"all": DOG}),
    ({"train_labels.csv": TENSORFLOW, "images/train/a.jpg": 1}, {"train": DOG}),
    ({f"{s}/_annotations.csv": TENSORFLOW for s in ("train", "valid")} | {"train/a.jpg": 1, "valid/a.jpg": 2},
     {"train": DOG, "valid": DOG}),  # Roboflow
    ({"labels.csv": "image_path,xmin,ymin,xmax,ymax,label\nimgs/a.jpg,20,30,80,70,dog", "imgs/a.jpg": 1}, {"all": DOG}),
    ({"t.csv": "x1,y1,x2,y2,filename,label\n20,30,80,70,a.jpg,dog\n,,,,b.jpg,", "JPEGImages/a.jpg": 1, "JPEGImages/b.jpg": 2},
     {"all": {**DOG, "b.jpg": None}}),
    ({"t.csv": "image;xmin;ymin;xmax;ymax;class\na.jpg;20;30;80;70;dog\n", "a.jpg": 1}, {"all": DOG}),
    ({"t.csv": "image\txmin\tymin\txmax\tymax\tclass\na.jpg\t20\t30\t80\t70\tdog\n", "a.jpg": 1}, {"all": DOG}),
    ({"train.csv": RETINANET.format("imgs"), "classes.csv": "dog,0\n", "imgs/a.jpg": 1, "imgs/b.jpg": 2},
     {"train": {**DOG, "b.jpg": None}}),
    ({"t.csv": "image,x,y,w,h,label\na.jpg,20,30,60,40,dog\nb.jpg,,,,,\n", "a.jpg": 1, "b.jpg": 2},
     {"all": {**DOG, "b.jpg": None}}),
    ({"t.csv": "image,xmin,ymin,width,height,class\na.jpg,20,30,60,40,dog\n", "a.jpg": 1}, {"all": DOG}),
    ({"labels_my-project_2024-05-01.csv": MAKESENSE, "a.jpg": 1}, {"all": DOG}),  # makesense.ai
    ({"t.csv": f"label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n{MAKESENSE}", "a.jpg": 1},
     {"all": DOG}),
    ({"train.csv": 'image_id,width,height,bbox,class\na,100,80,"[20.0, 30, 60, 40]",dog\nb,100,80,,\n', "train/a.jpg": 1,
      "train/b.jpg": 2, "test/a.jpg": 3}, {"train": {**DOG, "b.jpg": None}}),  # Kaggle
    ({"train.csv": "image_id,class_name,class_id,x_min,y_min,x_max,y_max\na,dog,0,20,30,80,70\nb,No finding,14,,,,\n",
      "train_images/a.jpg": 1, "train_images/b.jpg": 2}, {"train": {**DOG, "b.jpg": None}}),
    ({"train.csv": RETINANET.format("/home/ann/imgs"), "imgs/a.jpg": 1, "b.jpg": 2}, {"train": {**DOG, "b.jpg": None}}),
])  # fmt: skip
def test_tables_as_they_are_exported(files, splits, tmp_path):
    check_export(write_files(tmp_path / "d", files), splits)


def test_a_table_without_classes(tmp_path):
    rows = "image,xmin,ymin,xmax,ymax\na.jpg,20,30,80,70\n"
    data = load_dataset(write_files(tmp_path, {"train_boxes.csv": rows, "training_images/a.jpg": 1}), "train")
    assert data.names == ["object"] and data[0].boxes.tolist() == [BOX]
    assert [p.message for p in data.problems] == ["has no column class: all objects are of the class 'object'"]


def test_bananas(tmp_path):
    """The data set of Dive into Deep Learning."""
    files = {f"bananas_{s}/label.csv": D2L + "0.png,0,20,30,80,70\n1.png,0,20,30,80,70\n" for s in ("train", "val")}
    files |= {f"bananas_{s}/images/{i}.png": i + 2 * len(s) for s in ("train", "val") for i in (0, 1)}
    data = write_files(tmp_path / "banana-detection", files)
    check_export(data, {s: {"0.png": "0", "1.png": "0"} for s in ("train", "val")}, ["0"])
    check_export(data / "bananas_val", {"all": {"0.png": "0", "1.png": "0"}}, ["0"])
    assert load_dataset(data, "train", ["banana"])[0].class_ids.tolist() == [0]  # the names of a model
    (data / "classes.txt").write_text("banana\n")
    check_export(data, {s: {"0.png": "banana", "1.png": "banana"} for s in ("train", "val")}, ["banana"])


def test_classes_that_are_numbers(tmp_path):
    rows = D2L + "a.jpg,0,20,30,80,70\na.jpg,2.0,1,2,3,4\n"
    data = write_files(tmp_path / "d", {"t.csv": rows, "a.jpg": 1})
    assert class_names(data) == ["0", "1", "2"] and load_dataset(data, "all")[0].class_ids.tolist() == [0, 2]
    with pytest.raises(DataError, match="is of class '2', which is not among 0, 1"):
        load_dataset(data, "all", ["cat", "dog"])
    (data / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match="line 3 has class '2.0', but there are 2 names: 0 to 1"):
        load_dataset(data, "all")
    (data / "classes.txt").write_text("2.0\n0\n")  # then they are names
    assert load_dataset(data, "all")[0].class_ids.tolist() == [1, 0]
    (data / "classes.txt").unlink()
    (data / "t.csv").write_text(rows + "a.jpg,dog,1,2,3,4\n")
    assert class_names(data) == ["0", "2.0", "dog"]


@pytest.mark.parametrize("classes, names", [("cat,0\ndog,1\n", ["cat", "dog"]), ("name,id\ndog,0\ncat,1\n", ["dog", "cat"])])
def test_a_table_of_classes_is_a_list_and_no_data_set(classes, names, tmp_path):
    files = {"annotations.csv": RETINANET.format("imgs"), "classes.csv": classes, "imgs/a.jpg": 1, "imgs/b.jpg": 2}
    data = write_files(tmp_path / "d", files)
    check_export(data, {"all": {**DOG, "b.jpg": None}}, names)
    for wrong in ("cat,0\ndog,2\n", "cat,0\ncat,1\n", "cat\n", "cat,0\ndog,0\n"):
        (data / "classes.csv").write_text(wrong)
        with pytest.raises(DataError, match="classes.csv: not a list of classes; expected lines of name,id with ids from 0 to"):
            class_names(data)


def test_a_claimed_size_is_checked(tmp_path):
    data = write_files(tmp_path / "d", {"t.csv": TENSORFLOW.replace("100,80", "80,100"), "a.jpg": 1})
    with pytest.raises(DataError, match="t.csv: says 80x100, the image of .*a.jpg is 100x80"):
        load_dataset(data, "all")
    (data / "t.csv").write_text(TENSORFLOW.replace("100,80", "60,40"))  # of the box
    check_export(data, {"all": DOG})


def test_images_of_two_folders_do_not_become_one(tmp_path):
    rows = "".join(f"/home/ann/{folder}/a.jpg,20,30,80,70,dog\n" for folder in ("day", "night"))
    data = write_files(tmp_path / "d", {"t.csv": rows, "a.jpg": 1})
    with pytest.raises(
        DataError, match=f"line 2: '/home/ann/night/a.jpg' and '/?home/ann/day/a.jpg' both lead to {data}/a.jpg; put"
    ):
        load_dataset(data, "all")
    write_files(data, {"night/a.jpg": 2, "day/a.jpg": 3})
    assert [r.image.parent.name for r in load_dataset(data, "all").records] == ["day", "night"]
