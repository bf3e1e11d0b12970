import numpy as np
import pytest

from ssdzoo.data.formats.box_checks import FAULTS, are_normalized, check_boxes

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("raw, box, kind", [
    ((10, 20, 30, 40), [10, 20, 30, 40], None),
    ((0, 0, 100, 80), [0, 0, 100, 80], None),
    ((-1, -1, 101, 81), [0, 0, 100, 80], None),  # by rounding, or by counting from 1
    ((10, 20, 11, 40), [10, 20, 11, 40], None),  # one pixel
    ((10, 20, 10.998, 40), None, None),  # one pixel of 1/500, with three digits
    ((10, 20, 10.5, 40), [10, 20, 10.5, 40], "tiny box"),
    ((99.5, 20, 101, 40), [99.5, 20, 100, 40], "tiny box"),  # what is left of it
    ((30, 20, 10, 40), [10, 20, 30, 40], "swapped corners"),
    ((10, 40, 30, 20), [10, 20, 30, 40], "swapped corners"),
    ((30, 40, 10, 20), [10, 20, 30, 40], "swapped corners"),
    ((10, 20, 10, 40), None, "degenerate box"),
    ((10, 20, 30, 20), None, "degenerate box"),
    ((-1, 20, 0, 40), None, "degenerate box"),  # left of the image
    ((101, 0, 102, 9), None, "box outside"),
    ((-2, 0, 9, 9), None, "box outside"),
    ((90, 9, -9, 0), None, "box outside"),
    ((0, 0, NAN, 9), None, "no box"),
    ((0, 0, INF, 9), None, "no box"),
    ((0, 0, 1e300, 9), None, "box outside"),
])  # fmt: skip
def test_what_is_wrong_with_a_box(raw, box, kind):
    boxes, faults = check_boxes(np.array([raw], np.float64), 80, 100)
    assert boxes.dtype == np.float32 and faults.dtype == np.int8
    assert (FAULTS[faults[0]].kind if faults[0] else None) == kind
    assert box is None or boxes.tolist() == [box]


def test_boxes_of_several_images_at_once():
    raw = np.array([[10, 20, 30, 40], [10, 20, 30, 40], [50, 5, 10, 9]], np.float64)
    boxes, faults = check_boxes(raw, np.array([80, 30, 80]), np.array([100, 100, 100]))
    assert [FAULTS[f].kind if f else None for f in faults.tolist()] == [None, "box outside", "swapped corners"]
    assert boxes[[0, 2]].tolist() == [[10, 20, 30, 40], [10, 5, 50, 9]]
    assert [part.shape for part in check_boxes(np.zeros((0, 4)), 80, 100)] == [(0, 4), (0,)]


@pytest.mark.parametrize("boxes, expected", [
    ([(0.1, 0.2, 0.5, 0.6), (0, 0, 1, 1)], True),
    ([(0, 0, 1, 1)], True),
    ([(0.5, 0.6, 0.1, 0.2)], True),  # corners in the wrong order
    ([(0.9, 0.5, 1.3, 1.0)], True),  # COCO's numbers are 0.9, 0.5, 0.4, 0.5: the center in the place of the corner
    ([(0.1, 0.2, 0.5, 0.6), (0.1, 0.2, 30, 0.6)], False),
    ([(1, 1, 2, 2)], False),
    ([(0, 0, 0, 0)], False),  # an empty box, as some write for an image without objects
    ([(NAN, 0, 1, 1)], False),
    ([], False),
])  # fmt: skip
def test_normalized_coordinates(boxes, expected):
    assert are_normalized(np.array(boxes, np.float64).reshape(-1, 4)) is expected
