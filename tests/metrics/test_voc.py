import numpy as np
import pytest

from ssdzoo.boxes import iou
from ssdzoo.errors import CallError
from ssdzoo.metrics import VOCMeanAP
from tests.shared import shared_path

NAMES = ["a", "b", "c"]


def slow_ap(images, index, threshold, use_07, inclusive):
    """One class, as the devkit's text says, in loops. `images` holds the arguments of update."""
    detections, total = [], 0
    for number, (_, ids, scores, _, gt_ids, difficult) in enumerate(images):
        total += sum(1 for g, d in zip(gt_ids, difficult) if g == index and not d)
        detections += [(-scores[n], number, n) for n in range(len(ids)) if ids[n] == index]
    taken, outcome = set(), []
    for _, number, n in sorted(detections):
        boxes, _, _, gt_boxes, gt_ids, difficult = images[number]
        best, best_iou = None, -1.0
        for m in range(len(gt_ids)):
            if gt_ids[m] == index:
                overlap = iou(boxes[n : n + 1], gt_boxes[m : m + 1], inclusive)[0, 0]
                if overlap > best_iou:
                    best, best_iou = m, overlap
        if best is None or best_iou < threshold:
            outcome.append(0)
        elif not difficult[best]:
            outcome.append(0 if (number, best) in taken else 1)
            taken.add((number, best))
    if total == 0:
        return float("nan")
    points, hits = [], 0
    for k, hit in enumerate(outcome, 1):
        hits += hit
        points.append((hits / total, hits / k))
    if use_07:
        return sum(max([p for r, p in points if r >= t / 10 - 1e-12], default=0) for t in range(11)) / 11
    area, last = 0.0, 0.0
    for k, (recall, _) in enumerate(points):
        area += (recall - last) * max(p for _, p in points[k:])
        last = recall
    return area


def random_images(seed, count=12):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        n, m = rng.integers(0, 12), rng.integers(0, 6)
        corner = rng.integers(0, 40, (m, 2))
        gt = np.concatenate([corner, corner + rng.integers(10, 40, (m, 2))], 1).astype(np.float64)
        near = gt[rng.integers(0, m, n)] + rng.integers(-6, 7, (n, 4)) if m else rng.integers(0, 40, (n, 4)).astype(float)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 2)
        # No equal scores: their order is open.
        images.append((near, rng.integers(0, 3, n), rng.permutation(1000)[:n] / 1000 + len(images) * 1e-5,
                       gt, rng.integers(0, 2, m), rng.random(m) < 0.3))  # fmt: skip
    return images


@pytest.mark.parametrize("use_07", [True, False])
@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_average_precision_equals_a_loop(use_07, inclusive, threshold):
    for seed in range(4):
        images = random_images(seed)
        metric = VOCMeanAP(NAMES, threshold, use_07, inclusive)
        for image in images:
            metric.update(*image)
        value = metric.value()
        expected = [slow_ap(images, i, threshold, use_07, inclusive) for i in range(3)]
        np.testing.assert_allclose(list(value["AP"].values()), expected, atol=1e-9)
        assert value["mAP"] == pytest.approx(np.nanmean(expected))
        assert np.isnan(value["AP"]["c"])


def test_one_hit_one_duplicate_one_miss():
    metric = VOCMeanAP(["x"], use_07=False)
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]]
    metric.update(boxes, [0, 0, 0], [0.9, 0.8, 0.7], [[0, 0, 10, 10], [100, 100, 110, 110]], [0, 0])
    recall, precision, scores = metric.curve("x")
    assert recall.tolist() == [0.5, 0.5, 0.5]
    assert precision.tolist() == pytest.approx([1, 1 / 2, 1 / 3]) and scores.tolist() == [0.9, 0.8, 0.7]
    assert metric.value() == {"mAP": 0.5, "AP": {"x": 0.5}}


def test_difficult_objects_and_what_finds_them_count_for_nothing():
    metric = VOCMeanAP(["x"])
    metric.update([[0, 0, 9, 9], [20, 20, 29, 29]], [0, 0], [0.9, 0.8], [[0, 0, 9, 9], [20, 20, 29, 29]], [0, 0], [1, 0])
    assert metric.value()["mAP"] == 1
    metric.reset()
    assert np.isnan(metric.value()["mAP"])


