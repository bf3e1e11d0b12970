import csv

import numpy as np
import pytest

import ssdzoo
from ssdzoo.data import load_dataset
from ssdzoo.data.shapes import write_shapes
from ssdzoo.errors import CallError, SSDZooError, WeightsError
from ssdzoo.registry import check_preset, read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.train.job import TrainingJob, run_job
from ssdzoo.train.loop import Settings, Trainer
from ssdzoo.train.run import COLUMNS, Run

mx = mxnet()

TABLE = """
backbone = "mobilenet0.25"
base_size = 64
features = ["relu10_fwd", "relu22_fwd"]
filters = [32]
sizes = [12, 24, 40, 60]
ratios = [[1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5]]
"""


class Silent:
    def __init__(self):
        self.lines, self.losses = [], []

    def say(self, text):
        self.lines.append(text)

    def step(self, epoch, step, steps, row):
        self.losses.append(row["loss"])

    def epoch(self, row, epochs):
        pass

    def images(self, results, count):
        return results


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data", 11, 4, 4)


@pytest.fixture
def job(data, tmp_path):
    (tmp_path / "table.toml").write_text(TABLE)
    return TrainingJob(str(tmp_path / "table.toml"), data, tmp_path / "run", epochs=2, batch_size=4, workers=0, eval_every=1)


def rows(folder):
    with open(folder / "metrics.csv") as file:
        return list(csv.DictReader(file))


def test_a_run_folder(job):
    result = run_job(job, [mx.cpu(0)], Silent())
    assert {p.name for p in job.out.iterdir()} == {"args.toml", "best.params", "last", "metrics.csv", "model.toml"}
    assert sorted(p.name for p in (job.out / "last").iterdir()) == ["0002.params", "0002.states", "state.json"]
    table = rows(job.out)
    assert [r["epoch"] for r in table] == ["1", "2"] and tuple(table[0]) == COLUMNS
    assert float(table[1]["loss"]) == pytest.approx(float(table[1]["cls_loss"]) + float(table[1]["box_loss"]), abs=1e-5)
    assert float(table[1]["loss"]) < float(table[0]["loss"])
    assert 0 <= float(table[1]["mAP"]) <= 1 and result["best_mAP"] == max(float(r["mAP"]) for r in table)
    preset = read_preset(job.out / "model.toml")
    assert preset.classes == ("circle", "cross", "square", "star", "triangle") and preset.base_size == (64, 64)
    net, _ = ssdzoo.predict.load.load_network(job.out)
    assert net.classes == list(preset.classes)


def test_the_same_seed_gives_the_same_losses_and_another_one_does_not(job, tmp_path):
    losses = []
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        job.out, job.seed, job.epochs = tmp_path / out, seed, 1
        progress = Silent()
        run_job(job, [mx.cpu(0)], progress)
        losses.append(progress.losses)
    assert losses[0] == losses[1] != losses[2]


def test_resuming_continues_as_if_nothing_had_happened(job, tmp_path):
    job.epochs = 3
    job.out = tmp_path / "whole"
    run_job(job, [mx.cpu(0)], Silent())
    job.out = tmp_path / "parts"
    trained = Trainer._train_epoch

    def die_in_the_third(self):
        if self.epoch == 2:
            raise KeyboardInterrupt
        return trained(self)

    Trainer._train_epoch = die_in_the_third
    try:
        with pytest.raises(KeyboardInterrupt):
            run_job(job, [mx.cpu(0)], Silent())
    finally:
        Trainer._train_epoch = trained
    assert len(rows(job.out)) == 2
    run_job(job, [mx.cpu(0)], Silent(), resume=True)
    for whole, part in zip(rows(tmp_path / "whole"), rows(job.out), strict=True):
        for column in ("epoch", "lr", "loss", "cls_loss", "box_loss", "mAP"):
            assert float(whole[column]) == pytest.approx(float(part[column]), rel=1e-6)


def test_a_run_is_not_overwritten_and_not_resumed_where_there_is_none(job):
    with pytest.raises(CallError, match="nothing to resume"):
        run_job(job, [mx.cpu(0)], Silent(), resume=True)
    job.out.mkdir()
    (job.out / "model.toml").write_text("x")
    with pytest.raises(CallError, match="holds a training already"):
        run_job(job, [mx.cpu(0)], Silent())
    assert [p.name for p in job.out.iterdir()] == ["model.toml"]


def test_a_loss_that_is_not_finite_stops_the_run(job):
    job.lr, job.epochs = 1e12, 5
    with pytest.raises(SSDZooError, match=r"not finite in epoch \d at a learning rate of .*: lower --lr.*train_0"):
        run_job(job, [mx.cpu(0)], Silent())


def test_bad_weights_leave_no_run_behind(job, tmp_path):
    (tmp_path / "bad.params").write_bytes(b"no parameters")
    for field in ("weights", "base_weights"):
        setattr(job, field, tmp_path / "bad.params")
        with pytest.raises(WeightsError, match=r"bad\.params"):
            run_job(job, [mx.cpu(0)], Silent())
        assert not job.out.exists()
        setattr(job, field, None)
    job.weights = job.base_weights = tmp_path / "bad.params"
    with pytest.raises(CallError, match="give one of them"):
        run_job(job, [mx.cpu(0)], Silent())


def test_fine_tuning_from_a_run(job, tmp_path):
    run_job(job, [mx.cpu(0)], Silent())
    job.weights, job.out, job.epochs, job.lr = job.out, tmp_path / "second", 1, 1e-9
    progress = Silent()
    run_job(job, [mx.cpu(0)], progress)
    assert any("class weights kept from" in line and "circle, cross" in line for line in progress.lines)
    first, second = (mx.nd.load(str(f / "best.params")) for f in (job.weights, job.out))
    name = "class_predictors.0.predictor.weight"
    np.testing.assert_allclose(first[name].asnumpy(), second[name].asnumpy(), atol=1e-5)


def plain_network(contexts, seed=0):
    """Without batch norm, whose statistics would depend on how a batch is split."""

    class Two(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.one = mx.gluon.nn.Conv2D(8, 3, strides=8, padding=1, activation="relu")
                self.two = mx.gluon.nn.Conv2D(8, 3, strides=2, padding=1, activation="relu")

        def hybrid_forward(self, F, x):
            one = self.one(x)
            return [one, self.two(one)]

    mx.random.seed(seed)
    net = ssdzoo.get_ssd(
        None, 64, Two(), None, [12, 24, 48], [[1, 2, 0.5]] * 2, None, ["circle", "cross", "square", "star", "triangle"]
    )
    net.initialize(mx.init.Xavier(), ctx=mx.cpu(0))
    net.collect_params().reset_ctx(contexts)
    return net


@pytest.mark.parametrize("batch_size", [4, 5])  # 11 images: the last batch has 3, or a single one
def test_two_contexts_train_like_one(batch_size, data, tmp_path):
    train = load_dataset(data, "train")
    row = dict(name="plain", backbone="plain", base_size=64, sizes=[12, 24, 48], ratios=[[1, 2, 0.5]] * 2, classes=train.names)
    preset = check_preset(row, "test")
    losses, weights = [], []
    for contexts in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        net = plain_network(contexts)
        progress = Silent()
        settings = Settings(epochs=2, batch_size=batch_size, lr=0.01, workers=0)
        Trainer(net, preset, train, None, Run(tmp_path / str(len(contexts))), settings, progress).fit()
        losses.append(progress.losses)
        weights.append([p.data(c).asnumpy() for p in net.collect_params().values() for c in (contexts[0], contexts[-1])])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
