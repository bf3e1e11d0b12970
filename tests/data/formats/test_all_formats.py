"""What holds for all formats: equal records, joined data sets, splits."""

from itertools import chain

import numpy as np
import pytest

from ssdzoo.data import class_names, has_split, load_dataset, split_names
from ssdzoo.data.images import read_image
from ssdzoo.errors import CallError, DataError
from tests.data.formats.written import HEIGHT, NAMES, OBJECTS, WIDTH, WRITERS, write, write_images


def stems(path, split, **kwargs):
    return [record.image.stem for record in load_dataset(path, split, **kwargs).records]


@pytest.fixture
def many(tmp_path):
    """A table of twenty images without splits."""
    names = [f"i{n:02d}" for n in range(20)]
    write_images(tmp_path / "many", names)
    rows = "".join(f"{name}.png,1,2,30,40,cat\n" for name in names)
    (tmp_path / "many" / "labels.csv").write_text("image,xmin,ymin,xmax,ymax,class\n" + rows)
    return tmp_path / "many"


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_records(kind, tmp_path):
    data = load_dataset(write(kind, tmp_path / "data"), "train")
    assert data.names == NAMES and data.problems == [] and len(data) == 4
    images = write_images(tmp_path / "again")
    for record, (name, rows) in zip(data.records, OBJECTS.items()):
        assert record.boxes.tolist() == [list(row[1:]) for row in rows]
        assert record.class_ids.tolist() == [row[0] for row in rows]
        assert (record.height, record.width) == (HEIGHT, WIDTH)
        assert not record.difficult.any() and not record.crowd.any()
        np.testing.assert_array_equal(read_image(record.image), read_image(images / f"{name}.png"))


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_keeps_to_the_same_rules(kind, tmp_path):
    objects = {"a": [(0, 8, 8, 8, 40), (1, 8, 8, 8.5, 40)], "b": [(2, 100, 8, 128.5, 65)], "c": [(0, 3, 3, 9, 9)]}
    data = load_dataset(write(kind, tmp_path / "good", objects), "train", NAMES)
    assert [r.boxes.tolist() for r in data.records] == [[[8, 8, 8.5, 40]], [[100, 8, 128, 64]], [[3, 3, 9, 9]]]
    assert [p.kind for p in data.problems] == ["degenerate box", "tiny box"]
    assert "has no width or no height: left out" in str(data.problems[0])
    assert "(bee): box (" in str(data.problems[1]) and "is less than one pixel wide or high" in str(data.problems[1])
    objects["b"] = [(2, 100, 8, 130, 64)]
    with pytest.raises(DataError, match=r"\(cow\): box \(.*\) is outside of the 128x64 image"):
        load_dataset(write(kind, tmp_path / "bad", objects), "train", NAMES)
    with pytest.raises(DataError, match="is of class '?(cow|2)"):
        load_dataset(tmp_path / "good", "train", ["ant", "bee"])
    assert load_dataset(tmp_path / "good", "train", ["cow", "bee", "ant"])[1].class_ids.tolist() == [0]


@pytest.mark.parametrize("kind", WRITERS)
def test_corners_in_the_wrong_order_are_swapped(kind, tmp_path):
    objects = {"a": [(0, 40, 48, 8, 16), (1, 40, 16, 8, 48), (1, 8, 48, 40, 16), (2, 8, 16, 40, 48)]}
    data = load_dataset(write(kind, tmp_path / "d", objects), "train", NAMES)
    assert data[0].boxes.tolist() == [[8, 16, 40, 48]] * 4 and data[0].class_ids.tolist() == [0, 1, 1, 2]
    if kind == "labelme":  # its corners are in the order in which they were drawn
        assert data.problems == []
        return
    assert [(p.kind, p.severity) for p in data.problems] == [("swapped corners", "warning")] * 3
    assert "(ant): box (" in str(data.problems[0]) and "has its corners in the wrong order" in str(data.problems[0])


@pytest.mark.parametrize("kind", WRITERS)
def test_a_split_without_a_single_object_is_refused(kind, tmp_path):
    objects = {"a": [], "b": [(0, 8, 8, 8, 40)], "c": [(1, 3, 3, 9, 9)]}
    assert sum(len(record.boxes) for record in load_dataset(write(kind, tmp_path / "good", objects), "train", NAMES)) == 1
    objects["c"] = []
    left_out = r"d: split 'train': its 3 images have not a single object \(1 box without width or height left out\), and"
    with pytest.raises(DataError, match=left_out):
        load_dataset(write(kind, tmp_path / "d", objects), "train", NAMES)


NORMALIZED = {"a": [(0, 0.25, 0.25, 0.75, 0.5), (1, 0.5, 0, 1, 1)], "b": [(2, 0, 0.125, 0.5, 0.75)], "c": []}


