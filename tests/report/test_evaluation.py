import json
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssdzoo.data.record import Dataset, Record
from ssdzoo.detections import Detections
from ssdzoo.measure.evaluate import evaluate_fully
from ssdzoo.report import plots
from ssdzoo.report.coco_results import coco_ids
from ssdzoo.report.evaluation import as_text, write_evaluation
from ssdzoo.report.pictures import PALETTE
from ssdzoo.report.plots import _free_place, most_confused, plot_confusion, plot_curves


class Random:
    """A detector that finds most objects of a random data set of `count` images, with noise."""

    def __init__(self, folder, classes, count=6, seed=0):
        rng = np.random.default_rng(seed)
        self.names, self.preset = [f"class {i}" for i in range(classes)], SimpleNamespace(post_nms=100)
        self.max_detections = 100
        self.found, records = [], []
        for i in range(count):
            path = folder / f"{i:03d}.png"
            cv2.imwrite(str(path), np.full((240, 320, 3), 200, np.uint8))
            corner = rng.integers(0, 160, (8, 2))
            boxes = np.concatenate([corner, corner + rng.integers(20, 80, (8, 2))], 1).astype(np.float32)
            ids = rng.integers(0, max(1, classes), 8).astype(np.int32)
            flags = rng.random(8) < 0.1
            records.append(Record(path, boxes, ids, flags, flags & False, 240, 320))
            scores = np.sort(rng.random(8).astype(np.float32))[::-1]
            self.found.append(Detections(boxes + rng.normal(size=(8, 4)) * 4, scores, ids, self.names))
        self.data = Dataset(self.names, records, [])

    def stream(self, images, score):
        return ((cv2.imread(str(image)), found) for image, found in zip(images, self.found))


def written(path):
    image = cv2.imread(str(path))[..., ::-1]
    assert (image.min(axis=2) < 100).sum() > 100  # letters
    return image


@pytest.mark.parametrize("classes", [1, 3, 20, pytest.param(80, marks=pytest.mark.long)])
def test_plots_of_any_number_of_classes(classes, tmp_path):
    detector = Random(tmp_path, classes)
    evaluation = evaluate_fully(detector, detector.data)
    plot_curves(tmp_path / "pr.png", evaluation)
    plot_confusion(tmp_path / "confusion.png", evaluation)
    curves, confusion = written(tmp_path / "pr.png"), written(tmp_path / "confusion.png")
    for color in PALETTE[: min(classes, 3)]:
        assert (np.abs(curves.astype(int) - color).max(axis=2) < 8).sum() > 30
    assert max(curves.shape) < 2800 and max(confusion.shape) < 2800
    assert curves.shape[1] > 1.2 * curves.shape[0] or classes == 1
    # The diagonal is the darkest blue of a good detector.
    blue = (confusion[..., 2].astype(int) - confusion[..., 0] > 60).sum()
    assert blue > 50 * classes


def test_plots_of_nothing(tmp_path):
    detector = Random(tmp_path, 2, count=0)
    evaluation = evaluate_fully(detector, detector.data)
    plot_curves(tmp_path / "pr.png", evaluation)
    plot_confusion(tmp_path / "confusion.png", evaluation)
    written(tmp_path / "pr.png")
    written(tmp_path / "confusion.png")


def test_names_of_any_kind(tmp_path, recwarn):
    detector = Random(tmp_path, 3)
    detector.names[:] = ["from $5 to $9 \\frac", "赤血球", "a name that is much longer than its panel is wide"]
    evaluation = evaluate_fully(detector, detector.data)
    plot_curves(tmp_path / "pr.png", evaluation)
    plot_confusion(tmp_path / "confusion.png", evaluation)
    assert written(tmp_path / "pr.png").shape[1] < 1200 and written(tmp_path / "confusion.png").shape[1] < 1200
    assert not recwarn.list


