import json
from pathlib import Path

import numpy as np
import pytest

from ssdzoo.data.record import Dataset, Record
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.measure.evaluate import evaluate, evaluate_fully, name_classes
from ssdzoo.predict.detector import Detector
from ssdzoo.preset import Preset
from ssdzoo.progress import Silent

NAMES = ["cat", "dog", "owl"]


class Found:
    """A detector that has found `boxes`, `scores`, `ids` in each image."""

    def __init__(self, *images, post_nms=100):
        self.names, self._images = NAMES, [Detections(*image, NAMES) for image in images]
        self.max_detections = post_nms

    def stream(self, images, score):
        assert score == 0 and len(images) == len(self._images)
        return ((np.zeros((400, 400, 3), np.uint8), found) for found in self._images)


def record(boxes, ids, difficult=None, crowd=None):
    none = np.zeros(len(ids), bool)
    flags = (none if flag is None else np.array(flag, bool) for flag in (difficult, crowd))
    return Record(Path("x.jpg"), np.float32(boxes).reshape(-1, 4), np.array(ids, np.int32), *flags, 400, 400)


def example():
    """A cat that is found, with a second box on it, and a dog that is missed; a difficult cat and a crowd of dogs, both found; an
    image without objects where a cat is seen; one where nothing is and nothing is found."""
    small, large, far = [0, 0, 20, 20], [50, 50, 150, 150], [200, 200, 300, 300]
    detector = Found(
        ([small, [0, 0, 20, 18], far], [0.9, 0.7, 0.6], [0, 0, 0]),
        ([small, large], [0.5, 0.4], [0, 1]),
        ([far], [0.8], [0]),
        ([], [], []),
    )
    records = [
        record([small, large], [0, 1]),
        record([small, large], [0, 1], difficult=[1, 0], crowd=[0, 1]),
        record([], []),
        record([], []),
    ]
    return detector, Dataset(NAMES, records, [])


def test_everything_about_an_example():
    said = []

    class Counted(Silent):
        def images(self, results, count):
            said.append(count)
            return results

    evaluation = evaluate_fully(*example(), "voc12", Counted())
    summary = evaluation.summary
    assert said == [4]
    assert summary["AP"] == {"cat": 1, "dog": 0, "owl": None} and summary["mAP"] == 0.5
    assert summary["by_size"]["small"] == {"mAP": 1, "AP": {"cat": 1, "dog": None, "owl": None}}
    assert summary["by_size"]["medium"]["mAP"] is None and summary["by_size"]["large"]["AP"]["dog"] == 0
    best = {"score": pytest.approx(0.9), "f1": 1, "precision": 1, "recall": 1}
    assert summary["best_threshold"] == {"cat": best, "dog": None, "owl": None}
    counts = summary["counts"]
    assert (counts["images"], counts["images_without_objects"], counts["objects"]) == (4, 2, 2)
    assert (counts["difficult"], counts["crowd"], counts["detections"]) == (1, 1, 4)
    assert counts["by_class"]["cat"] == {"objects": 1, "detections": 4, "hits": 1}
    assert counts["by_size"]["large"] == {"cat": 0, "dog": 1, "owl": 0}
    assert summary["confusion"]["names"] == [*NAMES, "background"]
    assert summary["confusion"]["matrix"] == [[1, 0, 0, 0], [0, 0, 0, 1], [0] * 4, [3, 0, 0, 0]]
    assert summary["images_per_s"] > 0
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("post_nms, says", [(-1, False), (1, True), (2, False)])
def test_more_objects_than_detections(post_nms, says):
    lines = []

    class Said(Silent):
        def say(self, text):
            lines.append(text)

    boxes = [[0, 0, 9, 9], [20, 20, 40, 40], [0, 0, 90, 90]]
    crowded = Dataset(NAMES, [record(boxes, [0, 1, 2], crowd=[0, 0, 1])], [])
    evaluate_fully(Found(([], [], []), post_nms=post_nms), crowded, progress=Said())
    start = "  1 image has more than 1 objects, up to 2 in x.jpg, but the model gives at most 1 detections for an image: raise"
    assert [line.startswith(start) for line in lines] == [True] * says


def test_the_short_way_gives_the_same():
    for metric in ("voc07", "voc12", "coco"):
        short, full = evaluate(*example(), metric=metric), evaluate_fully(*example(), metric).summary
        assert short["mAP"] == full["mAP"]
        assert {k: None if v != v else v for k, v in short["AP"].items()} == full["AP"]


def test_cocos_numbers_come_along():
    summary = evaluate_fully(*example(), "coco", image_ids=[4, 3, 2, 1]).summary
    assert summary["metric"] == "coco" and len(summary["coco"]) == 12
    assert summary["coco"]["AP_small"] == pytest.approx(1) and summary["coco"]["AP_medium"] is None
    assert summary["AP50"] == {"cat": pytest.approx(1), "dog": 0, "owl": None}


def test_thresholds():
    box = [0, 0, 100, 100]
    detector, data = Found(([[0, 0, 100, 60]], [0.4], [0])), Dataset(NAMES, [record([box], [0])], [])
    assert evaluate(detector, data, iou=0.5)["mAP"] == 1 and evaluate(detector, data, iou=0.7)["mAP"] == 0
    at = {score: evaluate_fully(detector, data, score=score).summary["confusion"] for score in (0.3, 0.5)}
    assert at[0.3]["matrix"][0] == [1, 0, 0, 0] and at[0.5]["matrix"][0] == [0, 0, 0, 1]


def test_a_data_set_without_images_or_objects():
    summary = evaluate_fully(Found(), Dataset(NAMES, [], [])).summary
    assert summary["mAP"] is None and summary["images_per_s"] is None and summary["counts"]["images"] == 0


@pytest.mark.parametrize(
    "metric, message", [("voc7", "do you mean .voc07"), ("COCO", "do you mean .coco"), ("xyz", "there are voc07")]
)
def test_unknown_metrics(metric, message):
    for function in (evaluate, evaluate_fully):
        with pytest.raises(CallError, match=f"no metric '{metric}'.*{message}"):
            function(*example(), metric=metric)


def test_names_of_a_data_set_for_classes_without_names(tmp_path):
    """The user's detector keeps its own."""
    data, said = tmp_path / "data.csv", []
    data.write_text("image,xmin,ymin,xmax,ymax,label\na.png,1,1,9,9,owl\na.png,1,1,9,9,cat\n")
    progress = Silent()
    progress.say = said.append
    plain = Detector(None, Preset("x", "none", (64, 64), (), (), classes=("class 0", "class 1")))
    assert name_classes(plain, data, progress=progress).names == ["cat", "owl"] and plain.names == ["class 0", "class 1"]
    assert said == ["  the model does not name its classes: taken for those of the data, cat, owl"]
    named = plain.with_names(["red", "blue"])
    assert name_classes(named, data) is named
    with pytest.raises(CallError, match="has 2 classes, the model 3 without names: name them with classes="):
        name_classes(plain.with_names(["class 0", "class 1", "class 2"]), data)
