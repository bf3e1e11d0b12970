import pytest

from ssdzoo.data import class_names, load_dataset, split_names
from ssdzoo.errors import DataError
from tests.data.formats.written import NAMES, write_yolo


def with_yaml(root, text, **files):
    data = write_yolo(root / "data")
    (data / "data.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    for name, lines in files.items():
        (data / f"{name}.txt").write_text(lines)
    return data


def with_label(root, text):
    data = write_yolo(root / "data")
    (data / "labels" / "train" / "a.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return data


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nnc: 3\nnames:\n  0: ant\n  2: cow\n  1: bee\n",
        "path: .\ntrain: [images/train]\nnames: [ant, bee, cow]\n",
        "path: /not/on/this/machine\ntrain: images/train/\nval:\nnames: [ant, bee, cow]\n",
        "train: ../images/train\nval: ../images/valid\nnames: [ant, bee, cow]\n",  # Roboflow
        "train: train.txt\nnames: [ant, bee, cow]\ndownload: rm -rf everything\n",
    ],
)
def test_ways_to_write_a_table(text, tmp_path):
    lines = "images/train/a.png\n./images/train/b.png\n\nimages/train/c.png\nimages/train/d.png"
    data = with_yaml(tmp_path, text, train=lines)
    for path in (data, data / "data.yaml"):
        found = load_dataset(path, "train")
        assert found.names == NAMES and [len(r.boxes) for r in found.records] == [2, 1, 0, 3] and found.problems == []


def test_splits_and_absolute_paths(tmp_path):
    data = write_yolo(tmp_path / "d")
    (data / "list.txt").write_text(f"{data}/images/train/d.png\n")
    (data / "data.yaml").write_text(f"train: {data}/images/train\nval: [list.txt]\ntest:\nnames: [ant, bee, cow]\n")
    assert split_names(data) == ["train", "val"]
    assert [r.image.stem for r in load_dataset(data, "trainval").records] == ["a", "b", "c", "d", "d"]
    assert load_dataset(data, "val")[0].class_ids.tolist() == [2, 1, 1]
    (data / "lists").mkdir()
    (data / "lists" / "val.txt").write_text("../images/train/d.png\n")
    (data / "data.yaml").write_text("val: lists/val.txt\nnames: [ant, bee, cow]\n")
    assert load_dataset(data, "val")[0].class_ids.tolist() == [2, 1, 1]


def test_outlines_become_boxes(tmp_path):
    data = load_dataset(with_label(tmp_path, "1 0.25 0.25 0.5 0.125 0.375 0.75\n"), "train")
    assert data[0].boxes.tolist() == [[32, 8, 64, 48]] and data[0].class_ids.tolist() == [1]


@pytest.mark.parametrize(
    "text, message",
    [
        ("0 0.5 0.5 0.2", "a.txt: line 1 is '0 0.5 0.5 0.2'; expected five numbers: class, center x"),
        ("0 0.5 0.5 0.2 0.2 0.9", "expected five numbers"),
        ("\nant 0.5 0.5 0.2 0.2", "line 2 is 'ant 0.5"),
        ("0 0.5 nan 0.2 0.2", "expected five numbers"),
        ("0 0.5 inf 0.2 0.2", "is not finite"),
        ("3 0.5 0.5 0.2 0.2", "line 1 has class '3', but there are 3 classes: 0 to 2"),
        ("-1 0.5 0.5 0.2 0.2", "has class '-1'"),
        ("0.5 0.5 0.5 0.2 0.2", "has class '0.5'"),
        (f"{'1' * 100} 0.5 0.5 0.2 0.2", "has class '1{59}[.]{3}, but"),
        (f"{'1' * 1000} 0.5 0.5 0.2 0.2", "has class '1{59}[.]{3}, but"),
        ("0 20 30 10 10", r"line 1 \(ant\): box \(20, 30, 10, 10\) is outside of the 128x64 image"),
        (b"0 0.5 0.5 0.2 0.2 \xff\xfe", "a.txt: not UTF-8 text, from byte 18 on"),
    ],
)
def test_wrong_labels(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(with_label(tmp_path, text), "train")


@pytest.mark.parametrize(
    "text, message",
    [
        ("train: images/train\n", "no class names; expected names:"),
        ("train: images/train\nnames: [ant, ant]", "class 'ant' is there twice"),
        ("train: images/train\nnames: [ant, no]", "a class is called False; expected a text, in quotes"),
        ("train: images/train\nnames: {0: ant, 5: bee}", "names has the ids 0, 5; expected 0 to 1, each once"),
        ("train: images/train\nnc: 4\nnames: [ant, bee]", "nc is 4, but there are 2 names"),
        ("train: images/none\nnames: [ant, bee, cow]", "images/none is not there"),
        ("train: labels\nnames: [ant, bee, cow]", "train: no images in 'labels'"),
        ("train: 7\nnames: [ant, bee, cow]", "train is 7; expected a folder or a .txt file"),
        ("val: images/train\nnames: [ant, bee, cow]", "no split 'train'; there are val"),
        ("names: [ant, bee, cow]", "names no images; expected train: FOLDER"),
        ("train: train.txt\nnames: [ant, bee, cow]", "train.txt: line 1: '../../../../etc/passwd' is no image"),
        ("train: escape.txt\nnames: [ant, bee, cow]", "escape.txt: line 1: '../../../../etc/x.png' leads out of"),
        ("train: folder.txt\nnames: [ant, bee, cow]", "x.jpg: cannot be read: Is a directory"),
        ("train: [a\n", "data.yaml: not YAML: line 2: "),
        ("names: !!python/object/apply:os.system ['true']", "not YAML: line 1: could not determine a constructor"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: *b", r"contains references \(\*name\), which are refused"),
        ("names: [" * 5000, "not YAML"),
        (b"names: \xff", "not UTF-8"),
        ("date: 2001-99-99\nnames: [a]", "not YAML: month must be"),
        ("nc: " + "9" * 5000, "not YAML"),
        ("just a text", "not a data.yaml"),
    ],
)
def test_wrong_tables(text, message, tmp_path):
    data = with_yaml(tmp_path, text, train="../../../../etc/passwd\n", escape="../../../../etc/x.png\n", folder="images/x.jpg")
    (data / "images" / "x.jpg").mkdir()
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")


def test_labels_that_are_nowhere(tmp_path):
    data = write_yolo(tmp_path / "d")
    (data / "labels").rename(data / "annotations")
    with pytest.raises(DataError, match="none of the 4 images of train has labels, such as .*/labels/train/a.txt"):
        load_dataset(data, "train")


def test_ids_without_names(tmp_path):
    data = with_yaml(tmp_path, "train: images/train\nnc: 3\n")
    assert class_names(data) == ["0", "1", "2"]
    assert load_dataset(data, "train", ["x", "y", "z"])[0].class_ids.tolist() == [0, 2]
    with pytest.raises(DataError, match="is of class '2', which is not among 0, 1"):
        load_dataset(data, "train", ["x", "y"])
    (data / "classes.txt").write_text("ant\nbee\n\ncow\n")
    assert class_names(data) == NAMES


def test_links_in_circles_end(tmp_path):
    data = write_yolo(tmp_path / "d")
    (data / "images" / "train" / "again").symlink_to(data / "images")
    (data / "images" / "train" / "z.png").symlink_to(data / "images" / "train" / "z.png")
    with pytest.raises(DataError, match=r"z.png: cannot be read: Too many levels of symbolic links") as error:
        load_dataset(data, "train")
    assert len(str(error.value).splitlines()) == 1
