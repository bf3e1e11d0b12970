"""How many threads a training uses beside other programs."""

import math

import pytest

import ssdzoo
from ssdzoo.progress import Printed
from ssdzoo.toml_file import read_toml
from tests.train.jobs import TABLE


@pytest.fixture
def fine_tune(data, tmp_path, monkeypatch):
    """Trains where that many cores are free; returns the threads that were set."""
    table, used = tmp_path / "table.toml", []
    table.write_text(TABLE)
    monkeypatch.setattr("ssdzoo.train.mxnet.start.set_threads", used.append)
    monkeypatch.setattr("ssdzoo.train.threads.cores", lambda: 2)

    def run(free, **settings):
        monkeypatch.setattr("ssdzoo.train.threads.free_threads", lambda: free)
        settings |= {"batch_size": 4, "workers": 0, "split": "train[:40%]", "val_split": "none", "base_weights": "none"}
        ssdzoo.fine_tune(table, data, tmp_path / "run", progress=Printed(every=math.inf), **settings)
        return used.pop(), read_toml(tmp_path / "run" / "args.toml").get("threads")

    return run


def test_a_run_goes_on_with_the_threads_that_were_free_at_its_start(fine_tune, capsys):
    line = "1 thread on 2 cores, because other programs use the rest (threads=)"
    assert fine_tune(1, epochs=1) == (1, 1) and line in capsys.readouterr().out.splitlines()
    assert fine_tune(2, epochs=2, resume=True) == (1, 1) and line not in capsys.readouterr().out.splitlines()
    assert fine_tune(2, epochs=3, resume=True, threads=2)[0] == 2


def test_threads_that_are_asked_for(fine_tune, capsys):
    assert fine_tune(1, epochs=1, threads=2) == (2, 2) and "other programs" not in capsys.readouterr().out


def test_threads_that_the_user_has_set_elsewhere_stay(fine_tune):
    assert fine_tune(None, epochs=1) == (None, None)