@pytest.mark.parametrize("kind, first", [("voc", -1), ("coco", 0), ("csv", 0)])
def test_normalized_coordinates_where_pixels_belong(kind, first, tmp_path):
    """Pascal VOC's writer adds 1 to each number."""
    objects = {name: [(i, *(v + first for v in box)) for i, *box in rows] for name, rows in NORMALIZED.items()}
    message = f"(train.csv|json|d): all 3 boxes lie within 0 and 1, .* but the format {kind} has pixels: multiply x by the width"
    with pytest.raises(DataError, match=message) as error:
        load_dataset(write(kind, tmp_path / "d", objects), "train", NAMES)
    assert len(str(error.value).splitlines()) == 1


def test_normalized_coordinates_in_one_of_two_files(tmp_path):
    objects = {"a": [(i, *(v - 1 for v in box)) for i, *box in NORMALIZED["a"]], "b": [(1, 8, 16, 40, 48), (1, -1, -1, 0, 0)]}
    with pytest.raises(DataError, match="a.xml: all 2 boxes lie within 0 and 1") as error:
        load_dataset(write("voc", tmp_path / "d", objects), "train", NAMES)
    assert len(str(error.value).splitlines()) == 1
    data = load_dataset(write("voc", tmp_path / "good", {"a": objects["a"][:1], "b": objects["b"]}), "train", NAMES)
    assert [record.boxes.tolist() for record in data.records] == [[], [[8, 16, 40, 48]]]  # slips of the hand in a corner
    assert [p.kind for p in data.problems] == ["degenerate box"] * 2


def test_joined_data_sets(tmp_path):
    first = write("csv", tmp_path / "one", {"a": [(2, 0, 0, 9, 9)]})
    second = write("coco", tmp_path / "two")
    for both in ([first, second], f"{first},{second}", f"{first}, {second}"):
        assert class_names(both) == ["cow", "ant", "bee"]
        data = load_dataset(both, "train")
        assert [r.image.stem for r in data.records] == ["a", "a", "b", "c", "d"]
        assert data[0].class_ids.tolist() == [0] and data[1].class_ids.tolist() == [1, 0]
    (tmp_path / "a,b").mkdir()
    assert stems(write("yolo", tmp_path / "a,b"), "train") == list(OBJECTS)  # a comma in a name is no list
    with pytest.raises(DataError, match="nowhere: no such data set"):
        load_dataset([first, tmp_path / "nowhere"], "train")
    (second / "annotations" / "instances_train2017.json").write_text("{")
    with pytest.raises(DataError, match="instances_train2017.json: not JSON"):
        class_names([first, second])


@pytest.mark.parametrize("kind", ["lst", "recordio", "csv", "yolo"])
def test_class_ids_without_names_are_joined_to_no_names(kind, tmp_path):
    """Class 0 of the one would become the first class of the other."""
    named, ids = write("voc", tmp_path / "named"), write(kind, tmp_path / "ids")
    if kind == "csv":
        table = (ids / "train.csv").read_text()
        for i, name in enumerate(NAMES):
            table = table.replace(f",{name}\n", f",{i}\n")
        (ids / "train.csv").write_text(table)
    elif kind == "yolo":
        (ids / "data.yaml").write_text("train: images/train\nnc: 3\n")
    else:
        (ids / "classes.txt").unlink()
    assert class_names(ids) == ["0", "1", "2"]
    for paths in ([named, ids], [ids, named]):
        message = f"{ids}: holds class ids without names, and cannot be joined to {named}, which has .* in {ids}/classes.txt"
        for call in (lambda p: class_names(p), lambda p: load_dataset(p, "train"), lambda p: load_dataset(p, "train", NAMES)):
            with pytest.raises(DataError, match=message):
                call(paths)
    assert load_dataset(ids, "train", ["x", "y", "z"])[0].class_ids.tolist() == [0, 2]  # alone, with the names of a model
    assert load_dataset([ids, ids], "train").names == ["0", "1", "2"]
    (ids / "classes.txt").write_text("\n".join(NAMES))
    assert [r.class_ids.tolist() for r in load_dataset([named, ids], "train").records[::4]] == [[0, 2], [0, 2]]


def test_a_joined_data_set_without_the_split_adds_nothing(tmp_path):
    """VOC07+12: the test images of 2012 are not public."""
    first, second = write("voc", tmp_path / "one"), write("voc", tmp_path / "two")
    (first / "ImageSets" / "Main" / "test.txt").write_text("b")
    data = load_dataset([first, second], "test")
    assert len(data) == 1 and [str(p) for p in data.problems] == [f"{second}: has no split 'test': adds nothing to it"]
    with pytest.raises(DataError, match="one: no split 'val'; there are test, train"):
        load_dataset([first, second], "val")
    assert split_names([first, second]) == ["test", "train"]


