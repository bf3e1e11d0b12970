import json

import numpy as np
import pytest

from ssdzoo.detections import Detections
from ssdzoo.errors import CallError


def some():
    return Detections([[1, 2, 30.123, 40], [5, 6, 7, 8]], [0.9, 0.4], [1, 0], ["cat", "dog"])


def test_labels_and_threshold():
    found = some()
    assert len(found) == 2 and found.labels == ["dog", "cat"]
    assert found.above(0.5).labels == ["dog"] and found.above(0.95).boxes.shape == (0, 4)
    assert found.boxes.dtype == np.float32 and found.class_ids.dtype == np.int32


def test_a_mask_a_slice_and_indices_select():
    found = some()
    assert found[found.scores < 0.5].labels == found[1:].labels == found[[1]].labels == ["cat"]
    assert found[[1, 0]].scores.tolist() == found.scores[::-1].tolist() and found[:0].boxes.shape == (0, 4)
    np.testing.assert_array_equal(found[:1].boxes, found.boxes[:1])
    assert found[:1].names == found.names and [found[i].labels for i in range(2)] == [["dog"], ["cat"]]


def test_json():
    assert json.loads(json.dumps(some().to_list()))[0] == {
        "class": "dog",
        "class_id": 1,
        "score": 0.9,
        "box": [1.0, 2.0, 30.12, 40.0],
    }
    assert Detections.empty(["a"]).to_list() == []


@pytest.mark.parametrize("scores, ids", [([0.5], [0, 0]), ([0.5, 0.4], [0, 2]), ([0.5, 0.4], [-1, 0])])
def test_what_does_not_fit_is_refused(scores, ids):
    with pytest.raises(ValueError):
        Detections([[0, 0, 1, 1]] * 2, scores, ids, ["cat", "dog"])


@pytest.mark.parametrize(
    "boxes, scores, ids, message",
    [
        ([[0, 0, 1]], [0.5], [0], r"boxes must be \(N, 4\), got \(1, 3\)"),
        ([[0, 0, 1, np.nan]], [0.5], [0], "boxes must be finite, got nan"),
        ([[0, 0, 1, 1]], [np.inf], [0], "scores must be finite, got inf"),
        ([[0, 0, 1, 1]], [0.5], [0.5], "class ids must be whole numbers, got 0.5"),
    ],
)
def test_the_message_names_the_value(boxes, scores, ids, message):
    with pytest.raises(CallError, match=message):
        Detections(boxes, scores, ids, ["cat"])
