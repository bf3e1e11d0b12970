import numpy as np
import pytest

from ssdzoo.data import class_names, load_dataset, split_names
from ssdzoo.errors import DataError
from tests.data.formats.voc_folder import write_voc, xml
from tests.shared import BCCD, shared_path

CAT = ("cat", 11, 21, 31, 41)


def one(root, text, **kwargs):
    return load_dataset(write_voc(root / "data", {"a": text}, {"train": ["a"]}, **kwargs), "train")


def test_coordinates_count_from_zero(tmp_path):
    record = one(tmp_path, xml([CAT, ("Dog House", 1, 1, 100, 80)]))[0]
    assert record.boxes.tolist() == [[10, 20, 30, 40], [0, 0, 99, 79]]
    assert record.boxes.dtype == np.float32
    assert record.class_ids.tolist() == [1, 0]  # capitals come first
    assert (record.height, record.width) == (80, 100)
    assert record.difficult.tolist() == [False, False]


def test_difficult_floats_and_zero(tmp_path):
    extra = (
        "<object><name> cat </name><difficult>1</difficult>"
        "<bndbox><xmin>0</xmin><ymin>0.5</ymin><xmax>20.25</xmax><ymax>81</ymax></bndbox></object>"
    )
    record = one(tmp_path, xml([], extra=extra))[0]
    assert record.boxes.tolist() == [[0, 0, 19.25, 80]]
    assert record.difficult.tolist() == [True]


def test_outlines_of_labelme_s_web_tool(tmp_path):
    """They are in pixels from 0."""
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((10.5, 20), (30, 22), (20, 60)))
    extra = f"<object><name>cat</name><deleted>0</deleted><polygon>{points}</polygon></object>"
    assert one(tmp_path, xml([CAT], extra=extra))[0].boxes.tolist() == [[10, 20, 30, 40], [10.5, 20, 30, 60]]


def test_an_image_without_objects(tmp_path):
    data = load_dataset(write_voc(tmp_path / "d", {"a": xml([]), "b": xml([CAT])}, {"train": ["a", "b"]}), "train")
    assert data.names == ["cat"] and data[0].boxes.shape == (0, 4) and data[0].class_ids.shape == (0,)


@pytest.mark.parametrize("suffix", [".png", ".jpeg", ".JPG"])
def test_other_suffixes(suffix, tmp_path):
    assert one(tmp_path, xml([CAT]), suffix=suffix)[0].image.suffix == suffix


def test_degenerate_boxes_are_reported_and_left_out(tmp_path):
    data = one(tmp_path, xml([CAT, ("cat", 5, 5, 5, 9), ("cat", 9, 9, 12, 9)]))
    assert len(data[0].boxes) == 1
    assert [str(p).split("/")[-1] for p in data.problems] == [
        "a.xml: object 2 (cat): box (5, 5, 5, 9) has no width or no height: left out",
        "a.xml: object 3 (cat): box (9, 9, 12, 9) has no width or no height: left out",
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("<annotation><object>", "a.xml: not XML"),
        ("", "a.xml: not XML"),
        (xml([("cat", 50, 50, 140, 60)]), r"box \(50, 50, 140, 60\) is outside of the 100x80 image"),
        (xml([("cat", -3, 5, 40, 60)]), "is outside of the 100x80 image"),
        (xml([("cat", "left", 5, 40, 60)]), "object 1 has no <bndbox> with the numbers"),
        (xml([("cat", "nan", 5, 40, 60)]), "not finite"),
        (xml([("", 1, 5, 40, 60)]), "an object without <name>"),
        (xml([CAT], size=(80, 100)), "a.xml: says 80x100, the image is 100x80"),
        (xml([CAT], size=("wide", 100)), "<size> is not a number"),
        ('<!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;">]>' + xml([("&c;", 1, 2, 3, 4)]), "XML entities, which are refused"),
        (
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + xml([("&b;", 1, 2, 3, 4)]),
            "XML entities, which are refused",
        ),
    ],
)
def test_wrong_annotations(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        one(tmp_path, text)


def test_a_class_that_is_not_in_the_list(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([("kat", 1, 2, 30, 40)])}, {"train": ["a"]})
    with pytest.raises(DataError, match="object 1 is of class 'kat', which is not among cat, dog; do you mean 'cat'"):
        load_dataset(root, "train", ["cat", "dog"])


