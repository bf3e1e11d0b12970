"""Trainings with torch from their arguments to their run folders, resumed, without mxnet, and in several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ssdzoo
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.export.heads import export_heads
from ssdzoo.export.symbol import export_model
from ssdzoo.formats.params_file import read_params
from ssdzoo.model_source import resolve
from ssdzoo.preset import check_preset
from ssdzoo.train.failed_step import repeat_failed_step
from ssdzoo.train.run import COLUMNS
from ssdzoo.train.settings import Settings
from ssdzoo.train.torch.engine import TorchEngine
from ssdzoo.train.torch.processes import Processes, join
from tests.command import ssdzoo as command
from tests.train.jobs import Steps, rows, train
from tests.train.test_distributed import TABLE
from tests.train.torch.engines import ROWS, network

ROOT = Path(__file__).parents[3]


def table(kind):
    """The table of a small network, without classes."""
    return check_preset({k: v for k, v in ROWS[kind].items() if k != "classes"}, "here").to_toml()


@pytest.fixture
def torch_job(job, tmp_path):
    """Arguments of a training of the small MobileNet."""
    (tmp_path / "table.toml").write_text(table("mobilenet"))
    return lambda **changes: job(engine="torch", **changes)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The head outputs of the small ResNet for some of the classes, in another order."""
    net, preset = network("resnet")
    classes = ["star", "moon", "circle"]
    net.reset_class(classes, reuse_weights=["star", "circle"])
    return export_heads(net, preset.with_classes(classes), tmp_path_factory.mktemp("heads"))


def assert_alike(whole, part):
    for a, b in zip(rows(whole), rows(part), strict=True):
        for column in ("epoch", "lr", "loss", "cls_loss", "box_loss", "mAP"):
            assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-5, abs=1e-6)


def test_a_run_folder_that_both_engines_use(torch_job, tmp_path):
    seen = Steps()
    progress, result = train(torch_job(epochs=1, callbacks=[seen]))
    out = result.folder
    files = {"args.toml", "best.params", "heads.json", "last", "metrics.csv", "model.toml", "report.html"}
    assert {p.name for p in out.iterdir()} == files and [step.images for step in seen.steps] == [4, 4, 3]
    assert np.mean([step.cls_loss for step in seen.steps]) == pytest.approx(result.rows[0]["cls_loss"], abs=1e-5)
    assert tuple(rows(out)[0]) == COLUMNS and result.best_mAP == result.rows[0]["mAP"]
    assert f"torch {torch.__version__.partition('+')[0]} on CPU, float32" in progress.lines[-1]
    net = resolve(out).network()
    best = read_params(out / "best.params")
    for name, parameter in net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), best[name])
    scores = [ssdzoo.evaluate(out, torch_job()["data"], split="val", backend=b)["mAP"] for b in ("mxnet", "torch")]
    assert scores == pytest.approx([result.best_mAP] * 2, abs=1e-4)


@pytest.mark.parametrize("changes, update", [
    ({"checkpoint_every": 1, "ema": 0.9}, 4), ({"checkpoint_every": 1, "accumulate": 2, "optimizer": "adam"}, 3),
])  # fmt: skip
def test_resuming_continues_as_if_nothing_had_happened(torch_job, tmp_path, monkeypatch, changes, update):
    changes = dict(changes, epochs=2, schedule="cosine")
    train(torch_job(out=tmp_path / "whole", **changes))
    updates, original = [], TorchEngine.step

    def die(self, *args):
        updates.append(args)
        if len(updates) == update + 1:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(TorchEngine, "step", die)
    with pytest.raises(KeyboardInterrupt):
        train(torch_job(out=tmp_path / "parts", **changes))
    monkeypatch.setattr(TorchEngine, "step", original)
    train(torch_job(out=tmp_path / "parts", **changes), resume=True)
    assert_alike(tmp_path / "whole", tmp_path / "parts")
    whole, parts = (read_params(tmp_path / name / "best.params") for name in ("whole", "parts"))
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-5, atol=1e-7)


