"""Trainings that must end alike: resumed or not, on any number of contexts, with either engine, in batches or parts of them;
and what an update does with a gradient."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import ssdzoo
from ssdzoo.data import Dataset, load_dataset
from ssdzoo.preset import check_preset
from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.engine import MXNetEngine
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Settings
from ssdzoo.train.trainer import Trainer, TrainingData
from tests.train.jobs import Recorded, class_weights, rows, train

mx = mxnet()


def assert_alike(whole, part):
    for a, b in zip(rows(whole), rows(part), strict=True):
        for column in ("epoch", "lr", "loss", "cls_loss", "box_loss", "mAP"):
            assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-5)


@pytest.mark.parametrize(
    "changes, update",  # 11 images: 3 updates an epoch, or 2 of two batches
    [
        pytest.param({}, 4, marks=pytest.mark.long),  # by default with mxnet's own engine, below
        ({"checkpoint_every": 1, "ema": 0.9}, 4),
        ({"checkpoint_every": 1, "accumulate": 2, "optimizer": "adam"}, 3),
    ],
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

    original = MXNetEngine.step
    monkeypatch.setattr(MXNetEngine, "step", die)
    with pytest.raises(KeyboardInterrupt):
        train(job(out=tmp_path / "parts", **changes))
    assert len(rows(tmp_path / "parts")) == 1
    state = Run(tmp_path / "parts").state()
    assert (state["epoch"], state["step"]) == (1, 1 if "checkpoint_every" in changes else 0)
    monkeypatch.setattr(MXNetEngine, "step", original)
    train(job(out=tmp_path / "parts", **changes), resume=True)
    assert_alike(tmp_path / "whole", tmp_path / "parts")
    np.testing.assert_allclose(*(class_weights(tmp_path / f / "best.params") for f in ("whole", "parts")), rtol=1e-4, atol=1e-6)
    assert not list((tmp_path / "parts" / "last").glob("*-*"))


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
    net, progress = plain_network(contexts), Recorded()
    preset = check_preset({**PLAIN, "classes": train.names}, "test")
    settings = Settings(**{**dict(epochs=2, lr=0.01, workers=0, augment="ssd"), **settings})
    Trainer(MXNetEngine(net, preset, settings), TrainingData(train), Run(folder), settings, progress).fit()
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


@pytest.mark.parametrize(
    "chosen, count",
    [
        pytest.param("test_resuming and changes0", 1, id="one"),
        pytest.param("test_resuming and changes2 or two_contexts and changes1-4", 2, id="others", marks=pytest.mark.long),
    ],
)
def test_mxnet_s_own_engine_trains_alike(chosen, count):
    """Users of the Python interface and of GPUs have the engine that runs operators beside each other. With it, memory that a
    graph allocates once for all steps (static_alloc) gave wrong targets to a second training in the same process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MXNET_ENGINE_TYPE": "ThreadedEnginePerDevice"}
    command = [sys.executable, "-m", "pytest", "-m", "", "-k", chosen, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and f"\n{count} passed" in done.stdout, done.stdout


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
        net, progress = plain_network([mx.cpu(0)]), Recorded()
        settings = Settings(epochs=6, lr=0.01, workers=0, batch_size=4, min_negatives=least, weight_decay=0, augment="ssd")
        data = TrainingData(Dataset(train.names, empty, []))
        Trainer(MXNetEngine(net, preset, settings), data, Run(tmp_path / str(least)), settings, progress).fit()
        losses.append(progress.losses)
    assert set(losses[0]) == {0} and 0 < losses[1][-1] < 0.7 * losses[1][0]
