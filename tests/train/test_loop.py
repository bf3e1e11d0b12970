import csv
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import ssdzoo
from ssdzoo.data import Dataset, load_dataset
from ssdzoo.data.shapes import write_shapes
from ssdzoo.errors import CallError, SSDZooError, WeightsError
from ssdzoo.predict.load import load_network
from ssdzoo.registry import check_preset, read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.train.failure import repeat_failure
from ssdzoo.train.job import TrainingJob, run_job
from ssdzoo.train.loop import Trainer
from ssdzoo.train.run import COLUMNS, Run
from ssdzoo.train.settings import Settings

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
    """A function that makes a job, with some arguments changed."""
    (tmp_path / "table.toml").write_text(TABLE)
    usual = dict(model=str(tmp_path / "table.toml"), data=data, out=tmp_path / "run", epochs=2, batch_size=4, workers=0)
    return lambda **changes: TrainingJob.of(**{**usual, "eval_every": 1, **changes})


def train(job, resume=False, contexts=1):
    progress = Silent()
    result = run_job(job, [mx.cpu(i) for i in range(contexts)], progress, resume)
    return progress, result


def rows(folder):
    with open(folder / "metrics.csv") as file:
        return list(csv.DictReader(file))


def test_a_run_folder(job, tmp_path):
    out = tmp_path / "run"
    _, result = train(job())
    assert {p.name for p in out.iterdir()} == {"args.toml", "best.params", "last", "metrics.csv", "model.toml"}
    assert sorted(p.name for p in (out / "last").iterdir()) == ["0002.params", "0002.states", "state.json"]
    table = rows(out)
    assert [r["epoch"] for r in table] == ["1", "2"] and tuple(table[0]) == COLUMNS
    assert float(table[1]["loss"]) == pytest.approx(float(table[1]["cls_loss"]) + float(table[1]["box_loss"]), abs=1e-5)
    assert float(table[1]["loss"]) < float(table[0]["loss"])
    assert 0 <= float(table[1]["mAP"]) <= 1 and result["best_mAP"] == max(float(r["mAP"]) for r in table)
    preset = read_preset(out / "model.toml")
    assert preset.classes == ("circle", "cross", "square", "star", "triangle") and preset.base_size == (64, 64)
    net, _ = load_network(out)
    assert net.classes == list(preset.classes)


def test_the_same_seed_gives_the_same_run_and_another_one_does_not(job, tmp_path):
    for out, seed, workers in (("a", 3, 0), ("b", 3, 1), ("c", 4, 0)):
        train(job(out=tmp_path / out, seed=seed, workers=workers))
    timeless = [
        [{k: v for k, v in r.items() if k not in ("images_per_s", "data_wait_s")} for r in rows(tmp_path / o)] for o in "abc"
    ]
    assert timeless[0] == timeless[1] != timeless[2]


def assert_alike(whole, part):
    for a, b in zip(rows(whole), rows(part), strict=True):
        for column in ("epoch", "lr", "loss", "cls_loss", "box_loss", "mAP"):
            assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-5)


