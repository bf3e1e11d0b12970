"""The arguments of a small training, which the tests of whole trainings change."""

import pytest

from ssdzoo.demo.shapes import write_shapes
from tests.train.jobs import TABLE


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder of 11 drawn images to train on, 4 for each of the other splits; only to be read."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data", 11, 4, 4)


@pytest.fixture
def job(data, tmp_path):
    """A function that gives the arguments of `ssdzoo.fine_tune`, with some of them changed."""
    (tmp_path / "table.toml").write_text(TABLE)
    usual = dict(
        model=tmp_path / "table.toml", data=data, out=tmp_path / "run", epochs=2, batch_size=4, workers=0, base_weights="none"
    )
    return lambda **changes: {**usual, "eval_every": 1, **changes}