def test_a_run_is_resumed_by_its_own_engine(torch_job, tmp_path, monkeypatch):
    train(torch_job(epochs=1, val_split="none"))
    with pytest.raises(CallError, match="was trained with engine=torch, whose state engine=mxnet cannot continue: resume with"):
        ssdzoo.fine_tune(**torch_job(epochs=2) | {"engine": "mxnet"}, resume=True)
    monkeypatch.setattr("ssdzoo.train.mxnet.start.start_engine", lambda *_: pytest.fail("mxnet"))
    arguments = {k: v for k, v in torch_job(epochs=2, val_split="none").items() if k != "engine"}
    train(arguments, resume=True)  # its engine is among the arguments of the run
    assert len(rows(tmp_path / "run")) == 2


def test_a_loss_that_is_not_finite_can_be_repeated(torch_job, tmp_path):
    with pytest.raises(SSDZooError, match=r"not finite in epoch \d, step \d, at a learning rate of .*lower lr="):
        train(torch_job(lr=1e12, epochs=5))
    again = repeat_failed_step(tmp_path / "run")
    assert not np.isfinite(again["class_loss"] + again["box_loss"]).all() and len(again["paths"]) == len(again["class_loss"])


def test_an_exported_model_for_other_classes(torch_job, exported):
    progress, result = train(torch_job(model=exported, base_weights=None, epochs=1, lr=1e-9))
    assert "class weights kept from" in progress.lines[-1] and ": circle, star; torch" in progress.lines[-1]
    source, trained = read_params(f"{exported}-0000.params"), read_params(result.folder / "best.params")
    old, new = (weights["class_predictors.0.predictor.weight"] for weights in (
        {k.partition(":")[2]: v for k, v in source.items()}, trained))  # fmt: skip
    assert len(old) // 4 * 6 == len(new)
    for names, there in (((0, 0), True), ((1, 3), True), ((4, 1), True), ((2, 0), False)):  # background, circle, star, cross
        now, was = names
        np.testing.assert_allclose(new[now::6], old[was::4] if there else 0, atol=1e-6)
    assert resolve(result.folder).preset.classes == ("circle", "cross", "square", "star", "triangle")
    resolve(result.folder).network()  # and mxnet uses the run


def test_an_exported_detector_for_other_classes(torch_job, tmp_path):
    """With its detections in the symbol, as `ssdzoo export` and GluonCV write it."""
    net, preset = network("resnet")
    net.reset_class(["star", "moon"], reuse_weights=["star"])
    path = export_model(net, preset.with_classes(["star", "moon"]), tmp_path / "exported")
    _, result = train(torch_job(model=path, base_weights=None, epochs=1))
    assert np.isfinite(result.rows[0]["loss"])
    assert ssdzoo.load(result.folder, backend="torch").names == ["circle", "cross", "square", "star", "triangle"]


def test_what_an_exported_model_refuses(torch_job, exported):
    with pytest.raises(CallError, match="is an exported model: engine=torch trains it"):
        train(torch_job(model=exported) | {"engine": "mxnet"})
    with pytest.raises(CallError, match="contains its weights: leave weights= and base_weights= out"):
        train(torch_job(model=exported))


def test_settings_of_the_other_engine():
    with pytest.raises(CallError, match="compile=True is for engine=torch"):
        Settings(compile=True)
    with pytest.raises(CallError, match="kvstore= is for engine=mxnet"):
        Settings(engine="torch", kvstore="dist_sync")


