"""Trainings that are killed, or whose disk is full."""

import csv
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssdzoo.demo.shapes import write_shapes
from ssdzoo.model_source import resolve
from tests.train.jobs import TABLE

EPOCHS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    write_shapes(folder / "data", 24, 2, 0)
    (folder / "table.toml").write_text(TABLE)
    assert start(folder, "whole").wait(120) == 0
    return folder


def start(folder, out, *options, epochs=EPOCHS, **kwargs):
    usual = [
        "--epochs",
        epochs,
        "--batch-size",
        4,
        "--eval-every",
        1,
        "--schedule",
        "cosine",
        "--ema",
        0.9,
        "--checkpoint-every",
        2,
    ]
    command = ["train", folder / "table.toml", folder / "data", "--out", folder / out, "--workers", 1, *usual, *options]
    return subprocess.Popen(
        [sys.executable, "-m", "ssdzoo", *map(str, command)], cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **kwargs,
    )  # fmt: skip


def assert_resumes(folder, out):
    process = start(folder, out, "--resume")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    with open(folder / "whole" / "metrics.csv") as a, open(folder / out / "metrics.csv") as b:
        for whole, part in zip(csv.DictReader(a), csv.DictReader(b), strict=True):
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
    process = start(folder, out)
    deadline = time.monotonic() + 60
    while not any((folder / out).glob(sign)):
        assert process.poll() is None and time.monotonic() < deadline
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if (folder / out / "best.params").exists():
        resolve(folder / out).network()  # it is whole
    assert_resumes(folder, out)


@pytest.mark.parametrize("limit", [2_000, pytest.param(200_000, marks=pytest.mark.long)])  # bytes of a file
def test_a_full_disk_loses_nothing_that_was_saved(folder, limit):
    out = f"full{limit}"
    process = start(folder, out)
    while not (folder / out / "last" / "0001-000002.params").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {p.name: p.read_bytes() for p in (folder / out).rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert "state.json" in before
    process = start(folder, out, "--resume", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in errors
    assert "params cannot be written: File too large; what was saved before is whole" in errors.splitlines()[-1]
    after = {p.name: p.read_bytes() for p in (folder / out).rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert before == {name: after[name] for name in before}
    assert_resumes(folder, out)


def test_ctrl_c_stops_cleanly(folder):
    process = start(folder, "stopped", "--workers", 2, epochs=500)
    while not (folder / "stopped" / "last" / "state.json").exists():
        assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and errors.splitlines()[-1] == "ssdzoo: stopped" and "Traceback" not in errors
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
