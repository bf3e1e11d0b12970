import json

import numpy as np
import pytest

from ssdzoo.anchors.levels import Level
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.data.check.statistics import ModelAnchors
from ssdzoo.errors import CallError, DataError
from ssdzoo.progress import Silent
from tests.data.formats.voc_folder import write_voc, xml
from tests.data.formats.written import NAMES, OBJECTS, WRITERS, write
from tests.shared import BCCD, shared_path

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


def test_a_split_without_a_single_object(tmp_path):
    annotations = {"a": xml([CAT]), "b": xml([]), "c": xml([("cat", 5, 5, 5, 9)])}
    report = checked(tmp_path, annotations, {"train": ["a"], "val": ["b", "c"], "test": ["b"], "trainval": ["a", "b", "c"]})
    message = "split {!r}: its {} not a single object, and images without objects alone can be neither trained nor evaluated on"
    assert [(p.severity, p.message.split(":")[0:2]) for p in report.problems if p.kind == "no objects"] == [
        ("error", message.format("val", "2 images have").split(":")),
        ("warning", message.format("test", "only image has").split(":")),
    ]


def test_few_images(tmp_path):
    """Of three images without splits, train gets two, val one, and test none; a training does without val."""
    annotations = {"a": xml([CAT]), "b": xml([CAT]), "c": xml([CAT])}
    root = write_voc(tmp_path / "three", annotations)
    report = check_dataset(root, workers=0)
    assert {split: row["images"] for split, row in report.splits.items()} == {"train": 2, "val": 1} and report.errors == []
    assert [(p.kind, p.severity) for p in report.problems] == [("split", "warning")]
    assert "no images in split 'test': it is drawn from 3 images, which are too few" in report.problems[0].message
    only = next(iter(report.records["val"])).image.stem
    (root / "Annotations" / f"{only}.xml").write_text(xml([]))
    assert [(p.kind, p.severity) for p in check_dataset(root, workers=0).problems] == [
        ("split", "warning"),
        ("no objects", "warning"),
    ]
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, stems in {"train": "a\nb\nc", "test": ""}.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(stems)
    assert [(p.kind, p.severity) for p in check_dataset(root, workers=0).problems] == [("split", "warning")]


@pytest.mark.parametrize("post_nms, count", [(None, 100), (130, 130), (-1, 300)])
def test_more_objects_than_detections(post_nms, count, tmp_path):
    def boxes(number):
        return xml([("cat", 1 + n % 90, 1 + n % 70, 4 + n % 90, 3 + n % 70 + n // 630) for n in range(number)])

    level = Level((1, 1), np.array([[20.0, 20.0]]), (60, 40))
    model = ModelAnchors("m", (80, 100), [level], None, post_nms) if post_nms else None
    for folder, number in (("good", count), ("bad", count + 1)):
        root = write_voc(tmp_path / folder, {"a": boxes(3), "b": boxes(number)}, {"train": ["a", "b"]})
        found = told(check_dataset(root, workers=0, model=model), "many objects")
        assert len(found) == (folder == "bad" and post_nms != -1)
    if post_nms != -1:
        assert found[0][1].startswith(
            f"1 image has more than {count} objects, up to {count + 1} in {root}/JPEGImages/b.jpg, but "
            f"{'m' if model else 'a model'} gives at most {count} detections for an image: raise post_nms"
        )


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


def test_blood_cells_have_a_degenerate_box():
    report = check_dataset(BCCD, workers=0)
    assert report.errors == [] and report.repeated == []
    assert [(p.path.stem, p.kind) for p in report.warnings] == [("BloodImage_00338", "degenerate box")]
    assert {split: row["images"] for split, row in report.splits.items()} == {"train": 4, "val": 2, "test": 3}
    assert {split: row["objects"] for split, row in report.splits.items()} == {"train": 44, "val": 21, "test": 30}


def test_everyday_photos_have_nothing():
    assert check_dataset(shared_path("data/voc100"), workers=0).problems == []
