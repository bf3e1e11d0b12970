"""What callbacks are told, and what their errors do. The engine is a stand-in, so that no framework trains."""

import logging
from contextlib import nullcontext

import numpy as np
import pytest

import ssdzoo
from ssdzoo.data import load_dataset
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.preset import check_preset
from ssdzoo.train.callbacks import Callback, Callbacks, StopTraining
from ssdzoo.train.engine import LossNotFinite, StepLosses
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Settings
from ssdzoo.train.trainer import Trainer, TrainingData
from tests.train.jobs import Recorded, rows

PRESET = check_preset({
    "name": "small", "backbone": "mobilenet0.25", "base_size": 64, "features": ["relu10_fwd"], "filters": [], "sizes": [12, 24],
    "ratios": [[1, 2, 0.5]], "classes": ["circle", "cross", "square", "star", "triangle"],
}, "test")  # fmt: skip


class Engine:
    """Its losses are the numbers of its steps."""

    preset, symbol = PRESET, None

    def __init__(self, rank=0, processes=1, first_stops=False):
        self.rank, self.processes, self.steps, self.first_stops = rank, processes, 0, first_stops

    def ahead(self, batches):
        return batches

    def step(self, batches, rate):
        self.steps += 1
        return StepLosses(self.steps, self.steps / 2, sum(len(batch.images) for batch in batches))

    def weights(self, averaged=False):
        return {"w": np.full(1, self.steps, np.float32)}

    def state(self):
        return {"states": {"s": np.zeros(1)}}

    def load(self, state, updates):
        self.steps = updates

    def detector(self):
        return nullcontext()

    def share(self, value):
        # What the first process has done before the first step is the same here.
        return float(self.first_stops) if self.rank and self.steps else float(value)

    def finish(self):
        pass


class Seen(Callback):
    """Keeps what it is told; `on` is a function of (method, value) that it calls."""

    def __init__(self, on=lambda name, value: None):
        self.starts, self.steps, self.rows, self.ends, self.on = [], [], [], [], on

    def on_start(self, start):
        self.starts.append(start)
        self.on("start", start)

    def on_step(self, step):
        self.steps.append(step)
        self.on("step", step)

    def on_epoch(self, row):
        self.rows.append(dict(row))
        self.on("epoch", row)

    def on_end(self, end):
        self.ends.append(end)
        self.on("end", end)


@pytest.fixture
def trainer(data, tmp_path):
    """A function that makes a Trainer of 2 epochs of 3 updates."""

    def make(*callbacks, engine=None, resume=False, folder="run", **settings):
        run = Run(tmp_path / folder)
        if not resume:
            with run:
                run.begin(PRESET, {})
        settings = Settings(
            **{**dict(epochs=2, batch_size=4, workers=0, lr=0.01, warmup_epochs=0, augment="ssd", schedule="step"), **settings}
        )
        made = Trainer(
            engine or Engine(), TrainingData(load_dataset(data, "train")), run, settings, Recorded(), Callbacks(callbacks)
        )
        if resume:
            made.resume()
        return made

    return make


def test_what_a_callback_is_told(trainer, tmp_path):
    seen = Seen()
    result = trainer(seen).fit()
    (start,), (end,) = seen.starts, seen.ends
    assert (start.folder, start.preset, start.train_images, start.val_images, start.steps) == (tmp_path / "run", PRESET, 11, 0, 3)
    assert start.arguments["lr"] == 0.01 and start.arguments["epochs"] == 2 and start.rows == []
    assert [(s.epoch, s.step, s.update, s.cls_loss, s.box_loss, s.images) for s in seen.steps] == [
        (1, 1, 1, 1, 0.5, 4), (1, 2, 2, 2, 1, 4), (1, 3, 3, 3, 1.5, 3),
        (2, 1, 4, 4, 2, 4), (2, 2, 5, 5, 2.5, 4), (2, 3, 6, 6, 3, 3),
    ]  # fmt: skip
    assert all(step.lr in (0.01, 0.001, pytest.approx(1e-4)) and step.seconds >= step.data_wait_s > 0 for step in seen.steps)
    assert [(row["epoch"], row["cls_loss"], row["box_loss"], row["mAP"]) for row in seen.rows] == [
        (1, 2, 1, None),
        (2, 5, 2.5, None),
    ]
    assert seen.rows == result.rows == end.rows and [float(r["loss"]) for r in rows(tmp_path / "run")] == [3, 7.5]
    assert (end.status, end.best_mAP, end.error) == ("finished", None, None)


