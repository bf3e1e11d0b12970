import json
import subprocess
import sys

import numpy as np
import pytest

from ssdzoo.boxes import area, iou
from ssdzoo.errors import CallError
from ssdzoo.metrics import COCOMetrics
from tests.metrics.test_voc import voc2007
from tests.shared import shared_path

BOX = [0, 0, 100, 100]


def corners(annotations):
    boxes = np.array([a["bbox"] for a in annotations], float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@pytest.mark.parametrize("reverse", [False, True])
def test_published_answers_of_100_coco_images(reverse):
    folder = shared_path("fixtures/coco_eval")
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    ids = {category["id"]: i for i, category in enumerate(truth["categories"])}
    metric = COCOMetrics([category["name"] for category in truth["categories"]])
    for image in truth["images"][:: -1 if reverse else 1]:
        objects = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        found = [a for a in results if a["image_id"] == image["id"]]
        metric.update(
            corners(found), [ids[a["category_id"]] for a in found], [a["score"] for a in found],
            corners(objects), [ids[a["category_id"]] for a in objects], None, [a["iscrowd"] for a in objects],
            [a["area"] for a in objects], image["id"],
        )  # fmt: skip
    value = metric.value()
    expected = {
        "AP": 0.5045807, "AP50": 0.6969727, "AP75": 0.5729817, "AP_small": 0.5856257, "AP_medium": 0.5193997,
        "AP_large": 0.5013979, "AR1": 0.3868128, "AR10": 0.5936796, "AR100": 0.5953530, "AR_small": 0.6398110,
        "AR_medium": 0.5664206, "AR_large": 0.5642906,
    }  # fmt: skip
    assert value["coco"] == pytest.approx(expected, abs=1e-7)
    known = [v for v in value["AP"].values() if v == v]
    assert value["mAP"] == value["coco"]["AP"] == pytest.approx(np.mean(known)) and len(known) < 80
    assert np.nanmean(list(value["AP50"].values())) == pytest.approx(expected["AP50"], abs=1e-7)


def test_a_box_of_iou_072_is_a_hit_at_five_of_ten_thresholds():
    metric = COCOMetrics(["x", "y", "z"])
    metric.update([[0, 0, 100, 72], BOX], [0, 1], [0.9, 0.8], [BOX, BOX], [0, 1])
    value = metric.value()
    assert value["AP"]["x"] == pytest.approx(0.5) and value["AP"]["y"] == pytest.approx(1)
    assert np.isnan(value["AP"]["z"]) and value["mAP"] == pytest.approx(0.75)
    numbers = value["coco"]
    assert (numbers["AP50"], numbers["AP75"], numbers["AP_large"]) == pytest.approx((1, 0.5, 0.75))
    assert np.isnan(numbers["AP_small"]) and np.isnan(numbers["AR_medium"])


@pytest.mark.parametrize("kind", ["difficult", "crowd"])
def test_what_lies_in_an_ignored_object_counts_for_nothing(kind):
    flags = {"difficult": ([1, 0], None), "crowd": (None, [1, 0])}[kind]
    inside, outside = [[10, 10, 30, 30], [40, 40, 60, 60]], [[500, 0, 600, 100]]
    metric = COCOMetrics(["x"])
    metric.update(inside + [[200, 0, 300, 100]], [0, 0, 0], [0.9, 0.8, 0.7], [BOX, [200, 0, 300, 100]], [0, 0], *flags)
    assert metric.value()["mAP"] == pytest.approx(1)
    metric.reset()
    metric.update(outside + [[200, 0, 300, 100]], [0, 0], [0.9, 0.7], [BOX, [200, 0, 300, 100]], [0, 0], *flags)
    assert metric.value()["mAP"] == pytest.approx(0.5)


def test_areas_decide_the_size():
    metric = COCOMetrics(["x"])
    metric.update([BOX], [0], [0.9], [BOX, [-1] * 4], [0, -1], gt_areas=[900, -1])
    numbers = metric.value()["coco"]
    assert numbers["AP_small"] == pytest.approx(1) and np.isnan(numbers["AP_large"])
    with pytest.raises(CallError, match="1 boxes and 3 areas"):
        metric.update([BOX], [0], [0.9], [BOX], [0], gt_areas=[1, 2, 3])


def test_nothing_at_all():
    metric = COCOMetrics(["x"])
    assert np.isnan(metric.value()["mAP"])
    metric.update(np.zeros((0, 4)), [], [], np.zeros((0, 4)), [])
    assert np.isnan(metric.value()["mAP"])
    metric.update(np.zeros((0, 4)), [], [], [BOX], [0])
    assert metric.value()["mAP"] == 0
    metric.reset()
    metric.update([BOX], [0], [0.5], np.zeros((0, 4)), [])
    assert np.isnan(metric.value()["AP"]["x"])


def test_bad_arguments():
    metric = COCOMetrics(["x"])
    metric.update([BOX], [0], [0.5], [BOX], [0], image_id=7)
    with pytest.raises(CallError, match="image_id 7 comes twice"):
        metric.update([BOX], [0], [0.5], [BOX], [0], image_id=7)
    with pytest.raises(CallError, match="class id 1, but there are 1 names"):
        metric.update([BOX], [1], [0.5], [BOX], [0])
    with pytest.raises(CallError, match="'x' comes twice"):
        COCOMetrics(["x", "x"])


def slow_ap50(images, index):
    """COCO's AP at IoU 0.5 of one class, in loops; difficult objects are crowds."""
    found, total = [], 0
    for boxes, ids, scores, gt_boxes, gt_ids, difficult in images:
        free = [m for m in range(len(gt_ids)) if gt_ids[m] == index and not difficult[m]]
        crowds = [m for m in range(len(gt_ids)) if gt_ids[m] == index and difficult[m]]
        total += len(free)
        for n in sorted((n for n in range(len(ids)) if ids[n] == index), key=lambda n: -scores[n])[:100]:
            overlaps = iou(boxes[n : n + 1], gt_boxes)[0]
            best = max(free, key=lambda m: overlaps[m], default=None)
            if best is not None and overlaps[best] >= 0.5:
                free.remove(best)
                found.append((scores[n], 1))
                continue
            sides = [np.minimum(boxes[n, 2:], gt_boxes[m, 2:]) - np.maximum(boxes[n, :2], gt_boxes[m, :2]) for m in crowds]
            if not any(side.min() > 0 and side.prod() >= 0.5 * area(boxes[n : n + 1])[0] for side in sides):
                found.append((scores[n], 0))
    hits = np.cumsum([hit for _, hit in sorted(found, key=lambda pair: -pair[0])])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / total
    return np.mean([max(precision[recall >= r], default=0) for r in np.linspace(0, 1, 101)])


def test_a_part_of_the_voc2007_test_set_equals_a_loop():
    images, names, _, _ = voc2007()
    metric = COCOMetrics(names)
    for image in images[::50]:
        metric.update(*image)
    expected = [slow_ap50(images[::50], index) for index in range(len(names))]
    np.testing.assert_allclose(list(metric.value()["AP50"].values()), expected, atol=1e-9)
    assert 0.4 < np.mean(expected) < 0.7


def test_metrics_work_without_mxnet():
    code = """
import sys
sys.modules["mxnet"] = None
from ssdzoo.metrics import COCOMetrics, ConfusionMatrix, VOCMeanAP
for kind in (COCOMetrics, VOCMeanAP, ConfusionMatrix):
    metric = kind(["x"])
    metric.update([[0, 0, 9, 9]], [0], [0.9], [[0, 0, 9, 9]], [0])
    print(metric.value())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "" and "'AP': {'x': 1.0}" in result.stdout
