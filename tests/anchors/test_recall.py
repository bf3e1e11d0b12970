import numpy as np

from ssdzoo.anchors.levels import Level
from ssdzoo.anchors.objects import Objects, collect_objects
from ssdzoo.anchors.recall import SIDES, recall_by_size, recall_table
from ssdzoo.data.record import Record
from ssdzoo.metrics.sizes import SIZES
from tests.anchors.test_levels import random_boxes, slow_best

NAMES = ["ant", "bee", "cow"]
LEVELS = [Level((12, 20), np.array([[10.0, 12], [24, 20]]), (8, 8)), Level((3, 5), np.array([[50.0, 40]]), (32, 32))]


def record(boxes, ids, crowd=None, size=(96, 160)):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    no = np.zeros(len(boxes), bool)
    return Record("a.png", boxes, np.array(ids, np.int32), no, no if crowd is None else np.array(crowd, bool), *size)


def test_the_table_equals_a_loop():
    boxes = random_boxes(60, 96, 160, seed=1)
    ids = np.random.default_rng(2).integers(0, 2, 60)
    table = recall_table(Objects(boxes, ids, np.zeros(60, int)), NAMES, LEVELS)
    best = [[slow_best(box, level) for level in LEVELS] for box in boxes.astype(np.float64)]

    def row(chosen):
        found = [max(best[i]) for i in chosen]
        shares = {str(t): round(sum(v >= t for v in found) / len(found), 4) if found else None for t in (0.5, 0.6, 0.7)}
        return {"objects": len(found), **shares, "IoU": round(sum(found) / len(found), 4) if found else None}

    every = range(60)
    areas = [float(b[2] - b[0]) * float(b[3] - b[1]) for b in boxes]
    assert table["all"] == row(every)
    assert table["classes"] == {name: row([i for i in every if ids[i] == n]) for n, name in enumerate(NAMES)}
    assert table["classes"]["cow"] == {"objects": 0, "0.5": None, "0.6": None, "0.7": None, "IoU": None}
    for size, (least, most) in SIZES.items():
        assert table["sizes"][size] == row([i for i in every if least <= areas[i] < most])
        assert table["sizes"][size]["objects"] == sum(table["sides"][side]["objects"] for side in SIDES[size])
        for side, (low, high) in SIDES[size].items():
            assert table["sides"][side] == row([i for i in every if low**2 <= areas[i] < high**2])
    for k, level in enumerate(table["levels"]):
        mine = row([i for i in every if np.argmax(best[i]) == k])
        assert {key: level[key] for key in mine} == mine
    assert [(v["cells"], v["steps"], v["shapes"]) for v in table["levels"]] == [([12, 20], [8, 8], 2), ([3, 5], [32, 32], 1)]
    assert table["anchors"] == 12 * 20 * 2 + 15


def test_the_table_by_size_equals_a_loop():
    boxes = random_boxes(60, 96, 160, seed=3)
    ids = np.random.default_rng(4).integers(0, 2, 60)
    table = recall_by_size(Objects(boxes, ids, np.zeros(60, int)), NAMES, LEVELS)

    def shares(chosen):
        found = {}
        for size, (low, high) in {"all": (0, np.inf), **SIZES}.items():
            sized = [i for i in chosen if low <= (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1]) < high]
            ious = [max(slow_best(boxes[i].astype(np.float64), level) for level in LEVELS) for i in sized]
            found[size] = round(sum(v >= 0.5 for v in ious) / len(ious), 4) if ious else None
            if size == "all":
                mean = round(sum(ious) / len(ious), 4) if ious else None
        return {**found, "IoU": mean}

    assert table["all"] == shares(range(60)) and 0 < table["all"]["small"] < 1 and 0 < table["all"]["medium"] < 1
    assert table["classes"] == {name: shares([i for i in range(60) if ids[i] == n]) for n, name in enumerate(NAMES)}
    assert set(table["classes"]["cow"].values()) == {None}


def test_an_iou_at_the_threshold_counts():
    level = Level((1, 1), np.array([[20.0, 10]]), (10, 20))
    objects = Objects(
        np.float32([[0, 0, 10, 10], [0, 0, 12, 10], [0, 0, 14, 10], [0, 0, 9, 10]]), np.zeros(4, int), np.zeros(4, int)
    )
    row = recall_table(objects, ["a"], [level])["all"]
    assert (row["0.5"], row["0.6"], row["0.7"], row["IoU"]) == (0.75, 0.5, 0.25, 0.5625)
    assert recall_by_size(objects, ["a"], [level])["all"]["all"] == 0.75


def test_objects_are_stretched_to_the_input_and_crowds_left_out():
    records = [record([[16, 9.6, 32, 48], [0, 0, 9, 9]], [1, 0], [False, True]), record([], []), record([[0, 0, 160, 96]], [2])]
    objects = collect_objects(records, (300, 320))
    np.testing.assert_allclose(objects.boxes, [[32, 30, 64, 150], [0, 0, 320, 300]], rtol=1e-6)
    assert objects.class_ids.tolist() == [1, 2] and objects.images.tolist() == [0, 2]
    np.testing.assert_array_equal(collect_objects(records).boxes, [records[0].boxes[0], records[2].boxes[0]])
    assert collect_objects([], (300, 300)).boxes.shape == (0, 4)


def test_no_objects():
    table = recall_table(collect_objects([], (96, 160)), NAMES, LEVELS)
    assert table["all"] == {"objects": 0, "0.5": None, "0.6": None, "0.7": None, "IoU": None}
    assert [level["objects"] for level in table["levels"]] == [0, 0]