def test_without_mxnet(torch_job, exported, tmp_path):
    """An exported model trains and its run finds objects; a preset cannot be built, and the error says what can be trained."""
    job = torch_job(model=exported, epochs=1)
    code = f"""
import sys
sys.modules["mxnet"] = None
import ssdzoo
from ssdzoo.cli import main
arguments = [{str(job["data"])!r}, "--out", {str(job["out"])!r}, "--engine", "torch", "--epochs", "1", "--workers", "0"]
from typer.testing import CliRunner
from ssdzoo.cli.app import app
done = CliRunner().invoke(app, ["train", {str(exported)!r}, *arguments], catch_exceptions=False)
assert done.exit_code == 0, done.output
assert "torch._dynamo" not in sys.modules, "torch's compiler takes seconds to import"
found = ssdzoo.load({str(job["out"])!r}, "auto")
sys.modules["onnx"] = None
for detector in (found, ssdzoo.load({str(job["out"])!r}, "auto")):
    print(detector.runtime.split()[0], len(detector({str(job["data"])!r} + "/JPEGImages")))
try:
    name, data = "ssd_300_mobilenet0.25_custom", {str(job["data"])!r}
    ssdzoo.fine_tune(name, data, {str(tmp_path / "other")!r}, engine="torch", base_weights="none")
except ssdzoo.errors.SSDZooError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    *_, first, second, message = lines
    assert first in ("openvino 19", "onnxruntime 19", "torch 19") and second == "torch 19"  # ONNX, if any, is made without mxnet
    assert "mxnet can't be imported" in message and "export it with heads= where mxnet runs" in message


def test_where_a_process_trains(monkeypatch):
    assert join(Settings(), None).device == torch.device("cpu") and join(Settings(), "cpu").count == 1
    with pytest.raises(CallError, match="expected different numbers such as 0 or 0,1"):
        join(Settings(), "0,x")
    if not torch.cuda.is_available():
        with pytest.raises(SSDZooError, match="cuda:1: .*torch"):
            join(Settings(), "1")


def test_a_process_that_ended_is_named():
    alone = Processes(torch.device("cpu"))
    message = "another process ended or stopped answering.*resume=True.*Connection closed"
    with pytest.raises(SSDZooError, match=message), alone.explained():
        raise RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1")
    with pytest.raises(RuntimeError, match="^shapes$"), alone.explained():
        raise RuntimeError("shapes")


def start(job, *options, processes=0):
    """The training in processes of their own."""
    arguments = ["-m", "ssdzoo", "train", job["model"], job["data"], "--out", job["out"], "--engine", "torch", *options]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes] if processes else []
    return subprocess.Popen(
        [sys.executable, *map(str, [*launcher, *arguments])], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def options(job, **more):
    given = {"epochs": 3, "batch_size": 4, "workers": 0, "base_weights": "none", "eval_every": 1, **more}
    return [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", value)]


def wait_for(process, path):
    deadline = time.monotonic() + 200
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.05)


@pytest.mark.long
def test_a_killed_training_goes_on(torch_job, tmp_path):
    whole, part = torch_job(out=tmp_path / "whole"), torch_job(out=tmp_path / "part")
    command("train", whole["model"], whole["data"], "--out", whole["out"], "--engine", "torch", *options(whole, ema=0.9))
    process = start(part, *options(part, ema=0.9))
    wait_for(process, part["out"] / "last" / "state.json")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    command("train", part["model"], part["data"], "--out", part["out"], "--resume")
    assert_alike(whole["out"], part["out"])


@pytest.mark.long
def test_a_compiled_training_is_resumed(torch_job, tmp_path):
    """Of the small ResNet: the norms of the MobileNet enlarge what the compiler rounds differently."""
    (tmp_path / "table.toml").write_text(table("resnet"))
    plain, compiled = (torch_job(out=tmp_path / str(on), compile=on, val_split="none") for on in (False, True))
    train(plain)
    train(compiled)
    losses = [[float(row["loss"]) for row in rows(job["out"])] for job in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    train({**compiled, "epochs": 3}, resume=True)
    assert len(rows(compiled["out"])) == 3
    assert list(read_params(compiled["out"] / "best.params")) == list(read_params(plain["out"] / "best.params"))


@pytest.mark.long
def test_two_processes_train_like_one_with_twice_the_batch(torch_job, tmp_path):
    """Without a batch norm whose statistics would depend on how a batch is divided: those of the backbone are frozen."""
    (tmp_path / "table.toml").write_text(TABLE)
    one, two = torch_job(out=tmp_path / "one"), torch_job(out=tmp_path / "two")
    train({**one, "batch_size": 8, "freeze_norm": True, "epochs": 3})
    process = start(two, "--freeze-norm", *options(two, batch_size=4), processes=2)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    for a, b in zip(rows(one["out"]), rows(two["out"]), strict=True):
        for column in ("loss", "cls_loss", "box_loss"):
            assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-3)


@pytest.mark.long
def test_a_process_that_dies_ends_the_training(torch_job):
    job = torch_job()
    process = start(job, *options(job, epochs=500), processes=2)
    wait_for(process, job["out"] / "last" / "state.json")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1 and "Signal 9" in errors
