"""Trainings with augmentations of the user's, and with class balance."""

import json

import numpy as np
import pytest

from ssdzoo.augmentation.named import augmentation_of
from ssdzoo.data.loading.augment.transform import Transform, is_import_path
from ssdzoo.errors import CallError, DataError
from ssdzoo.preset import check_preset, read_preset
from ssdzoo.toml_file import parse_toml, read_toml
from ssdzoo.train.fine_tune import fine_tune, resumed_arguments
from ssdzoo.train.settings import Arguments, Settings
from tests.command import ssdzoo
from tests.train.jobs import TABLE, Recorded, rows, train

TABLE_FILE = 'base = "light"\nmosaic = 0.5\nrotate90 = 0.5\n'


def darker(image, bboxes, class_ids):
    return {"image": image // 2, "bboxes": bboxes, "class_ids": class_ids}


def fails(image, bboxes, class_ids):
    raise KeyError("x")


PRESET = check_preset(parse_toml('name = "x"\n' + TABLE, "here"), "here")
OWN = check_preset(parse_toml('name = "x"\n' + TABLE + "[augment]\nflip = 0.5\n", "here"), "here")


@pytest.mark.parametrize(
    "given, preset, expected",
    [
        (None, PRESET, "light"), ("light", OWN, "light"), ("none", PRESET, "none"),
        (None, OWN, augmentation_of({"flip": 0.5}, "")),
        ({"base": "light"}, PRESET, augmentation_of({"base": "light"}, "")), (darker, OWN, Transform(darker)),
        (f"{__name__}:darker", PRESET, Transform(f"{__name__}:darker")),
    ],
)  # fmt: skip
def test_which_augmentation_is_meant(given, preset, expected):
    assert Settings(augment=given).completed(preset).augment == expected
    from_scratch = Settings(augment=given).completed(preset, from_scratch=True).augment
    assert from_scratch == ("ssd" if given is None and preset is PRESET else expected)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"augment": "lihgt"}, r"no augmentation 'lihgt'; there are ssd, light, none; do you mean 'light'\?"),
        ({"augment": {"flop": 0.5}}, r"augment: unknown operation 'flop'; do you mean 'flip'\?"),
        ({"augment": 0.5}, "no augmentation 0.5"),
        ({"augment": "missing.toml"}, "missing.toml: cannot be read as a table"),
        ({"class_balance": "sqr"}, "class_balance='sqr': expected sqrt, or sqrt:T"),
        ({"class_balance": 0.1}, "class_balance=0.1: expected a text"),
    ],
)
def test_impossible_settings(arguments, message):
    with pytest.raises(CallError, match=message):
        Settings(**arguments)


def test_what_cannot_be_imported_ends_before_a_run_begins(job, tmp_path):
    with pytest.raises(CallError, match="augment=nowhere.at.all:f: cannot be imported: ModuleNotFoundError"):
        train(job(augment="nowhere.at.all:f"))
    assert not (tmp_path / "run").exists()


class Stopped(Recorded):
    """Ends a training after its first epoch, as Ctrl-C does."""

    def epoch(self, row, epochs):
        raise KeyboardInterrupt


