"""Training and evaluation as Python users call them, without the command line."""

import math
import subprocess
import sys

import pytest

import ssdzoo
from ssdzoo.data import load_dataset
from ssdzoo.errors import CallError
from ssdzoo.progress import Printed
from ssdzoo.runtime import mxnet
from ssdzoo.toml_file import read_toml
from tests.train.jobs import TABLE


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("python") / "table.toml"
    path.write_text(TABLE)
    return path


def test_a_training_and_its_evaluation(table, data, tmp_path, capfd):
    arguments = dict(model=str(table), data=str(data), out=str(tmp_path / "run"), base_weights="none")
    result = ssdzoo.fine_tune(**arguments, split="train[:80%]", epochs=1, batch_size=4, workers=0, ctx=mxnet().cpu(0))
    assert capfd.readouterr() == ("", "")  # nothing is shown unless asked for
    assert result.folder == tmp_path / "run" and [row["epoch"] for row in result.rows] == [1]
    assert 0 <= result.best_mAP == result.rows[-1]["mAP"] <= 1

    result = ssdzoo.fine_tune(**arguments, epochs=2, resume=True, progress=Printed(every=math.inf))
    printed, errors = capfd.readouterr()
    lines = printed.splitlines()
    assert errors == "" and lines[0] == f"{data}, split train[:80%]: 9 images, {lines[0].split()[-2]} objects"
    assert lines[1].startswith(f"{data}, split val: 4 images") and "continued from" in lines[2]
    assert lines[3].startswith("epoch 2/2  lr ") and "mAP" in lines[3] and len(lines) == 4
    saved = read_toml(tmp_path / "run" / "args.toml")
    assert [row["epoch"] for row in result.rows] == [1, 2] and saved["batch_size"] == 4 and saved["split"] == "train[:80%]"

    best = ssdzoo.evaluate(result.folder, data, "val")
    assert best["mAP"] == pytest.approx(result.best_mAP, abs=1e-6) and capfd.readouterr() == ("", "")
    detector = ssdzoo.load(result.folder)
    test = load_dataset(data, "test", detector.names)
    one, other = ssdzoo.evaluate(detector, data, progress=Printed(every=0)), ssdzoo.evaluate(detector, test)
    assert repr(one) == repr(other) and set(one["AP"]) == set(detector.names)
    # They are loaded, then evaluated.
    assert capfd.readouterr().out.splitlines() == 2 * [f"{i}/4 images" for i in (1, 2, 3, 4)]
    assert len(ssdzoo.evaluate(detector, data, metric="coco")["coco"]) == 12


def test_printed_lines(capsys):
    row = {"loss": 3.5, "cls_loss": 2.0, "box_loss": 1.5, "images_per_s": 12.34, "data_wait_s": 0.5, "lr": 0.005, "epoch": 1}
    often, rarely = Printed(every=0), Printed(every=math.inf)
    for progress in (often, rarely):
        progress.step(0, 2, 10, row)
        progress.epoch({**row, "mAP": None}, 4)
    assert list(often.images("ab", 2)) == list(rarely.images("ab", 2)) == ["a", "b"]
    end = "epoch 1/4  lr 0.005  loss 3.500 (class 2.000, box 1.500)  12.3 images/s"
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1  step 3/10  loss 3.500  12.3 images/s  waited 0.5 s", end, end, "1/2 images", "2/2 images",
    ]  # fmt: skip
    often.quiet()
    often.say("x")
    often.epoch({**row, "mAP": 0.5}, 4)
    assert capsys.readouterr().out == ""


def test_the_time_before_images_does_not_count(monkeypatch, capsys):
    now = iter([0.0, 100.0, 105.0, 116.0, 117.0])  # when it is made, when the images begin, and at each of three images
    monkeypatch.setattr("ssdzoo.progress.time.perf_counter", lambda: next(now))
    assert list(Printed(every=15).images("abc", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out.splitlines() == ["2/3 images"]


def test_wrong_calls(table, data, tmp_path):
    with pytest.raises(CallError, match="no setting 'learning_rate'"):
        ssdzoo.fine_tune(table, data, tmp_path / "run", learning_rate=0.1)
    with pytest.raises(CallError, match="lr=0: expected a number above 0"):
        ssdzoo.fine_tune(table, data, tmp_path / "run", lr=0)
    with pytest.raises(CallError, match=r"nothing to resume"):
        ssdzoo.fine_tune(table, data, tmp_path / "run", resume=True)
    with pytest.raises(CallError, match="no model 'nothing'"):
        ssdzoo.evaluate("nothing", data)
    assert not (tmp_path / "run").exists()


def test_the_trainer_needs_no_framework():
    """It drives whatever engine it is given, and the help of `ssdzoo train` appears at once."""
    code = (
        "import sys; sys.modules['mxnet'] = None; import ssdzoo.train.trainer, ssdzoo.train.settings, ssdzoo.cli.app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(ssdzoo.cli.app.app, ['train', '--help']).exit_code == 0"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
