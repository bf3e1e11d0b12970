"""The options of `ssdzoo train`: those of Settings, each said once."""

from dataclasses import fields

import pytest
import typer
from typer.testing import CliRunner

from ssdzoo.cli.app import app
from ssdzoo.train.settings import Settings

TRAIN = typer.main.get_command(app).commands["train"]


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda f: f.name)
def test_an_option_is_its_setting(setting):
    option = next(p for p in TRAIN.params if p.name == setting.name)
    flag = "--" + setting.name.replace("_", "-")
    assert flag in option.opts and option.default == setting.default
    assert option.help == setting.metadata["help"] and option.help.endswith(".")
    if isinstance(setting.default, bool):
        assert option.secondary_opts == [flag.replace("--", "--no-", 1)]


def test_every_choice_is_shown_and_the_help_fits_a_terminal():
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"})
    lines = shown.output.splitlines()
    assert shown.exit_code == 0 and max(map(len, lines)) <= 100
    for setting in fields(Settings):
        for choice in setting.metadata.get("choices", ()):
            assert choice in shown.output
    assert "0.001 for a VGG without batch norm" in shown.output and "the model's: focal on FPNs" in shown.output
    panels = [line.split("─ ")[1].split(" ─")[0] for line in lines if line.startswith("╭")]
    assert panels == [
        "Arguments", "Options", "Data", "Weights to start from", "Optimizer", "Loss", "Saving and reporting",
    ]  # fmt: skip


def test_only_what_is_said_is_passed_on(tmp_path, monkeypatch):
    """So that a run that is resumed keeps the rest."""
    passed = {}
    monkeypatch.setattr("ssdzoo.train.fine_tune.fine_tune", lambda **arguments: passed.update(arguments))
    monkeypatch.setattr("ssdzoo.cli.after_training.say_result", lambda *_: None)
    call = ["train", "model", str(tmp_path), "--out", str(tmp_path / "run"), "--lr", "0.1", "--no-freeze-norm", "--resume"]
    result = CliRunner().invoke(app, call, catch_exceptions=False)
    assert result.exit_code == 0
    assert passed.pop("ctx") is None and passed.pop("progress")
    assert passed == {
        "model": "model", "data": tmp_path, "out": tmp_path / "run", "lr": 0.1, "freeze_norm": False, "resume": True,
    }  # fmt: skip