def test_mxnet_s_own_engine_trains_alike():
    """Users of the Python interface and of GPUs have the engine that runs operators beside each other. With it, memory that a
    graph allocates once for all steps (static_alloc) gave wrong targets to a second training in the same process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MXNET_ENGINE_TYPE": "ThreadedEnginePerDevice"}
    command = [sys.executable, "-m", "pytest", "-q", "-k", "resuming or two_contexts", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "changes, update",  # 11 images: 3 updates an epoch, or 2 of two batches
    [({}, 4), ({"checkpoint_every": 1, "ema": 0.9}, 4), ({"checkpoint_every": 1, "accumulate": 2, "optimizer": "adam"}, 3)],
)
def test_resuming_continues_as_if_nothing_had_happened(job, tmp_path, monkeypatch, changes, update):
    changes = dict(changes, epochs=3, schedule="cosine")
    train(job(out=tmp_path / "whole", **changes))
    updates = []

    def die(self, *args):
        updates.append(args)
        if len(updates) == update + 1:
            raise KeyboardInterrupt
        return original(self, *args)

    original = Trainer._update
    monkeypatch.setattr(Trainer, "_update", die)
    with pytest.raises(KeyboardInterrupt):
        train(job(out=tmp_path / "parts", **changes))
    assert len(rows(tmp_path / "parts")) == 1
    state = Run(tmp_path / "parts", resume=True).state()
    assert (state["epoch"], state["step"]) == (1, 1 if "checkpoint_every" in changes else 0)
    monkeypatch.setattr(Trainer, "_update", original)
    train(job(out=tmp_path / "parts", **changes), resume=True)
    assert_alike(tmp_path / "whole", tmp_path / "parts")
    np.testing.assert_allclose(*(load(tmp_path / f / "best.params") for f in ("whole", "parts")), rtol=1e-4, atol=1e-6)
    assert not list((tmp_path / "parts" / "last").glob("*-*"))


def load(path, name="class_predictors.0.predictor.weight"):
    return mx.nd.load(str(path))[name].asnumpy()


def test_a_run_is_not_overwritten_and_not_resumed_where_there_is_none(job, tmp_path):
    with pytest.raises(CallError, match="nothing to resume"):
        train(job(), resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.toml").write_text("x")
    with pytest.raises(CallError, match="holds a training already"):
        train(job())
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["model.toml"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"epoch": "x", "step": 0}', "\x00"])
def test_a_damaged_state_is_told(job, tmp_path, text):
    train(job(epochs=1))
    (tmp_path / "run" / "last" / "state.json").write_text(text)
    with pytest.raises(SSDZooError, match=r"state.json: damaged .* begin anew"):
        train(job(), resume=True)


def test_a_loss_that_is_not_finite_stops_the_run_and_can_be_repeated(job, tmp_path):
    with pytest.raises(SSDZooError, match=r"not finite in epoch \d, step \d, at a learning rate of .*lower --lr.*train_0"):
        train(job(lr=1e12, epochs=5))
    again = repeat_failure(tmp_path / "run")
    assert not np.isfinite(again["class_loss"] + again["box_loss"]).all()
    assert len(again["paths"]) == len(again["class_loss"]) and again["paths"][0].endswith(".jpg")


def test_a_step_that_did_not_fail_cannot_be_repeated(job, tmp_path):
    train(job(epochs=1))
    with pytest.raises(CallError, match="no step of this run has failed"):
        repeat_failure(tmp_path / "run")


def test_bad_weights_leave_no_run_behind(job, tmp_path):
    bad = tmp_path / "bad.params"
    bad.write_bytes(b"no parameters")
    for field in ("weights", "base_weights"):
        with pytest.raises(WeightsError, match=r"bad\.params"):
            train(job(**{field: bad}))
        assert not (tmp_path / "run").exists()
    with pytest.raises(CallError, match="give one of them"):
        train(job(weights=bad, base_weights=bad))


def test_fine_tuning_from_a_run(job, tmp_path):
    train(job())
    progress, _ = train(job(weights=tmp_path / "run", out=tmp_path / "second", epochs=1, lr=1e-9))
    assert any("class weights kept from" in line and "circle, cross" in line for line in progress.lines)
    np.testing.assert_allclose(*(load(tmp_path / f / "best.params") for f in ("run", "second")), atol=1e-5)


def test_the_last_epochs_are_kept(job, tmp_path):
    train(job(epochs=4, keep=2, eval_every=9))
    assert sorted(p.name for p in (tmp_path / "run" / "last").iterdir()) == [
        "0003.params",
        "0004.params",
        "0004.states",
        "state.json",
    ]


def test_patience_ends_the_training(job, tmp_path):
    progress, result = train(job(epochs=30, patience=2, lr=1e-12, optimizer="adam", weight_decay=0))
    scores = [float(r["mAP"]) for r in rows(tmp_path / "run")]
    best = int(np.argmax(scores))
    assert len(scores) == best + 3 < 30 and result["best_mAP"] == scores[best]
    assert "no better mAP in 2 evaluations" in progress.lines[-1]


def test_the_moving_average_is_evaluated_and_kept_as_the_best(job, tmp_path):
    train(job(ema=0.5, epochs=1, lr=0.01))
    averages = load(tmp_path / "run" / "last" / "0001.ema")
    np.testing.assert_array_equal(load(tmp_path / "run" / "best.params"), averages)
    assert np.abs(load(tmp_path / "run" / "last" / "0001.params") - averages).max() > 1e-5


def test_tensorboard(job, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs the package tensorboardX")
    train(job(tensorboard=True, epochs=1))
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert all(name in events.read_bytes() for name in (b"cls_loss", b"box_loss", b"mAP"))


def test_half_precision_is_refused_on_cpus(job, tmp_path):
    with pytest.raises(CallError, match="--amp needs --gpus"):
        train(job(amp=True))
    assert not (tmp_path / "run").exists()


def test_a_distributed_store_needs_launch(job):
    with pytest.raises(CallError, match="ssdzoo launch"):
        train(job(kvstore="dist_sync"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"optimizer": "sdg"}, "--optimizer sdg: there are sgd, adam; do you mean 'sgd'"),
        ({"box_loss": "iou"}, "--box-loss iou: there are smooth_l1, giou, diou"),
        ({"epochs": 0}, "--epochs 0: expected 1 or more"),
        ({"accumulate": 0}, "--accumulate 0"),
        ({"ema": 1.0}, "--ema 1.0: expected 0 or more and less than 1"),
        ({"lr": float("nan")}, "--lr nan: expected a number above 0"),
        ({"lr": 0.0}, "--lr 0.0"),
        ({"weight_decay": float("nan")}, "--weight-decay nan"),
    ],
)
def test_impossible_settings(arguments, message):
    with pytest.raises(CallError, match=message):
        Settings(**arguments)


def last_weights(folder):
    (path,) = (folder / "last").glob("*.params")
    return {k: v.asnumpy() for k, v in mx.nd.load(str(path)).items()}


def short(name):
    """Such as conv3_weight."""
    return name.partition("mobilenet")[2].partition("_")[2]


def test_frozen_stages_stay_and_the_rest_learns(job, tmp_path):
    mx.random.seed(0)
    net = ssdzoo.get_model(str(tmp_path / "table.toml"), classes=["a"])
    net.initialize(mx.init.Xavier())
    filled = {k: p for k, p in net.features.base_parameters.items() if p._data is not None}
    mx.nd.save(str(tmp_path / "base.params"), {k: p.data() for k, p in filled.items()})
    base = {short(p.name): p.data().asnumpy() for p in filled.values()}
    train(job(base_weights=tmp_path / "base.params", freeze=2, epochs=1, lr=0.05))
    after = {short(k): v for k, v in last_weights(tmp_path / "run").items() if "mobilenet" in k}
    assert base.keys() == after.keys() and len(base) > 100
    same = [k for k in base if np.array_equal(base[k], after[k])]
    # Stage 1 works at 32x32 pixels: conv0 to conv2; stage 2 at 16x16: conv3 to conv6.
    norms = ("gamma", "beta", "running_mean", "running_var")
    expected = [name for i in range(7) for name in (f"conv{i}_weight", *(f"batchnorm{i}_{part}" for part in norms))]
    assert sorted(same) == sorted(expected)


def test_frozen_norms(job, tmp_path):
    train(job(freeze_norm=True, epochs=1, lr=0.05))
    after = last_weights(tmp_path / "run")
    means = [v for k, v in after.items() if k.endswith("_mean")]
    backbone = [v for k, v in after.items() if "mobilenet" in k and k.endswith("_mean")]
    assert len(backbone) > 20 and all((v == 0).all() for v in backbone)
    assert sum((v != 0).any() for v in means) == len(means) - len(backbone) > 0


def test_too_many_frozen_stages(job):
    with pytest.raises(CallError, match="--freeze 6: this backbone has 4 stages, so 0 to 4"):
        train(job(freeze=6))


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


PLAIN = dict(name="plain", backbone="plain", base_size=64, sizes=[12, 24, 48], ratios=[[1, 2, 0.5]] * 2)


def fit_plain(data, folder, contexts=1, **settings):
    """Losses and weights, on the first and the last context, of a plain network."""
    train = load_dataset(data, "train")
    contexts = [mx.cpu(i) for i in range(contexts)]
    net, progress = plain_network(contexts), Silent()
    preset = check_preset({**PLAIN, "classes": train.names}, "test")
    settings = Settings(**{**dict(epochs=2, lr=0.01, workers=0), **settings})
    Trainer(net, preset, train, None, Run(folder), settings, progress).fit()
    return progress.losses, [p.data(c).asnumpy() for p in net.collect_params().values() for c in (contexts[0], contexts[-1])]


def assert_weights_alike(ones, others):
    for a, b in zip(ones, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("batch_size", [4, 5])  # 11 images: the last batch has 3, or a single one
@pytest.mark.parametrize("changes", [{}, {"clip_norm": 0.5, "optimizer": "adam", "lr": 0.001}])
def test_two_contexts_train_like_one(batch_size, changes, data, tmp_path):
    one = fit_plain(data, tmp_path / "1", batch_size=batch_size, **changes)
    two = fit_plain(data, tmp_path / "2", contexts=2, batch_size=batch_size, **changes)
    np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
    assert_weights_alike(one[1], two[1])


def test_accumulated_batches_train_like_one_large_batch(data, tmp_path):
    large = fit_plain(data, tmp_path / "1", batch_size=8)
    small = fit_plain(data, tmp_path / "2", batch_size=2, accumulate=4)
    np.testing.assert_allclose(large[0], small[0], rtol=1e-4)
    assert_weights_alike(large[1], small[1])


def test_clipping_bounds_the_change(data, tmp_path):
    changes = dict(epochs=1, batch_size=11, weight_decay=0, momentum=0, warmup_epochs=0, lr=0.1)
    start = [p.data().asnumpy() for p in plain_network([mx.cpu(0)]).collect_params().values() for _ in range(2)]

    def change(clip_norm):
        _, weights = fit_plain(data, tmp_path / str(clip_norm), clip_norm=clip_norm, **changes)
        return np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(start, weights)) / 2)

    free = change(None) / 0.1  # the gradient's norm
    assert change(free / 4) == pytest.approx(0.1 * free / 4, rel=1e-3)
    assert change(free * 4) == pytest.approx(0.1 * free, rel=1e-3)


def test_biases_without_decay(data, tmp_path):
    """With a weight decay that outweighs all gradients."""
    changes = dict(epochs=1, batch_size=11, weight_decay=10.0, momentum=0, warmup_epochs=0, lr=0.1)
    start = [p.data().asnumpy() for p in plain_network([mx.cpu(0)]).collect_params().values() for _ in range(2)]
    _, weights = fit_plain(data, tmp_path / "run", bias_decay=False, **changes)
    shrunk = [np.abs(b).sum() < 0.5 * np.abs(a).sum() for a, b in zip(start, weights) if a.ndim == 4 and a.shape[0] != 1]
    assert all(shrunk) and len(shrunk) == 12


def test_a_batch_without_objects_still_teaches(data, tmp_path):
    train = load_dataset(data, "train")
    empty = [
        replace(r, boxes=r.boxes[:0], class_ids=r.class_ids[:0], difficult=r.difficult[:0], crowd=r.crowd[:0])
        for r in train.records
    ]
    preset = check_preset({**PLAIN, "classes": train.names}, "test")
    losses = []
    for least in (0, 3):
        net, progress = plain_network([mx.cpu(0)]), Silent()
        settings = Settings(epochs=6, lr=0.01, workers=0, batch_size=4, min_negatives=least, weight_decay=0)
        Trainer(net, preset, Dataset(train.names, empty, []), None, Run(tmp_path / str(least)), settings, progress).fit()
        losses.append(progress.losses)
    assert set(losses[0]) == {0} and 0 < losses[1][-1] < 0.7 * losses[1][0]
