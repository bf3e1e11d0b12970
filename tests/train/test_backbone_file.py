"""What is refused as base_weights= before the data are read."""

import numpy as np
import pytest

from ssdzoo.errors import WeightsError
from ssdzoo.formats.params_file import write_params
from ssdzoo.train.backbone_file import check_backbone_file
from ssdzoo.train.fine_tune import fine_tune


def test_what_is_no_file_of_a_backbone(tmp_path):
    write_params(tmp_path / "detector.params", {"class_predictors.0.predictor.weight": np.zeros((2, 2))})
    write_params(tmp_path / "base.params", {"features.0.weight": np.zeros((2, 2))})
    check_backbone_file(tmp_path / "base.params")
    with pytest.raises(WeightsError, match="base_weights=.*none.pth: no such file"):
        check_backbone_file(tmp_path / "none.pth")
    for detector in (tmp_path / "detector.params", tmp_path):
        with pytest.raises(WeightsError, match="holds a whole detector and not a backbone: start from it with weights="):
            check_backbone_file(detector)


def test_it_is_said_before_the_data_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdzoo.train.fine_tune.class_names", lambda *_: ["a"])
    monkeypatch.setattr("ssdzoo.train.fine_tune.load_training_data", lambda *_: pytest.fail("the data were read"))
    with pytest.raises(WeightsError, match="no such file"):
        fine_tune("ssd_300_mobilenet0.25_custom", tmp_path / "data", tmp_path / "run", base_weights=tmp_path / "none.params")