def test_plots_leave_pyplot_alone():
    code = "import sys, ssdzoo.report.evaluation; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_folder(tmp_path):
    detector = Random(tmp_path, 3)
    evaluation = evaluate_fully(detector, detector.data)
    out = tmp_path / "out"
    (out / "mistakes").mkdir(parents=True)
    (out / "mistakes" / "24-missed-cat-old.jpg").write_text("")
    (out / "mistakes" / "notes.txt").write_text("")
    about = {"model": "m", "data": "d", "split": "test"}
    whole = write_evaluation(out, evaluation, about)
    assert json.loads((out / "eval.json").read_text()) == whole
    assert {**whole, **about} == whole and whole["mAP"] == evaluation.summary["mAP"] and "numpy" in whole["versions"]
    assert whole["files"] == ["report.html", "eval.json", "pr.png", "confusion.png", "mistakes.png"]
    assert {p.name for p in out.iterdir()} == {*whole["files"], "mistakes"}
    assert 0 < len(whole["mistakes"]) <= 24
    assert {p.name for p in (out / "mistakes").iterdir()} == {m["picture"].split("/")[1] for m in whole["mistakes"]} | {
        "notes.txt"
    }
    first = whole["mistakes"][0]
    assert first["kind"] == "missed" and first["found_as"] is None and first["picture"].startswith("mistakes/01-missed-class_")
    rows = (len(whole["mistakes"]) + 3) // 4
    assert cv2.imread(str(out / "mistakes.png")).shape[1] == 4 * 486 + 6 and rows > 1