def test_missing_annotation_and_image(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([CAT]), "b": xml([CAT])}, {"train": ["a", "zzz"], "val": ["b"]})
    with pytest.raises(DataError, match="zzz.xml: no such annotation"):
        load_dataset(root, "train")
    (root / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(DataError, match="b.xml: its image JPEGImages/b.jpg is missing"):
        load_dataset(root, "val")


def test_many_bad_files_make_one_error(tmp_path):
    bad = {f"i{n}": xml([("cat", 1, 1, 900, 9)]) for n in range(9)}
    with pytest.raises(DataError) as error:
        load_dataset(write_voc(tmp_path / "d", bad, {"train": list(bad)}), "train")
    lines = str(error.value).splitlines()
    assert len(lines) == 6 and "i4.xml" in lines[4] and lines[5] == "... and 4 more files"


def test_many_files_that_are_not_xml_make_one_error(tmp_path):
    root = write_voc(tmp_path / "d", {f"i{n}": "<bad" for n in range(9)}, {"train": ["i0"]})
    for read in (class_names, lambda root: load_dataset(root, "train")):
        with pytest.raises(DataError) as error:
            read(root)
        lines = str(error.value).splitlines()
        assert len(lines) == 6 and "i0.xml: not XML" in lines[0] and lines[5] == "... and 4 more files"


def test_a_box_that_has_no_width_once_clipped_is_reported(tmp_path):
    """(0, 5, 1, 9) covers only what lies left of the image when counted from 0."""
    data = one(tmp_path, xml([CAT, ("cat", 0, 5, 1, 9), ("cat", 0, 5, 2, 9)]))
    assert data[0].boxes.tolist() == [[10, 20, 30, 40], [0, 4, 1, 8]]
    assert [p.message for p in data.problems] == ["object 2 (cat): box (0, 5, 1, 9) has no width or no height: left out"]


def test_other_xml_is_no_image_without_objects(tmp_path):
    with pytest.raises(DataError, match="a.xml: not a Pascal VOC annotation; its outermost element is <svg>"):
        one(tmp_path, "<svg><path/></svg>")


def test_an_annotation_that_is_a_folder(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([CAT])}, {"train": ["b"]})
    (root / "Annotations" / "b.xml").mkdir()
    with pytest.raises(DataError, match="b.xml: cannot be read"):
        load_dataset(root, "train")


def test_a_split_with_a_byte_order_mark(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([CAT])}, {"train": ["a"]})
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\n", "utf-8-sig")
    assert [r.image.stem for r in load_dataset(root, "train").records] == ["a"]


def test_splits(tmp_path):
    texts = {s: xml([CAT]) for s in "abc"}
    root = write_voc(tmp_path / "d", texts, {"train": ["a", "b"], "val": ["c"], "empty": []})
    assert [r.image.stem for r in load_dataset(root, "trainval").records] == ["a", "b", "c"]
    with pytest.raises(DataError, match="no split 'test'; there are empty, train, val"):
        load_dataset(root, "test")
    with pytest.raises(DataError, match="empty.txt: the split is empty"):
        load_dataset(root, "empty")


def test_lines_of_a_split(tmp_path):
    root = write_voc(tmp_path / "d", {s: xml([CAT]) for s in ("a", "my image 1", "b")})
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "cat_train.txt").write_text("a  1\nmy image 1\n\nb -1\n")
    assert [r.image.stem for r in load_dataset(root, "cat_train").records] == ["a", "my image 1", "b"]
    assert split_names(root) == ["cat_train", "train"]


def test_splits_by_fraction(tmp_path):
    root = write_voc(tmp_path / "d", {f"i{n:02d}": xml([CAT]) for n in range(20)})
    stems = {s: {r.image.stem for r in load_dataset(root, s).records} for s in ("train", "val", "test", "trainval")}
    assert [len(stems[s]) for s in ("train", "val", "test", "trainval")] == [16, 2, 2, 18]
    assert stems["train"] | stems["val"] == stems["trainval"] and not stems["trainval"] & stems["test"]
    again = {r.image.stem for r in load_dataset(root, "train").records}
    assert again == stems["train"]
    with pytest.raises(DataError, match="no images in split 'holdout'; without ImageSets/Main there are train, val, test"):
        load_dataset(root, "holdout")


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such data set"):
        load_dataset(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match="expected a Pascal VOC folder"):
        class_names(tmp_path)
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(DataError, match="no annotations"):
        class_names(tmp_path)


def test_classes_come_from_all_splits(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([CAT]), "b": xml([("ant", 1, 1, 9, 9)])}, {"train": ["a"], "test": ["b"]})
    assert class_names(root) == ["ant", "cat"]
    assert load_dataset(root, "train").names == ["ant", "cat"]


def test_blood_cells():
    data = {s: load_dataset(BCCD, s) for s in ("train", "val", "test")}
    assert [len(data[s]) for s in data] == [4, 2, 3]
    problems = [p for d in data.values() for p in d.problems]
    assert [p.path.stem for p in problems] == ["BloodImage_00338"]
    counts = np.bincount(np.concatenate([r.class_ids for d in data.values() for r in d.records]))
    assert data["train"].names == ["Platelets", "RBC", "WBC"] and counts.tolist() == [12, 73, 10]


def test_everyday_photos():
    data = load_dataset(shared_path("data/voc100"), "test")
    assert len(data) == 100 and sum(len(r.boxes) for r in data.records) == 273 and data.problems == []
