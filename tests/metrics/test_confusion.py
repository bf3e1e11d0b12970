import numpy as np
import pytest

from ssdzoo.boxes import iou
from ssdzoo.errors import CallError
from ssdzoo.metrics import ConfusionMatrix
from tests.metrics.test_voc import NAMES, random_images


def slow_matrix(images, classes, score, threshold):
    """What the text says, in loops."""
    matrix = [[0] * (classes + 1) for _ in range(classes + 1)]
    for boxes, ids, scores, gt_boxes, gt_ids, difficult in images:
        order = [n for n in sorted(range(len(ids)), key=lambda n: -scores[n]) if scores[n] >= score]
        taken, partner = set(), {}
        for own_class in (True, False):
            for n in order:
                best, best_iou = None, threshold
                for m in range(len(gt_ids)):
                    if n in partner or m in taken or difficult[m] or (own_class and gt_ids[m] != ids[n]):
                        continue
                    overlap = iou(boxes[n : n + 1], gt_boxes[m : m + 1])[0, 0]
                    if overlap >= best_iou and (best is None or overlap > best_iou):
                        best, best_iou = m, overlap
                if best is not None:
                    taken.add(best)
                    partner[n] = best
        for n in order:
            if n in partner:
                matrix[gt_ids[partner[n]]][ids[n]] += 1
            elif not any(
                difficult[m] and iou(boxes[n : n + 1], gt_boxes[m : m + 1])[0, 0] >= threshold for m in range(len(gt_ids))
            ):
                matrix[classes][ids[n]] += 1
        for m in range(len(gt_ids)):
            if m not in taken and not difficult[m]:
                matrix[gt_ids[m]][classes] += 1
    return matrix


@pytest.mark.parametrize("score", [0.0, 0.4])
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_a_matrix_equals_a_loop(score, threshold):
    for seed in range(4):
        images = random_images(seed, count=20)
        matrix = ConfusionMatrix(NAMES, score, threshold)
        for image in images:
            matrix.update(*image)
        assert matrix.value().tolist() == slow_matrix(images, 3, score, threshold)


def test_every_kind_of_cell():
    """A hit, a wrong name, a miss, a detection of nothing, a second box on an object, one below the score, one on an object that
    counts for nothing."""
    places = np.array([[100 * i, 0, 100 * i + 50, 50] for i in range(7)], float)
    matrix = ConfusionMatrix(["a", "b"], score=0.5)
    matrix.update(
        places[[0, 1, 3, 0, 4, 5]], [0, 1, 1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.4, 0.9],
        places[[0, 1, 2, 4, 5]], [0, 0, 1, 0, 1], [0, 0, 0, 0, 1],
    )  # fmt: skip
    # rows and columns: a, b, background
    assert matrix.value().tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 0]]
    matrix.reset()
    assert matrix.value().sum() == 0 and matrix.value().shape == (3, 3)


def test_the_right_name_wins_over_the_better_score():
    matrix = ConfusionMatrix(["a", "b"])
    matrix.update([[0, 0, 50, 50], [0, 0, 50, 45]], [1, 0], [0.95, 0.9], [[0, 0, 50, 50]], [0])
    assert matrix.value().tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_padding_and_nothing():
    matrix = ConfusionMatrix(["a"])
    matrix.update([[-1] * 4], [-1], [-1], [[-1] * 4], [-1])
    matrix.update(np.zeros((0, 4)), [], [], np.zeros((0, 4)), [])
    assert matrix.value().tolist() == [[0, 0], [0, 0]]
    with pytest.raises(CallError, match="class id 4"):
        matrix.update([[0, 0, 1, 1]], [4], [0.9], [], [])