def test_a_mistake_is_drawn_where_it_is(tmp_path):
    """A classification error: the object in green, the detection in red, on the part of the photo that contains both."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((1200, 1600, 3), 128, np.uint8))
    truth = np.float32([[1000, 600, 1200, 760]])
    record = Record(path, truth, np.int32([1]), np.zeros(1, bool), np.zeros(1, bool), 1200, 1600)
    detector = Random(tmp_path, 2, count=0)
    detector.found = [Detections(truth + [-10, -10, 10, 10], [0.9], [0], detector.names)]
    whole = write_evaluation(tmp_path / "out", evaluate_fully(detector, Dataset(detector.names, [record], [])), {})
    (mistake,) = whole["mistakes"]
    picture = cv2.imread(str(tmp_path / "out" / mistake.pop("picture")))[..., ::-1].astype(int)
    assert mistake == {
        "kind": "classification error", "image": str(path), "class": "class 1", "found_as": "class 0",
        "score": pytest.approx(0.9), "iou": pytest.approx(200 * 160 / (220 * 180), abs=1e-4),
    }  # fmt: skip
    # 2.5 times the height of both boxes, 450 pixels, are 360 here. Red is what is more red than green.
    redness = picture[..., 0] - picture[..., 1]
    for colored, width in ((redness < -50, 200), (redness > 50, 220)):
        _, columns = np.nonzero(colored)
        assert np.ptp(columns) == pytest.approx(width * 360 / 450, abs=5)


def test_a_detector_without_mistakes(tmp_path):
    detector = Random(tmp_path, 2)
    detector.found = [Detections(r.boxes, np.ones(len(r.boxes)), r.class_ids, detector.names) for r in detector.data.records]
    whole = write_evaluation(tmp_path / "out", evaluate_fully(detector, detector.data), {})
    assert whole["mistakes"] == [] and whole["mAP"] == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["confusion.png", "eval.json", "pr.png", "report.html"]


def test_coco_files_give_the_same_numbers_elsewhere(tmp_path):
    from faster_coco_eval import COCO, COCOeval_faster

    detector = Random(tmp_path, 3)
    evaluation = evaluate_fully(detector, detector.data, "coco")
    write_evaluation(tmp_path / "out", evaluation, {}, coco_ids(tmp_path, "test", detector.data))
    truth = COCO(str(tmp_path / "out" / "coco_annotations.json"))
    other = COCOeval_faster(truth, truth.loadRes(str(tmp_path / "out" / "coco_results.json")), iouType="bbox")
    other.run()
    ours = [-1 if v is None else v for v in evaluation.summary["coco"].values()]
    np.testing.assert_allclose(ours, other.stats, atol=1e-9)
    assert evaluation.summary["mAP"] > 0.2
    assert truth.imgs[2] == {"id": 2, "file_name": "001.png", "height": 240, "width": 320}
    assert {i: c["name"] for i, c in truth.cats.items()} == {1: "class 0", 2: "class 1", 3: "class 2"}
    first = json.loads((tmp_path / "out" / "coco_results.json").read_text())[0]
    box, found = first["bbox"], detector.found[0]
    np.testing.assert_allclose([box[0], box[1], box[0] + box[2], box[1] + box[3]], found.boxes[0], rtol=1e-6)
    assert np.float32(first["score"]) == found.scores[0] and first["category_id"] == found.class_ids[0] + 1


@pytest.mark.parametrize("place", ["instances.json", "annotations/instances_val.json", "val/_annotations.coco.json"])
def test_ids_come_from_the_json_of_the_data(place, tmp_path):
    detector = Random(tmp_path, 2, count=3)
    path = tmp_path / "data" / place
    path.parent.mkdir(parents=True)
    data = path if place == "instances.json" else tmp_path / "data"

    def ids(file_names, categories=(("class 1", 7), ("class 0", 90)), data=data):
        images = [{"id": 100 + i, "file_name": name} for i, name in enumerate(file_names)]
        path.write_text(json.dumps({"images": images, "categories": [{"id": i, "name": name} for name, i in categories]}))
        return coco_ids(data, "val", detector.data)

    counted = [1, 2, 3], [1, 2]
    assert ids(["002.png", "000.png", f"{tmp_path.name}/001.png"]) == ([101, 102, 100], [90, 7])
    assert ids(["002.png", "000.png"]) == counted  # an image is missing
    assert ids(["002.png", "000.png", "001.png"], [("class 0", "a"), ("class 1", 2)]) == counted
    assert ids(["002.png", "000.png", "001.png"], [("class 0", 2), ("class 1", 2)]) == counted
    assert ids(["002.png", "000.png", "001.png"], data=[data]) == ([101, 102, 100], [90, 7])
    assert ids(["002.png", "000.png", "001.png"], data=[data, tmp_path]) == counted
    assert coco_ids(tmp_path, "val", detector.data) == counted


def test_lists_of_numbers_take_one_line():
    text = as_text({"matrix": [[1, 20], [-3, 4.5e-07]], "names": ["a", "b, [1, 2]"], "empty": [], "none": [None]})
    assert ' "matrix": [\n  [1, 20],\n  [-3, 4.5e-07]\n ]' in text
    assert json.loads(text) == {"matrix": [[1, 20], [-3, 4.5e-07]], "names": ["a", "b, [1, 2]"], "empty": [], "none": [None]}


def test_of_many_classes_the_most_confused_are_shown(tmp_path, monkeypatch):
    """Class 4 is taken for class 1 twice, and 5 for 0 once; class 2 is missed nine times, and class 3 is right."""
    matrix = np.zeros((7, 7), int)
    matrix[4, 1], matrix[5, 0], matrix[2, 6], matrix[3, 3] = 2, 1, 9, 50
    assert most_confused(matrix, 6).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert most_confused(matrix, 5).tolist() == [0, 1, 2, 4, 5, 6]
    assert most_confused(matrix, 2).tolist() == [1, 4, 6]
    monkeypatch.setattr(plots, "CONFUSED", 3)
    monkeypatch.setattr(plots, "PANELS", 2)
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda self, text, **kwargs: titles.append(text))
    monkeypatch.setattr(Figure, "text", lambda self, x, y, text, **kwargs: titles.append(text))
    detector = Random(tmp_path, 9)
    evaluation = evaluate_fully(detector, detector.data)
    for name, plot in (("confusion", plot_confusion), ("pr", plot_curves)):
        plot(tmp_path / f"{name}.png", evaluation)
    assert "the 3 most confused of 9 classes (eval.json has all)" in titles
    assert any("the 2 of 9 classes with the most objects" in title for title in titles)


def test_the_numbers_are_written_before_the_pictures(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("ssdzoo.report.evaluation.plot_confusion", fail)
    detector = Random(tmp_path, 2)
    evaluation = evaluate_fully(detector, detector.data)
    with pytest.raises(MemoryError):
        write_evaluation(tmp_path / "out", evaluation, {}, coco_ids(tmp_path, "test", detector.data))
    found = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert found["mAP"] == evaluation.summary["mAP"]
    assert found["files"] == ["eval.json", "coco_results.json", "coco_annotations.json"]


@pytest.mark.parametrize("curve", [
    [(0, 100), (100, 0)], [(0, 100), (50, 60)], [(0, 99), (100, 99)], [(0, 20), (100, 10)], [(30, 100), (30, 40), (90, 40)],
])  # fmt: skip
@pytest.mark.parametrize("at", [0, 0.5, 1])
def test_the_score_beside_the_best_point_covers_no_curve(curve, at):
    curve, extent = np.array(curve, float), np.array([40, 10.0])
    point = curve[0] + at * (curve[1] - curve[0])
    center = _free_place(point, np.array([[0, 0], [102, 103.0]]), curve, extent)
    assert (np.abs(center - [51, 51.5]) <= [51 - 20, 51.5 - 5]).all()
    along = np.concatenate([np.linspace(a, b, 500) for a, b in pairwise(curve)])
    assert not (np.abs(along - center) < extent / 2).all(1).any()