def test_a_data_set_without_splits_is_drawn(many):
    assert split_names(many) == ["test", "train", "val"]
    parts = {s: stems(many, s) for s in ("train", "val", "test")}
    assert [len(p) for p in parts.values()] == [16, 2, 2]
    assert sorted(chain.from_iterable(parts.values())) == stems(many, "all") and len(stems(many, "all")) == 20
    assert sorted(parts["train"] + parts["val"]) == sorted(stems(many, "trainval"))
    assert stems(many / "labels.csv", "val") == parts["val"]
    with pytest.raises(DataError, match="no images in split 'best'; without files for its splits there are train, val, test"):
        load_dataset(many, "best")


def test_parts_of_a_split(many, tmp_path):
    data = write("voc", tmp_path / "voc")
    first, rest = stems(data, "train[:50%]"), stems(data, "train[50%:]")
    assert len(first) == len(rest) == 2 and sorted(first + rest) == list(OBJECTS) and first == sorted(first)
    assert stems(data, "train[:50%]") == first and stems(data, "train[:]") == list(OBJECTS)
    parts = [stems(many, f"all[{a}%:{a + 12.5}%]") for a in np.arange(8) * 12.5]
    assert sorted(chain.from_iterable(parts)) == stems(many, "all") and {len(p) for p in parts} == {2, 3}
    assert parts[0] != ["i00", "i01"]  # drawn, not the first ones
    with pytest.raises(DataError, match=r"'train\[:5%\]' contains none of the 4 images"):
        load_dataset(data, "train[:5%]")
    for wrong in ("train[:5]", "train[80%]", "train[60%:40%]", "train[:120%]", "train[", "[:50%]", "train[..%:]", "train[5%:5%]"):
        with pytest.raises(CallError, match=r"a part is written like train\[:80%\]"):
            load_dataset(data, wrong)


@pytest.mark.parametrize("own, wanted", [
    ("train2017", "train"), ("train_2012", "train"),
    ("valid", "val"), ("validation", "val"), ("val", "valid"),
])  # fmt: skip
def test_usual_names_of_splits(own, wanted, tmp_path):
    data = write("voc", tmp_path / "voc")
    (data / "ImageSets" / "Main" / "train.txt").rename(data / "ImageSets" / "Main" / f"{own}.txt")
    assert stems(data, wanted) == list(OBJECTS) and has_split(data, wanted) and not has_split(data, "test")


def test_two_years_of_one_split(tmp_path):
    data = write("voc", tmp_path / "voc")
    for name in ("val2014", "val2017"):
        (data / "ImageSets" / "Main" / f"{name}.txt").write_text("a")
    with pytest.raises(DataError, match="'val' may be val2014 or val2017: name one of them"):
        load_dataset(data, "val")
    assert stems(data, "val2014") == ["a"] and not has_split(data, "val")


def test_files_are_named_after_their_splits(many):
    table = (many / "labels.csv").read_text()
    (many / "labels.csv").rename(many / "cats_train.csv")
    assert split_names(many) == ["train"]  # no longer drawn
    (many / "cats_val.csv").write_text(table)
    assert split_names(many) == ["train", "val"] and len(stems(many, "trainval")) == 40
    (many / "dogs_val.csv").write_text(table)
    assert split_names(many) == ["cats_train", "cats_val", "dogs_val"]


def test_formats_by_name(tmp_path):
    data = write("coco", tmp_path / "d")
    json = data / "annotations" / "instances_train2017.json"
    assert len(load_dataset(json, "train")) == 4 and len(load_dataset(data, "train", format="coco")) == 4
    json.rename(json.with_suffix(".txt"))
    assert len(load_dataset(json.with_suffix(".txt"), "train", format="coco")) == 4
    with pytest.raises(
        DataError, match=r"instances_train2017.txt: not a data set; expected a Pascal VOC folder .*COCO .*YOLO.*\.rec .*\.csv"
    ):
        load_dataset(json.with_suffix(".txt"), "train")
    with pytest.raises(DataError, match="not a data set of format yolo"):
        load_dataset(data, "train", format="yolo")
    with pytest.raises(CallError, match="no format 'tfrecord'; there are voc, coco, yolo, recordio, sagemaker"):
        load_dataset(data, "train", format="tfrecord")


def test_objects_of_two_formats_are_told_apart_by_their_names(tmp_path):
    """Ids differ from file to file; names decide."""
    data = load_dataset([write("yolo", tmp_path / "a"), write("recordio", tmp_path / "b")], "train")
    assert data.names == NAMES
    for one, other in zip(data.records[:4], data.records[4:]):
        assert one.class_ids.tolist() == other.class_ids.tolist()


@pytest.mark.parametrize("wanted", ["testing", "tests", "train1", ""])
def test_other_names_of_splits_are_not_guessed(wanted, tmp_path):
    data = write("voc", tmp_path / "voc")
    (data / "ImageSets" / "Main" / "test.txt").write_text("a")
    assert stems(data, "Train") == list(OBJECTS)
    with pytest.raises(DataError, match=f"no split '{wanted}'; there are test, train"):
        load_dataset(data, wanted)
