import json

import numpy as np
import pytest

from ssdzoo.anchors.levels import Level
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.check.similar_names import similar_names
from ssdzoo.data.check.statistics import ModelAnchors
from ssdzoo.errors import CallError, DataError
from ssdzoo.progress import Silent
from tests.data.formats.voc_folder import write_voc, xml
from tests.data.formats.written import NAMES, OBJECTS, WRITERS, write
from tests.shared import shared_path

CAT = ("cat", 11, 21, 31, 41)


def told(report, kind=None):
    return [(p.severity, p.message) for p in report.problems if kind in (None, p.kind)]


def checked(root, annotations, splits=None, **kwargs):
    return check_dataset(write_voc(root / "data", annotations, splits or {"train": list(annotations)}), workers=0, **kwargs)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_good_data_set(kind, tmp_path):
    report = check_dataset(write(kind, tmp_path / "d"), workers=0)
    assert report.problems == [] and report.names == NAMES
    (split,) = report.splits
    assert report.splits[split] == {"images": 4, "objects": 6, "negatives": 1, "difficult": 0, "crowd": 0}
    bee = report.classes["bee"]
    assert bee["objects"] == {split: 3} and bee["images"] == 2 and bee["share"] == 0.5
    assert bee["width"] == [4.4, 8.0, 29.6] and bee["aspect"] == [0.55, 1.0, 3.7]
    assert bee["sizes"] == {"small": 3, "medium": 0, "large": 0}
    assert report.classes["cow"]["sizes"] == {"small": 1, "medium": 1, "large": 0}
    json.dumps(report.to_dict(), allow_nan=False)


def test_it_goes_on_after_errors_and_lists_all(tmp_path):
    annotations = {f"i{n}": xml([("cat", 1, 1, 900 + n, 9), CAT]) for n in range(9)}
    annotations |= {"bad": "<annotation>", "size": xml([CAT], size=(80, 100)), "thin": xml([CAT, ("cat", 5, 5, 5, 9)])}
    root = write_voc(tmp_path / "d", annotations, {"train": [*annotations, "none"]})
    (root / "JPEGImages" / "thin.jpg").unlink()
    (root / "JPEGImages" / "i8.jpg").write_bytes(b"no image at all")
    report = check_dataset(root, workers=0)
    assert report.splits["train"] == {"images": 8, "objects": 8, "negatives": 0, "difficult": 0, "crowd": 0}
    assert len(told(report, "box outside")) == 8 and {s for s, _ in told(report)} == {"error"}
    assert sorted(m.split(":")[0].split(";")[0] for _, m in told(report) if "outside" not in m) == [
        "its image JPEGImages/thin.jpg is missing",
        "no such annotation",
        "not XML",
        "not an image",
        "says 80x100, the image is 100x80",
    ]


def test_damage_within_images(tmp_path):
    root = write_voc(tmp_path / "d", {s: xml([CAT]) for s in "abcde"}, {"train": list("abcde")})
    files = {s: root / "JPEGImages" / f"{s}.jpg" for s in "abcde"}
    whole = files["a"].read_bytes()
    half = len(whole) // 2
    files["a"].write_bytes(whole[:half])
    files["b"].write_bytes(whole[:half] + b"\xff\xd9")
    files["c"].write_bytes(whole[:half] + bytes(range(100)) + whole[half + 100 :])
    files["d"].write_bytes(whole[:-2] + b"\x00\x00\xff\xd9")
    report = check_dataset(root, workers=0)
    found = {p.path.stem: (p.severity, p.message) for p in report.problems}
    assert sorted(found) == ["a", "b", "c", "d"] and [found[s][0] for s in "abcd"] == ["error", "error", "error", "warning"]
    assert "truncated" in found["a"][1]
    assert "decodes to garbage (Corrupt JPEG data: premature end of data segment)" in found["b"][1]
    assert "decodes to garbage (Corrupt JPEG data" in found["c"][1]
    assert found["d"][1] == "2 bytes too many before its end marker: harmless if it looks right"


def test_processes_find_the_same(tmp_path, capfd):
    root = write_voc(tmp_path / "d", {s: xml([CAT]) for s in "abcd"}, {"train": list("abcd")})
    for stem in "ac":
        path = root / "JPEGImages" / f"{stem}.jpg"
        path.write_bytes(path.read_bytes()[:2000] + b"\xff\xd9")
    counts = []

    class Counting(Silent):
        def images(self, results, count):
            counts.append(count)
            return results

    reports = [check_dataset(root, workers=workers, progress=Counting()) for workers in (0, 2)]
    assert reports[0].to_dict() == reports[1].to_dict() and len(reports[0].errors) == 2
    assert counts == [4, 4] * 2 and capfd.readouterr().err == ""


