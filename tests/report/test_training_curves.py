"""The picture of a training's curves."""

import cv2
import numpy as np
import pytest

from ssdzoo.report.training_curves import plot_training
from ssdzoo.train.trainer import TrainingResult


def row(epoch, score):
    return {"epoch": epoch, "lr": 0.01, "loss": 9 / epoch, "cls_loss": 6 / epoch, "box_loss": 3 / epoch, "mAP": score}


@pytest.mark.parametrize("scores", [[None, 0.2, None, 0.7, 0.7], [None, None], [0.0], [None]])
def test_every_training_has_a_picture(scores, tmp_path):
    rows = [row(i, score) for i, score in enumerate(scores, 1)]
    plot_training(tmp_path / "curves.png", rows)
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape == (320, 1050, 3)
    # Each panel has a line or a dot in a color of its own; the middle one only where something was evaluated.
    panels = [part.reshape(-1, 3).astype(int) for part in np.split(picture, 3, axis=1)]
    colored = [int(((part.max(axis=1) - part.min(axis=1)) > 60).sum()) for part in panels]
    assert colored[0] > 20 and colored[2] > 20 and (colored[1] > 20) == any(score is not None for score in scores)


@pytest.mark.parametrize(
    "scores, best, epoch", [([None, 0.2, 0.7, 0.7, 0.1], 0.7, 4), ([None, None], None, 2), ([0.5, 0.1], 0.5, 1)]
)
def test_the_best_epoch(scores, best, epoch, tmp_path):
    assert TrainingResult(tmp_path, [row(i, score) for i, score in enumerate(scores, 1)], best).best_epoch == epoch