def test_an_error_costs_the_callback_and_not_the_training(trainer, tmp_path, caplog):
    def fail(name, value):
        if name == "epoch":
            value["loss"] = -1  # its own copy
            raise OSError("the server is down")

    broken, seen = Seen(fail), Seen()
    result = trainer(broken, seen).fit()
    assert len(broken.rows) == 1 and len(broken.steps) == 3 and broken.ends == []
    assert len(seen.rows) == 2 and seen.ends[0].status == "finished" and [row["loss"] for row in result.rows] == [3, 7.5]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["Seen.on_epoch failed (OSError: the server is down): the training goes on without it"]
    assert Run(tmp_path / "run").state()["epoch"] == 2


def test_an_epoch_is_saved_before_its_callbacks_are_called(trainer, tmp_path):
    saved = []
    trainer(Seen(lambda name, _: saved.append(Run(tmp_path / "run").state()["epoch"]) if name == "epoch" else None)).fit()
    assert saved == [1, 2]


def test_an_error_at_the_start_ends_the_training_before_its_first_step(trainer):
    def fail(name, _):
        if name == "start":
            raise SSDZooError("not logged in")

    first, broken, engine = Seen(), Seen(fail), Engine()
    with pytest.raises(SSDZooError, match="not logged in"):
        trainer(first, broken, engine=engine).fit()
    assert engine.steps == 0 and first.ends[0].status == "failed" and first.ends[0].error == "not logged in"


def test_a_callback_ends_the_training_with_its_epoch(trainer, tmp_path):
    def stop(name, value):
        if name == "step" and value.step == 2:
            raise StopTraining

    seen = Seen(stop)
    made = trainer(seen, epochs=9)
    result = made.fit()
    assert len(result.rows) == 1 and len(seen.steps) == 3 and seen.ends[0].status == "stopped"
    assert made.progress.lines[-1] == "a callback ended the training after 1 epoch"
    again = Seen()
    trainer(again, resume=True).fit()
    assert [row["epoch"] for row in again.starts[0].rows] == [1] and [row["epoch"] for row in again.rows] == [2]
    assert again.steps[0].update == 4 and again.ends[0].status == "finished" and len(rows(tmp_path / "run")) == 2


@pytest.mark.parametrize("first_stops, epochs", [(True, 1), (False, 2)])
def test_only_the_first_process_calls_and_all_stop_with_it(trainer, first_stops, epochs):
    seen, engine = Seen(), Engine(rank=1, processes=2, first_stops=first_stops)
    assert len(trainer(seen, engine=engine).fit().rows) == epochs
    assert seen.starts == seen.steps == seen.rows == seen.ends == []


def test_an_interrupted_and_a_failed_training(trainer):
    def interrupt(name, value):
        if name == "step" and value.update == 5:
            raise KeyboardInterrupt

    seen = Seen(interrupt)
    with pytest.raises(KeyboardInterrupt, match="keeps 1 epoch of 2: continue with resume=True"):
        trainer(seen).fit()
    assert seen.ends[0].status == "interrupted" and len(seen.ends[0].rows) == 1

    class Diverging(Engine):
        def step(self, batches, rate):
            raise LossNotFinite(batches[0])

    seen = Seen()
    with pytest.raises(SSDZooError, match="not finite"):
        trainer(seen, engine=Diverging(), folder="failed").fit()
    assert seen.ends[0].status == "failed" and "not finite in epoch 1, step 1" in seen.ends[0].error


@pytest.mark.parametrize("callbacks, message", [
    ([Seen], r"callbacks=Seen: expected an object of this class, such as Seen\(\)"),
    ([print], "expected an object with one of on_start, on_step, on_epoch, on_end"),
    (7, "callbacks=7: expected a list of objects"),
])  # fmt: skip
def test_what_is_no_callback(job, callbacks, message, tmp_path):
    with pytest.raises(CallError, match=message):
        ssdzoo.fine_tune(**job(), callbacks=callbacks)
    assert not (tmp_path / "run").exists()
