"""What a training refuses, and with which words."""

import pytest

from ssdzoo.errors import CallError, SSDZooError, WeightsError
from ssdzoo.train.fine_tune import resumed_arguments
from ssdzoo.train.settings import Arguments, Settings
from tests.train.jobs import train


def test_a_run_is_not_overwritten_and_not_resumed_where_there_is_none(job, tmp_path):
    with pytest.raises(CallError, match="nothing to resume"):
        train(job(), resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.toml").write_text("x")
    with pytest.raises(CallError, match="holds a training already"):
        train(job())
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["model.toml"]


def test_a_folder_of_something_else_is_not_written_to(job, tmp_path):
    (tmp_path / "run" / "JPEGImages").mkdir(parents=True)
    with pytest.raises(CallError, match="run holds something else, such as JPEGImages/: choose a new folder"):
        train(job())
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["JPEGImages"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"epoch": "x", "step": 0}', "\x00"])
def test_a_damaged_state_is_reported(job, tmp_path, text):
    train(job(epochs=1))
    (tmp_path / "run" / "last" / "state.json").write_text(text)
    with pytest.raises(SSDZooError, match=r"state.json: damaged .* start another one from its weights="):
        train(job(), resume=True)


def test_damaged_arguments_are_reported(tmp_path):
    (tmp_path / "args.toml").write_text('model = "ssd_')
    with pytest.raises(CallError, match=r"args.toml: not a TOML file"):
        resumed_arguments({"out": tmp_path})
    for text in (
        "",
        'model = "m"\ndata = "d"\nepoch = 3\n',
        'model = "m"\ndata = 5\n',
        'model = "m"\ndata = "d"\nepochs = "3"\n',
    ):
        (tmp_path / "args.toml").write_text(text)
        with pytest.raises(CallError, match=r"args.toml: not the arguments of a training .* start from scratch"):
            resumed_arguments({"out": tmp_path})


@pytest.mark.parametrize("name, value, expected", [
    ("data", 5, "a path"), ("weights", ["x"], "a path"), ("model", 3, "a text"), ("cache", 4.5, "a path"),
    ("epochs", "3", "a whole number"), ("epochs", True, "a whole number"), ("lr", "fast", "a number"),
    ("amp", 1, "true or false"),
])  # fmt: skip
def test_a_value_of_another_type_is_refused(name, value, expected):
    with pytest.raises(CallError, match=f"{name}=.*: expected {expected}"):
        Arguments.of({"model": "m", "data": "d", "out": "o", name: value})


def test_a_path_that_args_toml_cannot_hold_is_refused():
    assert Arguments.of({"model": "m", "data": "d", "out": "größe ✓"}).as_toml()["out"] == "größe ✓"
    with pytest.raises(CallError, match=r"out=run\\udcff: not UTF-8"):
        Arguments.of({"model": "m", "data": "d", "out": "run\udcff"})


def test_bad_weights_leave_no_run_behind(job, tmp_path):
    bad = tmp_path / "bad.params"
    bad.write_bytes(b"no parameters")
    for field in ("weights", "base_weights"):
        with pytest.raises(WeightsError, match=r"bad\.params"):
            train(job(**{field: bad}))
        assert not (tmp_path / "run").exists()
    with pytest.raises(CallError, match="give one of them"):
        train(job(weights=bad, base_weights=bad))


def test_half_precision_is_refused_on_cpus(job, tmp_path):
    with pytest.raises(CallError, match="amp=True needs GPUs"):
        train(job(amp=True))
    assert not (tmp_path / "run").exists()


def test_a_distributed_store_needs_launch(job):
    with pytest.raises(CallError, match="ssdzoo launch"):
        train(job(kvstore="dist_sync"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"optimizer": "sdg"}, "optimizer=sdg: there are sgd, adam; do you mean 'sgd'"),
        ({"box_loss": "iou"}, "box_loss=iou: there are smooth_l1, giou, diou"),
        ({"epochs": 0}, "epochs=0: expected 1 or more"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"ema": 1.0}, "ema=1.0: expected 0 or more and less than 1"),
        ({"lr": float("nan")}, "lr=nan: expected a number above 0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
    ],
)
def test_impossible_settings(arguments, message):
    with pytest.raises(CallError, match=message):
        Settings(**arguments)


def test_a_misspelled_setting(job, tmp_path):
    with pytest.raises(CallError, match="no setting 'epoch'; do you mean 'epochs'?"):
        train(job(epoch=3))
    assert not (tmp_path / "run").exists()
