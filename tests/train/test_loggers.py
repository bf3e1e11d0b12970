"""TensorBoard, MLflow and W&B by themselves, with a made-up training. The default tests put stand-ins in place of MLflow and W&B,
whose packages take seconds to import; `-m long` runs the packages, without a server."""

import json
import sys
import time
from types import SimpleNamespace

import pytest

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.train.callbacks import TrainingEnd, TrainingStart
from ssdzoo.train.loggers import make_loggers
from ssdzoo.train.settings import Settings

ARGUMENTS = {"model": "small", "data": "cells", "lr": 0.01, "freeze_norm": False}


def row(epoch, score=None):
    loss = 4.0 / epoch
    return {
        "epoch": epoch, "lr": 0.01, "loss": loss, "cls_loss": loss / 2, "box_loss": loss / 2, "images_per_s": 20.0,
        "data_wait_s": 0.1, "mAP": score,
    }  # fmt: skip


def log(folder, *names, before=(), rows=(), status="finished", best=0.5):
    """What a training does with its loggers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("the report")
    loggers = make_loggers(Settings(log_to=",".join(names)))
    start = TrainingStart(folder, None, ARGUMENTS, 10, 2, 3, list(before))
    for logger in loggers:
        logger.on_start(start)
        for one in rows:
            logger.on_epoch(one)
        logger.on_end(TrainingEnd(status, [*before, *rows], best))


def test_which_loggers():
    assert Settings().loggers() == [] and Settings(tensorboard=True).loggers() == ["tensorboard"]
    assert Settings(tensorboard=True, log_to="wandb, tensorboard,mlflow").loggers() == ["tensorboard", "wandb", "mlflow"]
    for wrong in ("tensorbord", "mlflow,", ""):
        with pytest.raises(CallError, match=f"log_to={wrong}: there are tensorboard, mlflow, wandb"):
            Settings(log_to=wrong)
    with pytest.raises(CallError, match="do you mean 'tensorboard'"):
        Settings(log_to="mlflow,tensorbord")


@pytest.mark.parametrize("name, package", [("tensorboard", "tensorboardX"), ("mlflow", "mlflow"), ("wandb", "wandb")])
def test_a_package_that_is_not_installed(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SSDZooError, match=rf"the package {package} is not installed.*pip install 'ssdzoo\[{name}\]'"):
        make_loggers(Settings(log_to=name))


def test_tensorboard_hides_what_an_interrupted_training_wrote(tmp_path, monkeypatch):
    said = []

    def writer(folder, purge_step):
        said.append((folder, purge_step))
        return SimpleNamespace(
            add_scalar=lambda *values: said.append(values), flush=lambda: None, close=lambda: said.append("closed")
        )

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=writer))
    log(tmp_path, "tensorboard", rows=[row(1)])
    log(tmp_path, "tensorboard", before=[row(1)], rows=[row(2, 0.5)], status="interrupted")
    assert [entry for entry in said if len(entry) == 2 or entry == "closed"] == [
        (str(tmp_path / "tensorboard"), 1), "closed", (str(tmp_path / "tensorboard"), 2), "closed",
    ]  # fmt: skip
    assert ("loss", 4.0, 1) in said and ("loss", 2.0, 2) in said and ("mAP", 0.5, 2) in said
    assert sum(entry[0] == "mAP" for entry in said) == 1


def test_a_run_that_cannot_be_started(tmp_path, monkeypatch):
    def refuse(**_):
        raise ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=refuse))
    with pytest.raises(
        SSDZooError, match=r"log_to=wandb could not start a run \(ConnectionError: no route to host\); see.*WANDB_MODE"
    ):
        log(tmp_path, "wandb")


class FakeMLflow:
    """Keeps what it is given, by run."""

    def __init__(self):
        self.runs, self.outer = {}, None

    def active_run(self):
        return self.outer

    def start_run(self, run_id=None, run_name=None, nested=False):
        run_id = run_id or f"run{len(self.runs)}"
        kept = self.runs.setdefault(run_id, {"name": run_name, "nested": nested, "metrics": [], "params": {}, "files": []})
        self.now = kept
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_params(self, values):
        self.now["params"].update(values)

    def log_metrics(self, values, step, run_id):
        self.runs[run_id]["metrics"].append((step, values))

    def log_metric(self, name, value, run_id):
        self.runs[run_id][name] = value

    def log_artifact(self, path, run_id):
        self.runs[run_id]["files"].append(path)

    def end_run(self, status):
        self.now["status"] = status


def test_mlflow_continues_the_run_of_a_training_that_is_resumed(tmp_path, monkeypatch):
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    folder = tmp_path / "cells"
    log(folder, "mlflow", rows=[row(1)], status="interrupted", best=None)
    kept = fake.runs["run0"]
    assert kept["status"] == "KILLED" and kept["name"] == "cells" and kept["params"] == ARGUMENTS and "best_mAP" not in kept
    assert json.loads((folder / "loggers.json").read_text()) == {"mlflow": "run0"}
    fake.outer = object()
    log(folder, "mlflow", before=[row(1)], rows=[row(2, 0.5)])
    assert list(fake.runs) == ["run0"] and kept["status"] == "FINISHED" and kept["best_mAP"] == 0.5
    numbers = {"lr": 0.01, "loss": 2.0, "cls_loss": 1.0, "box_loss": 1.0, "images_per_s": 20.0, "data_wait_s": 0.1, "mAP": 0.5}
    assert kept["metrics"][1] == (2, numbers) and "mAP" not in kept["metrics"][0][1]
    assert kept["files"] == [str(folder / "report.html")] * 2
    log(tmp_path / "other", "mlflow", status="failed")
    assert fake.runs["run1"]["status"] == "FAILED" and fake.runs["run1"]["nested"]


def test_wandb_continues_the_run_of_a_training_that_is_resumed(tmp_path, monkeypatch):
    calls, logged = [], []

    def init(**arguments):
        calls.append(arguments)
        ended = SimpleNamespace(id=arguments["id"] or "abc", summary={}, log=logged.append, define_metric=lambda *_, **__: None)
        ended.finish = lambda exit_code: calls.append((exit_code, ended.summary))
        return ended

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    log(tmp_path / "cells", "wandb", rows=[row(1)], status="failed")
    log(tmp_path / "cells", "wandb", before=[row(1)], rows=[row(2, 0.5)], status="stopped")
    common = {"project": "ssdzoo", "name": "cells", "config": ARGUMENTS, "dir": str(tmp_path / "cells")}
    assert calls == [
        {**common, "id": None, "resume": None}, (1, {"status": "failed", "best_mAP": 0.5}),
        {**common, "id": "abc", "resume": "allow"}, (0, {"status": "stopped", "best_mAP": 0.5}),
    ]  # fmt: skip
    assert [(one["epoch"], one["loss"], one.get("mAP")) for one in logged] == [(1, 4, None), (2, 2, 0.5)]


@pytest.mark.parametrize("text", ["", "[]", '{"mlflow": 1}', "{" * 100_000])
def test_damaged_ids(text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", FakeMLflow())
    (tmp_path / "loggers.json").write_text(text)
    with pytest.raises(SSDZooError, match=r"loggers.json: not the ids of loggers .* remove it to log to new runs"):
        log(tmp_path, "mlflow")


@pytest.mark.long
def test_the_real_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the package mlflow-skinny")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    log(tmp_path / "cells", "mlflow", rows=[row(1)], status="interrupted")
    log(tmp_path / "cells", "mlflow", before=[row(1)], rows=[row(2, 0.5)])
    run_id = json.loads((tmp_path / "cells" / "loggers.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "cells"
    assert run.data.params == {name: str(value) for name, value in ARGUMENTS.items()}
    assert run.data.metrics["best_mAP"] == 0.5 and run.data.metrics["mAP"] == 0.5
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "loss")] == [(1, 4), (2, 2)]
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.html"]


@pytest.mark.long
def test_the_real_wandb(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs the package wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    log(tmp_path / "cells", "wandb", rows=[row(1), row(2, 0.5)])
    (run,) = (tmp_path / "cells" / "wandb").glob("offline-run-*")
    (file,) = run.glob("*.wandb")
    run_id = json.loads((tmp_path / "cells" / "loggers.json").read_text())["wandb"]
    assert run.name.endswith(run_id)
    words, deadline = (b"cls_loss", b"best_mAP", b"freeze_norm"), time.monotonic() + 30  # another process writes the file
    while not all(word in file.read_bytes() for word in words):
        assert time.monotonic() < deadline, [word for word in words if word not in file.read_bytes()]
        time.sleep(0.2)
