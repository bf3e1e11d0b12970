"""A training from its job to its run folder."""

import numpy as np
import pytest

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.model_source import resolve
from ssdzoo.preset import read_preset
from ssdzoo.train.failed_step import repeat_failed_step
from ssdzoo.train.run import COLUMNS
from tests.train.jobs import Steps, class_weights, rows, train


def test_a_run_folder(job, tmp_path):
    out, seen = tmp_path / "run", Steps()
    _, result = train(job(callbacks=[seen]))
    assert [(step.epoch, step.images) for step in seen.steps] == [(1, 4), (1, 4), (1, 3), (2, 4), (2, 4), (2, 3)]
    assert np.mean([step.box_loss for step in seen.steps[:3]]) == pytest.approx(result.rows[0]["box_loss"], abs=1e-5)
    assert {p.name for p in out.iterdir()} == {"args.toml", "best.params", "last", "metrics.csv", "model.toml", "report.html"}
    assert sorted(p.name for p in (out / "last").iterdir()) == ["0002.params", "0002.states", "state.json"]
    table = rows(out)
    assert [r["epoch"] for r in table] == ["1", "2"] and tuple(table[0]) == COLUMNS
    assert float(table[1]["loss"]) == pytest.approx(float(table[1]["cls_loss"]) + float(table[1]["box_loss"]), abs=1e-5)
    assert float(table[1]["loss"]) < float(table[0]["loss"])
    assert result.folder == out and [row["loss"] for row in result.rows] == [float(r["loss"]) for r in table]
    assert 0 <= float(table[1]["mAP"]) <= 1 and result.best_mAP == max(float(r["mAP"]) for r in table)
    preset = read_preset(out / "model.toml")
    assert preset.classes == ("circle", "cross", "square", "star", "triangle") and preset.base_size == (64, 64)
    net = resolve(out).network()
    assert net.classes == list(preset.classes)


def test_the_same_seed_gives_the_same_run_and_another_one_does_not(job, tmp_path):
    for out, seed, workers in (("a", 3, 0), ("b", 3, 1), ("c", 4, 0)):
        train(job(out=tmp_path / out, seed=seed, workers=workers))
    timeless = [
        [{k: v for k, v in r.items() if k not in ("images_per_s", "data_wait_s")} for r in rows(tmp_path / o)] for o in "abc"
    ]
    assert timeless[0] == timeless[1] != timeless[2]


def test_fine_tuning_from_a_run(job, tmp_path):
    train(job())
    progress, _ = train(job(weights=tmp_path / "run", out=tmp_path / "second", epochs=1, lr=1e-9))
    assert any("class weights kept from" in line and "circle, cross" in line for line in progress.lines)
    np.testing.assert_allclose(*(class_weights(tmp_path / f / "best.params") for f in ("run", "second")), atol=1e-5)


def test_the_last_epochs_are_kept(job, tmp_path):
    train(job(epochs=3, keep=2, eval_every=9))
    assert sorted(p.name for p in (tmp_path / "run" / "last").iterdir()) == [
        "0002.params",
        "0003.params",
        "0003.states",
        "state.json",
    ]


def test_patience_ends_the_training(job, tmp_path):
    progress, result = train(job(epochs=30, patience=2, lr=1e-12, optimizer="adam", weight_decay=0))
    scores = [float(r["mAP"]) for r in rows(tmp_path / "run")]
    best = int(np.argmax(scores))
    assert len(scores) == best + 3 < 30 and result.best_mAP == scores[best]
    assert "no better mAP in 2 evaluations" in progress.lines[-1]


def test_the_moving_average_is_evaluated_and_kept_as_the_best(job, tmp_path):
    train(job(ema=0.5, epochs=1, lr=0.01))
    averages = class_weights(tmp_path / "run" / "last" / "0001.ema")
    np.testing.assert_array_equal(class_weights(tmp_path / "run" / "best.params"), averages)
    assert np.abs(class_weights(tmp_path / "run" / "last" / "0001.params") - averages).max() > 1e-5


@pytest.mark.long
@pytest.mark.parametrize("setting", [{"tensorboard": True}, {"log_to": "tensorboard"}])
def test_tensorboard(job, tmp_path, setting):
    pytest.importorskip("tensorboardX", reason="needs the package tensorboardX")
    train(job(**setting, epochs=1))
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert all(name in events.read_bytes() for name in (b"cls_loss", b"box_loss", b"mAP"))


def test_a_loss_that_is_not_finite_stops_the_run_and_can_be_repeated(job, tmp_path):
    with pytest.raises(SSDZooError, match=r"not finite in epoch \d, step \d, at a learning rate of .*lower lr=.*train_0"):
        train(job(lr=1e12, epochs=5))
    again = repeat_failed_step(tmp_path / "run")
    assert not np.isfinite(again["class_loss"] + again["box_loss"]).all()
    assert len(again["paths"]) == len(again["class_loss"]) and again["paths"][0].endswith(".jpg")


def test_a_step_that_did_not_fail_cannot_be_repeated(job, tmp_path):
    train(job(epochs=1))
    with pytest.raises(CallError, match="no step of this run has failed"):
        repeat_failed_step(tmp_path / "run")