def test_a_run_keeps_its_table(job, tmp_path):
    """Its file may be gone when the training is resumed; the losses are those of one that was not stopped."""
    file, stopped = tmp_path / "mine.toml", Stopped()
    file.write_text(TABLE_FILE)
    whole, _ = train(job(augment=file, class_balance="sqrt", out=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        fine_tune(**job(augment=str(file), class_balance="sqrt"), progress=stopped)
    saved = read_toml(tmp_path / "run" / "args.toml")
    assert saved["augment"]["mosaic"]["probability"] == 0.5 and saved["augment"]["rotate90"] == {"probability": 0.5}
    assert saved["class_balance"] == "sqrt" and list(saved["augment"]) == ["mosaic", "crop", "colors", "mirror", "rotate90"]
    file.unlink()
    resumed, _ = train({"model": tmp_path / "table.toml", "data": job()["data"], "out": tmp_path / "run"}, resume=True)
    np.testing.assert_allclose(stopped.losses + resumed.losses, whole.losses, rtol=1e-5)
    assert sum("class balance, threshold" in line for line in whole.lines) == 1
    plain, _ = train(job(augment="light", epochs=1, out=tmp_path / "plain"))
    assert abs(plain.losses[0] - whole.losses[0]) > 0.01


def test_a_models_table_is_used_and_kept(job, tmp_path):
    (tmp_path / "own.toml").write_text(TABLE + "[augment]\n" + TABLE_FILE)
    _, result = train(job(model=tmp_path / "own.toml", epochs=1))
    assert read_preset(result.folder / "model.toml").augment == augmentation_of(parse_toml(TABLE_FILE, ""), "")
    assert read_toml(result.folder / "args.toml")["augment"]["mosaic"]["probability"] == 0.5


def test_code_is_not_started_by_a_run_folder(job, tmp_path):
    train(job(augment=darker, epochs=1))
    assert read_toml(tmp_path / "run" / "args.toml")["augment"] == f"{__name__}:darker"
    with pytest.raises(CallError, match=f"with code, augment={__name__}:darker, which no file starts: give it again"):
        resumed_arguments({"out": tmp_path / "run"})
    train(job(augment=f"{__name__}:darker"), resume=True)
    assert len(rows(tmp_path / "run")) == 2
    arguments = Arguments.of({"model": "m", "data": "d", "out": "o", "augment": lambda **a: a})
    assert is_import_path(arguments.as_toml()["augment"])


def test_an_error_in_code_names_the_image(job):
    with pytest.raises(DataError, match=rf"\.jpg: augment={__name__}:fails failed: KeyError: 'x'"):
        train(job(augment=fails))


def test_on_the_command_line(job, data, tmp_path):
    job()
    file, model = tmp_path / "mine.toml", tmp_path / "table.toml"
    call = ("train", model, data, "--base-weights", "none", "--epochs", 1, "--workers", 0)
    file.write_text("mosiac = 0.5\n")
    _, err = ssdzoo(*call, "--out", tmp_path / "r", "--augment", file, status=2)
    assert err.splitlines() == [f"ssdzoo: {file}: unknown operation 'mosiac'; do you mean 'mosaic'?"]
    for value in ("os:system", f"{__name__}:darker"):
        _, err = ssdzoo(*call, "--out", tmp_path / "r", "--augment", value, status=2)
        assert err.startswith(f"ssdzoo: --augment {value}: code is for `fine_tune` in Python") and len(err.splitlines()) == 1
        _, err = ssdzoo("check-data", data, "--show", 1, "--out", tmp_path, "--augment", value, status=2)
        assert f"--augment {value}: code is for `fine_tune` in Python" in err
    _, err = ssdzoo(*call, "--out", tmp_path / "r", "--class-balance", "log", status=2)
    assert err.startswith("ssdzoo: --class-balance 'log': expected sqrt, or sqrt:T with a part T")
    assert not (tmp_path / "r").exists()
    file.write_text(TABLE_FILE)
    _, shown = ssdzoo(*call, "--out", tmp_path / "r", "--augment", file, "--class-balance", "sqrt:0.9")
    assert "class balance, threshold 0.9" in shown


def test_samples_show_a_table(data, tmp_path):
    """The same one from a file and from the model's own table; no other."""
    (tmp_path / "mine.toml").write_text("mosaic = 1\n")
    (tmp_path / "own.toml").write_text(TABLE + "[augment]\nmosaic = 1\n")
    (tmp_path / "plain.toml").write_text(TABLE)
    call, pictures = ("check-data", data, "--workers", 0, "--show", 2), {}
    for name, model, augment in (
        ("file", "plain", ("--augment", tmp_path / "mine.toml")), ("own", "own", ()), ("default", "plain", ()),
        ("light", "own", ("--augment", "light")),
    ):  # fmt: skip
        out, _ = ssdzoo(*call, "--model", tmp_path / f"{model}.toml", *augment, "--out", tmp_path / name, "--json")
        pictures[name] = (tmp_path / name / "samples.png").read_bytes()
        assert json.loads(out)["picture"] == str(tmp_path / name / "samples.png")
    assert pictures["file"] == pictures["own"] != pictures["default"] == pictures["light"]
    (tmp_path / "mine.toml").write_text("mosaic = 2\n")
    _, err = ssdzoo(*call, "--out", tmp_path, "--augment", tmp_path / "mine.toml", status=2)
    assert "mine.toml: probability of mosaic is 2; expected a number from 0 to 1" in err
