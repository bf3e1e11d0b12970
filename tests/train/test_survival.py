"""Trainings that are killed, or whose disk is full."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssdzoo.demo.shapes import write_shapes
from ssdzoo.model_source import resolve
from ssdzoo.train.mxnet.engine import MXNetEngine
from tests.command import ssdzoo
from tests.train.jobs import TABLE, rows

EPOCHS = 4
SETTINGS = ["--batch-size", "4", "--eval-every", "1", "--schedule", "cosine", "--ema", "0.9", "--checkpoint-every", "2"]
SETTINGS += ["--threads", "1"]  # the load of the machine would choose their number, and that changes how sums are rounded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    write_shapes(folder / "data", 24, 2, 0)
    (folder / "table.toml").write_text(TABLE)
    ssdzoo(*arguments(folder, "whole"))
    return folder


def arguments(folder, out, *options, workers=0, epochs=EPOCHS):
    paths = ["train", folder / "table.toml", folder / "data", "--out", folder / out, "--base-weights", "none"]
    return [*paths, *SETTINGS, "--epochs", epochs, "--workers", workers, *options]


def start(folder, out, **kwargs):
    """The training in a process of its own. It hears what ends it, also where the tests run in a shell's background."""
    command = [sys.executable, "-m", "ssdzoo", *map(str, arguments(folder, out, **kwargs))]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def files(folder):
    """{path: bytes} of a run's files, without those that are being written."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}


def assert_resumes(folder, out):
    ssdzoo(*arguments(folder, out, "--resume"))
    for whole, part in zip(rows(folder / "whole"), rows(folder / out), strict=True):
        for column in ("epoch", "lr", "loss", "cls_loss", "box_loss", "mAP"):
            assert float(part[column]) == pytest.approx(float(whole[column]), rel=1e-5), (whole, part)
    assert not list((folder / out).rglob(".*"))  # nothing half-written is left


@pytest.mark.parametrize(
    "sign, after",
    [
        ("last/state.json", 0.0),  # right behind the first saving
        pytest.param("last/state.json", 0.2, marks=pytest.mark.long),
        pytest.param("last/.0002-*.params", 0.0, marks=pytest.mark.long),  # while that file is written
        pytest.param("last/.0003.*.ema", 0.0, marks=pytest.mark.long),
        pytest.param(".best.*.params", 0.0, marks=pytest.mark.long),
        pytest.param("args.toml", 0.0, marks=pytest.mark.long),  # before anything is saved
    ],
)
def test_a_killed_training_goes_on_as_if_nothing_had_happened(folder, sign, after, request):
    out = request.node.callspec.id
    process = start(folder, out, workers=1)
    deadline = time.monotonic() + 60
    while not any((folder / out).glob(sign)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)  # or it would take half of the core from the training
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if (folder / out / "best.params").exists():
        resolve(folder / out).network()  # it is whole
    assert_resumes(folder, out)


@pytest.mark.parametrize("limit", [2_000, 200_000])  # bytes of a file
def test_a_full_disk_loses_nothing_that_was_saved(folder, limit, monkeypatch):
    out, steps, step = f"full{limit}", [], MXNetEngine.step

    def step_or_die(self, *args):
        steps.append(args)
        if len(steps) == 6 + 4:  # in the second of 4 epochs of 6 steps, after its first checkpoint
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(MXNetEngine, "step", step_or_die)
        ssdzoo(*arguments(folder, out), status=130)
    before = files(folder / out)
    assert folder / out / "last" / "0001-000002.params" in before and folder / out / "last" / "state.json" in before
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        _, errors = ssdzoo(*arguments(folder, out, "--resume"), status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert "params cannot be written: File too large; what was saved before is whole" in errors.splitlines()[-1]
    after = files(folder / out)
    report = folder / out / "report.html"  # says how each call ended
    assert {**before, report: b""} == {**{path: after[path] for path in before}, report: b""}
    assert_resumes(folder, out)


@pytest.mark.parametrize("sign, status", [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)])
def test_ctrl_c_and_what_ends_a_process_stop_cleanly(folder, sign, status):
    out = folder / f"stopped{status}"
    process = start(folder, out.name, workers=2, epochs=500)
    while not (out / "last" / "state.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.send_signal(sign)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == status and "Traceback" not in errors and "leaked" not in errors
    done = json.loads((out / "last" / "state.json").read_text())["epoch"]
    epochs = "1 epoch" if done == 1 else f"{done} epochs"
    assert errors.splitlines()[-1] == f"ssdzoo: stopped; {out} keeps {epochs} of 500: continue with --resume"
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)
