"""What a quickstart does with what an earlier one left; none of its work is done here."""

import json

import pytest

from ssdzoo.demo import quickstart as Q
from ssdzoo.errors import CallError
from ssdzoo.progress import Silent


class Stopped(Exception):
    pass


def trainings(folder, monkeypatch, epochs=8):
    """(whether data were drawn, arguments of the training) of a quickstart in a folder that ends where it would train."""
    drawn, asked = [], []

    def train(*args, **kwargs):
        asked.append(kwargs)
        raise Stopped

    monkeypatch.setattr(Q, "write_shapes", lambda path: drawn.append(path) or path.mkdir(parents=True))
    monkeypatch.setattr(Q, "fine_tune", train)
    with pytest.raises(Stopped):
        Q.run_quickstart(folder, epochs, None, Silent())
    return bool(drawn), asked[0]["resume"]


@pytest.fixture
def stopped(tmp_path):
    """A folder in which a quickstart was stopped after 3 epochs."""
    for name in ("data", "run/last"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "quickstart.toml").write_text(Q.TABLE)
    (tmp_path / "run" / "model.toml").write_text(Q.TABLE)
    state = {"epoch": 3, "step": 0, "rows": [], "best_map": None, "sums": {}}
    (tmp_path / "run" / "last" / "state.json").write_text(json.dumps(state))
    return tmp_path


def test_a_stopped_quickstart_goes_on(stopped, monkeypatch):
    assert trainings(stopped, monkeypatch) == (False, True)


def test_one_goes_on_that_has_saved_nothing(stopped, monkeypatch):
    (stopped / "run" / "last" / "state.json").unlink()
    assert trainings(stopped, monkeypatch) == (False, True)


def test_others_start_over(stopped, tmp_path, monkeypatch):
    assert trainings(tmp_path / "new", monkeypatch) == (True, False)
    (tmp_path / "new").rename(tmp_path.parent / f"{tmp_path.name}-new")
    assert trainings(stopped, monkeypatch, epochs=2) == (True, False)  # it has more epochs than that


@pytest.mark.parametrize("name, content", [("quickstart.png", "x"), ("quickstart.toml", "another"), ("run/model.toml", None)])
def test_finished_and_other_quickstarts_start_over(name, content, stopped, monkeypatch):
    (stopped / name).unlink(missing_ok=True)
    if content:
        (stopped / name).write_text(content)
    assert trainings(stopped, monkeypatch) == (True, False)
    assert not (stopped / "run").exists()


def test_a_folder_with_something_else_is_left_alone(stopped):
    (stopped / "photos").mkdir()
    (stopped / "quickstart.png").touch()
    with pytest.raises(CallError, match="holds photos, which is not a quickstart's"):
        Q.run_quickstart(stopped, 8, None, Silent())
    assert (stopped / "run").is_dir()