def test_padding_is_ignored():
    metric = VOCMeanAP(["x"])
    metric.update([[0, 0, 9, 9], [-1] * 4], [0, -1], [0.9, -1], [[0, 0, 9, 9], [-1] * 4], [0.0, -1.0])
    assert metric.value()["mAP"] == 1


def test_objects_that_nobody_found():
    metric = VOCMeanAP(["x"])
    metric.update(np.zeros((0, 4)), [], [], [[0, 0, 9, 9]], [0])
    assert metric.value()["mAP"] == 0


@pytest.mark.parametrize(
    "pred_ids, pred_scores, gt_ids, message",
    [
        ([0, 0], [0.5], [0], "1 boxes, 2 ids and 1 scores"),
        ([3], [0.5], [0], "class id 3, but there are 3 names"),
        ([0], [np.nan], [0], "scores must be finite, got nan"),
        ([0], [0.5], [7], "objects: class id 7"),
    ],
)
def test_bad_arguments(pred_ids, pred_scores, gt_ids, message):
    with pytest.raises(CallError, match=message):
        VOCMeanAP(NAMES).update([[0, 0, 1, 1]], pred_ids, pred_scores, [[0, 0, 1, 1]], gt_ids)


@pytest.mark.parametrize(
    "threshold, eleven, area",
    [(0.1, 0.3333333333, 0.3371980676), (0.3, 0.2683982683, 0.2456866804), (0.5, 0.0303030303, 0.0222222222), (0.75, 0, 0)],
)
def test_published_answers_of_a_small_set(threshold, eleven, area):
    folder = shared_path("fixtures/voc_eval")

    def rows(path):
        values = np.array([[float(v) for v in line.split()[1:]] for line in path.read_text().splitlines()])
        values[:, -2:] += values[:, -4:-2]
        return values

    for use_07, expected in ((True, eleven), (False, area)):
        metric = VOCMeanAP(["object"], threshold, use_07, inclusive=True)
        for path in sorted((folder / "gts").glob("*.txt")):
            objects, found = rows(path), rows(folder / "dets" / path.name)
            metric.update(found[:, 1:], np.zeros(len(found)), found[:, 0], objects, np.zeros(len(objects)))
        assert metric.value()["mAP"] == pytest.approx(expected, abs=1e-9)


def test_published_answer_of_the_voc2007_test_set():
    data = np.load(shared_path("fixtures/voc07_eval.npz"))
    metric = VOCMeanAP([str(c) for c in data["classes"]], inclusive=True)
    objects, found = data["gt"], data["det"]
    for i in range(int(data["n"])):
        gt, det = objects[objects[:, 0] == i], found[found[:, 0] == i]
        metric.update(det[:, 3:7], det[:, 1], det[:, 2], gt[:, 2:6], gt[:, 1], gt[:, 6])
    value = metric.value()
    assert value["mAP"] == pytest.approx(0.5397437, abs=1e-6)
    np.testing.assert_allclose(list(value["AP"].values()), data["ap11"], atol=3e-6)


@pytest.mark.parametrize(
    "boxes, ids, message",
    [
        ([[0, 0, 1, np.nan]], [0], "boxes must be finite"),
        ([[0, 0, 1]], [0], r"boxes must be \(N, 4\), got \(1, 3\)"),
        ([[0, 0, 1, 1]], [0.5], "class id 0.5, but there are 2 names"),
        ([[0, 0, 1, 1]], [np.nan], "class id nan"),
    ],
)
def test_what_is_not_a_detection_is_refused(boxes, ids, message):
    with pytest.raises(CallError, match=message):
        VOCMeanAP(["a", "b"]).update(boxes, ids, [0.5], np.zeros((0, 4)), [])


def test_names_are_checked():
    with pytest.raises(CallError, match="'a' comes twice"):
        VOCMeanAP(["a", "b", "a"])
    with pytest.raises(CallError, match="no class 'c'; known are a, b"):
        VOCMeanAP(["a", "b"]).curve("c")