def test_duplicated_boxes(tmp_path):
    report = checked(tmp_path, {"a": xml([CAT, CAT, ("dog", *CAT[1:]), ("dog", 11, 21, 31, 42)])})
    assert told(report) == [
        ("warning", "box (10, 20, 30, 40), counted from 0, is annotated twice as cat"),
        ("warning", "box (10, 20, 30, 40), counted from 0, is annotated as cat and as dog"),
    ]


def test_leakage_and_duplicated_images(tmp_path):
    annotations = {s: xml([CAT]) for s in "abcde"}
    root = write_voc(tmp_path / "d", annotations, {"train": list("abca"), "val": ["d", "a"], "all": list("abcde"), "test": ["e"]})
    images = {s: root / "JPEGImages" / f"{s}.jpg" for s in "abcde"}
    images["d"].write_bytes(images["b"].read_bytes())
    images["c"].write_bytes(images["b"].read_bytes())
    report = check_dataset(root, workers=0)
    assert report.repeated == ["all"] and list(report.splits) == ["train", "val", "test"]
    assert [(p.path.stem, p.kind, p.severity) for p in report.problems] == [
        ("a", "duplicated image", "warning"),
        ("a", "leakage", "warning"),
        ("c", "duplicated image", "warning"),
        ("d", "leakage", "warning"),
    ]
    assert report.problems[0].message == "is in train twice"
    assert report.problems[1].message == "is in val and in train: results on val will look better than they are"
    assert (
        report.problems[3].message
        == f"in val, has the same bytes as {images['b']} in train: results on val will look better than they are"
    )
    assert report.splits["train"]["images"] == 4 and report.classes["cat"]["images"] == 5


def test_leakage_within_a_recordio(tmp_path):
    twice = {**OBJECTS, "z": OBJECTS["a"]}
    root = write("recordio", tmp_path / "d", twice)
    assert check_dataset(root, workers=0).problems == []  # every image has noise of its own
    index = (root / "train.idx").read_text()
    (root / "train.idx").write_text(index + index.splitlines()[0])
    assert [p.kind for p in check_dataset(root, workers=0).problems] == ["duplicated image"]


def test_names_of_classes_and_their_balance(tmp_path):
    boxes = CAT[1:]
    annotations = {"a": xml([("dog", *boxes)]), "b": xml([("Dog", *boxes), ("bird", *boxes)])}
    report = checked(tmp_path, annotations, {"train": ["a"], "val": ["b"]})
    assert told(report, "class names") == [
        ("warning", "classes 'Dog' and 'dog' differ in upper and lower case only: one class, or two?")
    ]
    assert told(report, "class balance") == [("warning", "no objects of 'Dog', 'bird' in train: cannot be learned")]
    (tmp_path / "data" / "ImageSets" / "Main" / "val.txt").write_text("a")
    assert ("warning", "no objects of 'Dog', 'bird'") in told(check_dataset(tmp_path / "data", workers=0))


@pytest.mark.parametrize(
    "a, b, difference",
    [
        ("Dog", "dog", "upper and lower case"),
        ("traffic light", "traffic_light", "spaces, hyphens and case"),
        ("TrafficLight", "traffic-light", "spaces, hyphens and case"),
        ("platelet", "Platelets", "singular and plural"),
        ("boxes", "box", "singular and plural"),
        ("berry", "berries", "singular and plural"),
        ("aeroplane", "aeroplanne", "one letter"),
        ("bicycle", "bycycle", "one letter"),
        ("red helmet", "red helmte", None),
        ("red helmet", "red helmat", "one letter"),
        ("cat", "car", None),
        ("boat", "goat", None),
        ("glass", "glas", None),
        ("type 1", "type 2", None),
        ("class1", "class2", None),
        ("class", "clas1", None),
        ("10", "11", None),
        ("type a", "type b", None),
        ("left arm", "right arm", None),
        ("+", "-", None),
        ("C", "C++", None),
        ("c#", "c++", None),
        ("A+", "A-", None),
        ("1", "2", None),
        ("<", ">", None),
        ("1.5", "15", None),
        ("1-5", "15", None),
        ("10", "10s", None),
        ("a", "A", None),  # letters of an alphabet
        ("helmet+", "helmat-", None),
        ("St. Bernard", "st bernard", "spaces, hyphens and case"),
        ("type-1", "type 1", "spaces, hyphens and case"),
        ("1 way", "1-way", "spaces, hyphens and case"),
        ("caf\u00e9", "cafe\u0301", "the form of Unicode (NFC or NFD)"),
        ("caf\u00e9", "Cafe\u0301", "upper and lower case"),
    ],
)
def test_similar_names(a, b, difference):
    assert similar_names([a, "something", b]) == ([(a, b, difference)] if difference else [])


