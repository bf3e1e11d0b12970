"""What a training starts from when nothing, a file, or a name is given."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.runtime import mxnet
from ssdzoo.toml_file import read_toml
from ssdzoo.train.mxnet import starting_weights
from ssdzoo.weights import write_params
from tests.command import ssdzoo as command
from tests.train.jobs import Recorded, train

mx = mxnet()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine without weights; the folder of the published ones."""
    for variable in ("MXNET_HOME", "TORCH_HOME", "HF_HOME", "KERAS_HOME", "SSDZOO_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path / "MXNET_HOME" / "models"


@pytest.fixture
def default_job(job):
    """The arguments of a training that says nothing of its backbone."""
    return {k: v for k, v in job(epochs=1, lr=1e-9).items() if k != "base_weights"}


def write_backbone(path, tmp_path) -> np.ndarray:
    """Writes the weights of a random mobilenet0.25, and returns those of its first convolution."""
    mx.random.seed(3)
    net = ssdzoo.get_model(str(tmp_path / "table.toml"), classes=["a"])
    net.initialize(mx.init.Xavier())
    arrays = {k: p.data().asnumpy() for k, p in net.features.backbone_parameters.items() if p._data is not None}
    write_params(path, arrays)
    return arrays["features.0.weight"]


def first_convolution(run) -> np.ndarray:
    (found,) = (array for name, array in mx.nd.load(str(run / "best.params")).items() if name.endswith("mobilenet0_conv0_weight"))
    return found.asnumpy()


def test_by_default_from_the_published_file_of_the_backbone(default_job, home, tmp_path):
    expected = write_backbone(home / "mobilenet0.25.params", tmp_path)
    progress, result = train(default_job)
    assert progress.lines[-1].endswith(f"; backbone from {home}/mobilenet0.25.params")
    np.testing.assert_allclose(first_convolution(result.folder), expected, atol=1e-5)
    assert "base_weights" not in read_toml(result.folder / "args.toml")


def test_no_training_begins_with_noise_unasked(default_job, home, tmp_path):
    progress = Recorded()
    with pytest.raises(WeightsError) as error:
        ssdzoo.fine_tune(**default_job, progress=progress)
    assert progress.lines == [] and not (tmp_path / "run").exists()  # nor are the images read before
    lines = str(error.value).splitlines()
    assert lines[0] == "no weights of mobilenet0.25:"
    assert lines[1] == f"  {home}: no mobilenet0.25-*.params; no mobilenet_2_5_224_tf_no_top.h5"
    assert lines[-1].endswith("; to start from random weights: base_weights=none")
    arguments = [default_job[k] for k in ("model", "data")]
    _, shown = command("train", *arguments, "--out", tmp_path / "run", status=1)
    assert shown.rstrip().endswith("to start from random weights: --base-weights none")


def test_random_weights_and_weights_of_a_detector(default_job, home, tmp_path):
    progress, result = train({**default_job, "base_weights": "none"})
    assert progress.lines[-1].endswith("; random weights, as asked for; trained ones learn faster")
    assert read_toml(result.folder / "args.toml")["base_weights"] == "none"
    progress, _ = train({**default_job, "out": tmp_path / "second", "weights": result.folder})
    assert "class weights kept from" in progress.lines[-1]


def test_a_backbone_that_nobody_publishes(default_job, home, monkeypatch):
    monkeypatch.setattr(starting_weights, "sources_of", lambda name: [])
    progress, _ = train(default_job)
    assert progress.lines[-1].endswith("; random weights, because nobody publishes weights of mobilenet0.25")


def test_a_file_by_the_name_that_the_table_has(default_job, home, monkeypatch):
    called = []
    monkeypatch.setattr(starting_weights, "load_published_backbone", lambda net, *arguments: called.append(arguments))
    with pytest.raises(AttributeError):  # the stand-in returns nothing
        train({**default_job, "base_weights": "mobilenet_2_5_224_tf_no_top.h5"})
    assert called[0][:2] == ("mobilenet0.25", "mobilenet_2_5_224_tf_no_top.h5")
