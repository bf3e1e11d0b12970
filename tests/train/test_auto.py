"""`ssdzoo.fine_tune("auto", ...)`: what it says, writes and trains."""

import shlex
from dataclasses import replace

import numpy as np
import pytest

import ssdzoo
from ssdzoo.data import load_dataset
from ssdzoo.data.loading.class_balance import ClassBalance
from ssdzoo.errors import CallError, DataError, WeightsError
from ssdzoo.preset import read_preset, read_toml
from ssdzoo.runtime import mxnet
from ssdzoo.train.auto import plan_training
from ssdzoo.train.auto_timing import Timing, choose_epochs, epoch_count, time_training
from ssdzoo.train.mxnet.start import Place
from ssdzoo.train.settings import Arguments, Settings
from ssdzoo.train.trainer import TrainingData
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo as command
from tests.data.formats.voc_folder import write_voc, xml
from tests.train.jobs import Recorded, rows

mx = mxnet()
QUICK = Timing(start=1.0, image=0.1, val_image=0.05)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A parameter file of mobilenet0.25."""
    net = mx.gluon.model_zoo.vision.mobilenet0_25()
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 64, 64)))
    path = tmp_path_factory.mktemp("weights") / "base.params"
    net.save_parameters(str(path))
    return path


@pytest.fixture
def timed(monkeypatch):
    """The presets whose training was timed, which takes no time."""
    presets = []
    monkeypatch.setattr("ssdzoo.train.auto.time_training", lambda _, preset, *others: presets.append(preset.name) or QUICK)
    return presets


@pytest.fixture
def small(monkeypatch):
    """One backbone alone, because each of them is built to see whether a file fills it."""
    monkeypatch.setattr("ssdzoo.train.auto.BACKBONES", ("mobilenet0.25",))


def plan(data, out, minutes=1.0, **given):
    progress = Recorded()
    return plan_training({"data": data, "out": out, **given}, minutes, None, progress), progress.lines


def test_a_whole_training(data, tmp_path, backbone, small):
    out, progress = tmp_path / "run", Recorded()
    arguments = dict(base_weights=backbone, batch_size=2, epochs=1, workers=0)
    result = ssdzoo.fine_tune("auto", data, out, minutes=0.2, progress=progress, **arguments)
    assert len(result.rows) == 1 and result.best_epoch == 1 and result.best_mAP is not None
    table, run = read_preset(out / "auto.toml"), read_preset(out / "model.toml")
    assert table.backbone == "mobilenet0.25" and (out / "auto.toml").read_text().startswith("# chosen for ")
    assert table == run and run.name == "ssd_300_mobilenet0.25_s8_custom" and "circle" in run.classes
    said = read_toml(out / "args.toml")
    assert said["model"] == str(out / "auto.toml") and (said["epochs"], said["batch_size"]) == (1, 2)
    assert (said["augment"], said["schedule"], said["lr"]) == ("light", "cosine", 0.00125)
    assert any(line.startswith("  epochs=1: as given") for line in progress.lines)
    assert "minutes" not in "".join(progress.lines)  # they count for nothing with epochs
    assert f"backbone from {backbone}" in "".join(progress.lines)
    # The same command with resume goes on with what was chosen.
    progress = Recorded()
    again = ssdzoo.fine_tune("auto", data, out, minutes=0.2, resume=True, progress=progress, **{**arguments, "epochs": 2})
    assert len(again.rows) == 2 and len(rows(out)) == 2 and again.rows[0] == result.rows[0]
    assert "goes on with the model and the settings that were chosen" in progress.lines[0]
    with pytest.raises(CallError, match="holds a training already"):
        ssdzoo.fine_tune("auto", data, out, **arguments)


def test_what_is_chosen_and_said(data, tmp_path, backbone, timed, monkeypatch):
    monkeypatch.setattr("ssdzoo.train.auto._Plan.left", 59.0)
    chosen, lines = plan(data, tmp_path / "run", base_weights=backbone, seed=3)
    # 95 % of 59 seconds without the start are 55, of which ten evaluations of 4 images take 2; an epoch of 11 images takes 1.1.
    assert chosen["epochs"] == 48 and chosen["eval_every"] == 5
    assert chosen["batch_size"] == 8 and chosen["lr"] == 0.005 and chosen["seed"] == 3
    assert chosen["flip"] == "horizontal" and "val_split" not in chosen and timed[0] == "ssd_300_mobilenet0.25_s8_custom"
    for beginning in ("flip", "batch_size", "model", "anchors", "lr", "epochs", "eval_every"):
        (line,) = [line for line in lines if line.startswith(f"  {beginning}=")]
        assert len(line.split(": ", 1)[1]) > 20
    assert any(line.endswith("; choosing and training take about minutes=1") for line in lines)
    text = (tmp_path / "run" / "auto.toml").read_text()
    assert "# model=ssd_300_mobilenet0.25_s8_custom: the smaller objects have" in text
    Arguments.of(chosen)


def test_anchors_are_fitted_to_what_the_preset_misses(tmp_path, backbone, timed, small):
    wide = xml([("bar", 5, 35, 95, 45)])
    root = write_voc(tmp_path / "d", {f"i{n:02d}": wide for n in range(12)}, {"train": [f"i{n:02d}" for n in range(12)]})
    chosen, lines = plan(root, tmp_path / "run", base_weights=backbone)
    assert any("anchors=fitted" in line and "miss 100% of the objects of class bar" in line for line in lines)
    preset = read_preset(chosen["model"])
    assert isinstance(preset.sizes[0], tuple)
    # Held out, because there is no val: 2 of 12 images; one class is enough.
    assert chosen["val_split"] == "held-out" and any("2 images of train, 17%, are held out" in line for line in lines)
    assert read_preset(chosen["model"]).base_size == (300, 300)


def test_without_weights_it_says_so(data, tmp_path, timed, small):
    chosen, lines = plan(data, tmp_path / "run")
    assert chosen["base_weights"] == "none"
    assert any(line.startswith("  base_weights=none: no backbone has weights") for line in lines)
    assert any("augment=ssd, schedule=step" in line for line in lines)


def test_a_larger_backbone_where_there_is_time(data, tmp_path, monkeypatch, timed):
    monkeypatch.setattr("ssdzoo.train.auto.start_weights", lambda preset, which: f"backbone of {preset.backbone}")
    chosen, lines = plan(data, tmp_path / "much", minutes=60)
    assert read_preset(chosen["model"]).backbone == "mobilenet1.0" and timed[-1] == "ssd_300_mobilenet1.0_s8_custom"
    chosen, lines = plan(data, tmp_path / "little", minutes=1)
    assert read_preset(chosen["model"]).backbone == "mobilenet0.25"
    assert any("mobilenet1.0 would have about" in line and "backbone of mobilenet0.25" in line for line in lines)


def test_few_epochs_from_weights_before_many_from_random_ones(data, tmp_path, monkeypatch, timed):
    def start(preset, which):
        if preset.backbone != "mobilenet0.5":
            raise WeightsError(f"no weights of {preset.backbone}:\n  a server: not found\nname a file")
        return "weights"

    monkeypatch.setattr("ssdzoo.train.auto.start_weights", start)
    chosen, lines = plan(data, tmp_path / "run", minutes=1.2)
    assert read_preset(chosen["model"]).backbone == "mobilenet0.5" and "base_weights" not in chosen
    assert [line for line in lines if "a server" in line] == ["    a server: not found"]  # of mobilenet0.25, asked first


@pytest.mark.parametrize(
    "given, minutes, error, message",
    [
        ({}, 0.0, CallError, "minutes=0.0: expected a number above 0"),
        ({"weights": "run"}, 1, CallError, "weights= belongs to a model"),
        ({"kvstore": "dist_sync"}, 1, CallError, "auto times the training in one process"),
        ({"split": "best"}, 1, DataError, "no split 'best'"),
        ({"base_weights": "none.params"}, 1, WeightsError, "none.params: no such file"),
        ({"lr": -1.0}, 1, CallError, "lr=-1.0: expected a number above 0"),
        ({"epoch": 3}, 1, CallError, "no setting 'epoch'; do you mean 'epochs'"),
    ],
)
def test_wrong_calls(given, minutes, error, message, data, tmp_path):
    with pytest.raises(error, match=message):
        plan(data, tmp_path / "run", minutes, **given)
    assert not (tmp_path / "run").exists()


def test_a_file_of_another_backbone(data, tmp_path, timed, small):
    net = mx.gluon.model_zoo.vision.resnet18_v1()
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.save_parameters(str(tmp_path / "resnet.params"))
    with pytest.raises(WeightsError, match="not of this backbone.*auto knows the backbones mobilenet0.25"):
        plan(data, tmp_path / "run", base_weights=tmp_path / "resnet.params")


def test_nothing_to_learn(tmp_path):
    root = write_voc(tmp_path / "d", {f"i{n}": xml([]) for n in range(3)}, {"train": ["i0", "i1", "i2"]})
    with pytest.raises(DataError, match="no objects in its annotations"):
        plan(root, tmp_path / "run")


def test_minutes_are_for_auto(data, tmp_path):
    with pytest.raises(CallError, match="minutes= is for the model auto"):
        ssdzoo.fine_tune("ssd_300_mobilenet0.25_custom", data, tmp_path / "run", minutes=3)


def test_epochs_that_fit(data):
    both = TrainingData(load_dataset(data, "train"), load_dataset(data, "val"))  # 11 and 4 images
    alone = TrainingData(both.train)
    assert epoch_count(QUICK, 12.0, 11, 0) == 10
    assert epoch_count(replace(QUICK, shown=2.0), 12.0, 11, 0) == 5
    # 0.2 s an evaluation: five of them are 10 % of the ten seconds.
    assert epoch_count(QUICK, 11.0, 11, 4) == int((10 - 5 * 0.2) / 1.1) == 8
    epochs, every = choose_epochs(QUICK, 11.0, 1.0, both)
    assert (epochs.value, every.value) == (7, 2) and "10.0 images a second" in epochs.reason and "few" in epochs.reason
    assert choose_epochs(QUICK, 1e5, 1700.0, alone)[0].value == 200
    with pytest.raises(CallError, match=r"minutes=0.1 is too short for one epoch: 11 images at 10.0 a second take 1.1 s"):
        choose_epochs(QUICK, 1.5, 0.1, both)


def test_repeated_images_take_their_time(data):
    """What is timed loads the images as the training does."""
    train = load_dataset(data, "train")
    preset = find_preset("ssd_300_mobilenet0.25_custom").with_classes(train.names)
    settings = Settings(class_balance="sqrt:1", workers=0, batch_size=2).completed(preset)
    arguments = Arguments.of({"model": preset.name, "data": data, "out": "none", "class_balance": "sqrt:1"})
    timing = time_training(replace(arguments, settings=settings), preset, Place([mx.cpu()]), TrainingData(train), 0.0)
    shown = len(ClassBalance.of("sqrt:1").repeats(train)) / len(train)
    assert timing.shown == shown > 1 and timing.image > 0 and timing.val_image == 0


def again(err: str) -> list:
    """The words of the command that trains the same again."""
    (line,) = [line for line in err.splitlines() if line.startswith("the same without auto: ")]
    return shlex.split(line.removeprefix("the same without auto: "))


def test_the_command_names_all_that_was_chosen(data, tmp_path, backbone, timed, small, monkeypatch):
    calls = []
    monkeypatch.setattr("ssdzoo.train.fine_tune.fine_tune", lambda ctx, progress, **given: calls.append(given))
    monkeypatch.setattr("ssdzoo.cli.after_training.say_result", lambda *_: None)
    given = ("--base-weights", backbone, "--minutes", 3, "--no-freeze-norm", "--seed", 7)
    _, err = command("train", "auto", data, "--out", tmp_path / "a run", *given)
    words = again(err)
    assert words[:4] == ["ssdzoo", "train", f"{tmp_path}/a run/auto.toml", str(data)]
    command(*words[1:])
    assert "choosing and training take about --minutes 3" in err and "choosing and training took 0." in err
    first, second = (Arguments.of(call).as_toml() for call in calls)
    assert first.pop("out") + "-again" == second.pop("out") and first == second
    assert (first["seed"], first["lr"], first["flip"]) == (7, 0.005, "horizontal") and first["epochs"] > 100


@pytest.mark.long
def test_the_command_trains_the_same(data, tmp_path, backbone):
    out = tmp_path / "run"
    given = ("--base-weights", backbone, "--epochs", 1, "--batch-size", 4, "--workers", 0, "--minutes", 0.2)
    _, err = command("train", "auto", data, "--out", out, *given)
    command(*again(err)[1:])
    assert np.isclose(float(rows(out)[0]["loss"]), float(rows(f"{out}-again")[0]["loss"]), rtol=1e-5)


@pytest.mark.long
def test_with_torch(data, tmp_path, backbone, small):
    pytest.importorskip("torch", reason="needs the extra torch")
    given = dict(base_weights=backbone, engine="torch", batch_size=2, epochs=1, workers=0)
    result = ssdzoo.fine_tune("auto", data, tmp_path / "run", minutes=0.2, **given)
    assert len(result.rows) == 1 and (tmp_path / "run" / "heads.json").is_file()
