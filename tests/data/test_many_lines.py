"""Lists, annotations and class names by the hundred thousand: time and memory are in proportion to them."""

import json

import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.check.similar_names import similar_names
from ssdzoo.errors import DataError
from ssdzoo.suggest import did_you_mean
from tests.data.formats.written import write
from tests.hostile import limits  # noqa: F401


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


def repeat(format, folder, count):
    """A data set whose train split names its first image so often, and its last one once."""
    data = write(format, folder)
    if format == "yolo":
        (data / "data.yaml").write_text("train: list.txt\nnames: [ant, bee, cow]\n")
        (data / "list.txt").write_text("images/train/a.png\n" * count + "images/train/d.png\n")
    else:
        (data / "ImageSets" / "Main" / "train.txt").write_text("a\n" * count + "d\n")
    return data


@pytest.mark.parametrize("count", [3000, pytest.param(1_000_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_a_list_of_equal_lines(format, count, tmp_path):
    data = repeat(format, tmp_path / "d", count)
    report = check_dataset(data, workers=0)
    assert report.splits["train"] == {"images": count + 1, "objects": 2 * count + 3, "negatives": 0, "difficult": 0, "crowd": 0}
    assert [p.message for p in report.problems] == [f"is in train {count:,} times"]
    assert report.classes["ant"]["objects"] == {"train": 1}  # of different images


def test_an_image_that_is_listed_twice_is_trained_on_twice(tmp_path):
    data = repeat("voc", tmp_path / "d", 2)
    records = load_dataset(data, "train").records
    assert [r.image.name for r in records] == ["a.png", "a.png", "d.png"]
    assert [r.class_ids.tolist() for r in records] == [[0, 2], [0, 2], [2, 1, 1]]
    assert records[1].boxes.tolist() == [[8, 16, 40, 48], [64, 0, 128, 64]]
    (data / "Annotations" / "a.xml").write_text("<annotation>")
    report = check_dataset(data, workers=0)
    assert [r.image.name for r in report.records["train"]] == ["d.png"] and len(report.errors) == 1


def test_a_list_that_multiplies_objects_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdzoo.data.formats.read_records.MOST_OBJECTS", 23)
    load_dataset(repeat("voc", tmp_path / "d", 10), "train")
    with pytest.raises(DataError, match="so often that they have 25 objects; expected up to 23: name each image once"):
        load_dataset(repeat("voc", tmp_path / "e", 11), "train")


OBJECT = """<object><name>{}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>6</ymax></bndbox></object>\n"""


@pytest.mark.parametrize("count", [2000, pytest.param(200_000, marks=pytest.mark.long)])
def test_many_objects_in_an_image(count, tmp_path):
    data = write("voc", tmp_path / "d")
    objects = "".join(OBJECT.format("ant", 5 + i * 1e-5) for i in range(count))
    (data / "Annotations" / "c.xml").write_text(f"<annotation>{objects}</annotation>")
    report = check_dataset(data, workers=0)
    assert report.classes["ant"]["objects"] == {"train": count + 1} and not report.errors
    crowded = next(p.message for p in report.problems if p.kind == "many objects")
    assert crowded.startswith(f"1 image has more than 100 objects, up to {count} in ")


@pytest.mark.parametrize("count", [200, pytest.param(20_000, marks=pytest.mark.long)])
def test_many_classes_of_single_objects(count, tmp_path):
    data = write("voc", tmp_path / "d")
    objects = "".join(OBJECT.format(f"class {i}", 9 + i * 1e-4) for i in range(count))
    (data / "Annotations" / "c.xml").write_text(f"<annotation>{objects}</annotation>")
    report = check_dataset(data, workers=0)
    assert len(report.names) == count + 3 and report.classes["class 7"]["objects"] == {"train": 1}
    assert len(report.problems) < 10 and not report.errors


@pytest.mark.parametrize("count", [200, pytest.param(50_000, marks=pytest.mark.long)])
def test_many_categories(count, tmp_path):
    data = write("coco", tmp_path / "d")
    file = data / "annotations" / "instances_train2017.json"
    table = json.loads(file.read_text())
    table["categories"] += [{"id": 100 + i, "name": f"category {i}"} for i in range(count)]
    file.write_text(json.dumps(table))
    report = check_dataset(data, workers=0)
    assert len(report.names) == count + 3 and report.classes["ant"]["objects"] == {"train2017": 1}
    empty = [p.message for p in report.problems if p.kind == "class balance"]
    assert len(empty) == 1 and empty[0].startswith(f"no objects of {count} classes: 'category 0'") and len(empty[0]) < 300
