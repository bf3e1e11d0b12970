from pathlib import Path

import numpy as np
import pytest

from ssdzoo.data.record import Record
from ssdzoo.detections import Detections
from ssdzoo.metrics.mistakes import KINDS, Mistake, find_mistakes, worst


def record(boxes, ids, difficult=None):
    flags = np.zeros(len(ids), bool)
    hard = flags if difficult is None else np.array(difficult, bool)
    return Record(Path("x.jpg"), np.float32(boxes).reshape(-1, 4), np.int32(ids), hard, flags, 100, 1000)


def place(i, shift=0):
    return [100 * i + shift, 0, 100 * i + 50 + shift, 50]


def test_every_kind():
    objects = record([place(i) for i in range(6)], [0, 1, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1])
    # 0 is hit and hit again, 1 with the wrong class, 2 at a wrong place, 3 missed, 4 found but below the score, 5 ignored.
    found = Detections(
        [place(0), place(0, 5), place(1), place(2, 25), place(8), place(5), place(4)],
        [0.99, 0.9, 0.8, 0.7, 0.65, 0.6, 0.3], [0, 0, 0, 0, 1, 1, 1], ["a", "b"],
    )  # fmt: skip
    mistakes = find_mistakes(3, found, objects)
    assert [(m.kind, m.detection, m.object) for m in mistakes] == [
        ("duplicate", 1, 0), ("classification error", 2, 1), ("localization error", 3, 2), ("background", 4, None),
        ("missed", None, 3), ("missed", None, 4),
    ]  # fmt: skip
    assert [m.iou for m in mistakes] == pytest.approx([45 / 55, 1, 1 / 3, 0, 0, 0])
    assert [m.weight for m in mistakes] == pytest.approx([0.9, 0.8, 0.7, 0.65, 0.025, 0.025])
    assert {m.image for m in mistakes} == {3}
    assert [m.kind for m in find_mistakes(0, found, objects, score=0.2)].count("missed") == 1
    assert [m.kind for m in find_mistakes(0, found, objects, score=0.68, iou=0.3)] == ["duplicate", "classification error"] + [
        "missed"
    ] * 2


def test_images_without_objects_or_detections():
    assert find_mistakes(0, Detections.empty(["a"]), record([], [])) == []
    assert [m.kind for m in find_mistakes(0, Detections.empty(["a"]), record([place(0)], [0]))] == ["missed"]
    assert [m.kind for m in find_mistakes(0, Detections([place(0)], [0.9], [0], ["a"]), record([], []))] == ["background"]


def test_the_worst_of_all_kinds_are_chosen():
    def pile(kind, count):
        return [Mistake(kind, i, 0, 0, 0.0, weight=i / 10) for i in range(count)]

    chosen = worst(pile("missed", 9) + pile("classification error", 1) + pile("duplicate", 4), 7)
    assert [(m.kind, m.image) for m in chosen] == [
        ("missed", 8), ("missed", 7), ("missed", 6), ("classification error", 0), ("duplicate", 3), ("duplicate", 2),
        ("duplicate", 1),
    ]  # fmt: skip
    assert worst([], 7) == [] and len(worst(pile(KINDS[0], 9), 24)) == 9


def test_a_wrong_class_beside_a_right_detection_is_a_confusion():
    found = Detections([place(0), place(0, 2)], [0.9, 0.8], [0, 1], ["nine", "ten"])
    only = find_mistakes(0, found, record([place(0)], [0]))
    assert [(m.kind, m.detection, m.object) for m in only] == [("classification error", 1, 0)]
    far = Detections([place(0), place(0, 30)], [0.9, 0.8], [0, 1], ["nine", "ten"])
    assert [m.kind for m in find_mistakes(0, far, record([place(0)], [0]))] == ["background"]