def test_the_published_classes_are_all_different():
    from ssdzoo.zoo import find_preset

    for name in ("ssd_300_vgg16_atrous_voc", "ssd_300_vgg16_atrous_coco"):
        assert similar_names(find_preset(name).classes) == []


def test_anchors_against_literals(tmp_path):
    """Two anchors of 50x40 in an input of 200x160, onto which the images of 100x80 are stretched."""
    shape = np.array([[50.0, 40.0]])
    levels = [Level((1, 1), shape, (40, 50)), Level((1, 1), shape, (120, 290))]  # around (25, 20) and (145, 60)
    report = checked(
        tmp_path,
        # In the input: exactly the first anchor; half of the second, IoU 0.5, which is enough; none, twice.
        {"a": xml([("cat", 1, 1, 26, 21), ("dog", 61, 21, 86, 31), ("dog", 1, 71, 11, 81), ("dog", 21, 71, 31, 81)])},
        model=ModelAnchors("m", (160, 200), levels),
    )
    assert report.anchors == {
        "model": "m",
        "size": [160, 200],
        "anchors": 2,
        "objects": 4,
        "classes": {
            "cat": {"all": 1.0, "small": None, "medium": 1.0, "large": None, "IoU": 1.0},
            "dog": {"all": 0.3333, "small": 0.3333, "medium": None, "large": None, "IoU": 0.1667},
        },
        "all": {"all": 0.5, "small": 0.3333, "medium": 1.0, "large": None, "IoU": 0.375},
    }
    assert told(report) == [
        ("warning", "only 33% of the objects of class 'dog' have an anchor of m at IoU 0.5: the others are hard to learn")
    ]


def test_classes_that_a_model_does_not_know(tmp_path):
    model = ModelAnchors("m", (80, 100), [Level((1, 1), np.array([[20.0, 20.0]]), (60, 40))], ["dog"])
    assert told(checked(tmp_path, {"a": xml([CAT])}, model=model)) == [("warning", "m does not know 'cat'")]


def test_splits_that_cannot_be_read(tmp_path):
    root = write_voc(tmp_path / "d", {"a": xml([CAT])}, {"train": ["a"], "val": []})
    report = check_dataset(root, workers=0)
    assert [str(p) for p in report.errors] == [f"{root}/ImageSets/Main/val.txt: the split is empty"]
    for splits, error in ((["test"], DataError), (["train[5]"], CallError)):
        with pytest.raises(error, match="no split 'test'|a part is written"):
            check_dataset(root, splits, workers=0)
    assert list(check_dataset(root, ["train", "train[:100%]"], workers=0).splits) == ["train", "train[:100%]"]


def test_nothing_that_can_be_used(tmp_path):
    model = ModelAnchors("m", (9, 9), [Level((1, 1), np.ones((3, 2)), (9, 9))])
    report = checked(tmp_path, {"a": xml([("cat", 1, 1, 900, 9)], size=(9, 9))}, model=model)
    assert report.splits["train"]["images"] == 0 and report.anchors["all"]["all"] is None
    assert [p.severity for p in report.problems] == ["error", "warning"]


def test_crowds_do_not_count_as_objects_of_a_size(tmp_path):
    from tests.data.formats.written import coco_table, write_coco

    table = coco_table()
    table["annotations"][0]["iscrowd"] = 1
    report = check_dataset(write_coco(tmp_path / "d", table=table), workers=0)
    assert report.splits["train2017"]["crowd"] == 1 and report.classes["ant"]["width"] is None


def test_blood_cells_have_two_degenerate_boxes():
    report = check_dataset(shared_path("data/bccd"), workers=0)
    assert report.errors == [] and report.repeated == ["trainval"]
    assert [(p.path.stem, p.kind) for p in report.warnings] == [
        ("BloodImage_00343", "degenerate box"),
        ("BloodImage_00338", "degenerate box"),
    ]
    assert {split: row["images"] for split, row in report.splits.items()} == {"train": 205, "val": 87, "test": 72}


def test_everyday_photos_have_nothing():
    assert check_dataset(shared_path("data/voc100"), workers=0).problems == []
