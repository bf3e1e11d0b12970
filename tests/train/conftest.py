"""A small job that the tests of whole trainings change."""

import pytest

from ssdzoo.demo.shapes import write_shapes
from ssdzoo.train.fine_tune import TrainingJob
from tests.train.jobs import TABLE


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder of 11 drawn images to train on, 4 for each of the other splits; only to be read."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data", 11, 4, 4)


@pytest.fixture
def job(data, tmp_path):
    """A function that makes a job, with some arguments changed."""
    (tmp_path / "table.toml").write_text(TABLE)
    usual = dict(model=str(tmp_path / "table.toml"), data=data, out=tmp_path / "run", epochs=2, batch_size=4, workers=0)
    return lambda **changes: TrainingJob.of(**{**usual, "eval_every": 1, **changes})
