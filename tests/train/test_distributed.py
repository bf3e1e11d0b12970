import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ssdzoo.demo.shapes import write_shapes
from ssdzoo.errors import CallError
from ssdzoo.train.distributed import launch
from tests.command import ssdzoo
from tests.train.jobs import rows

# No norm depends on how a batch is divided: those of the backbone are frozen.
TABLE = """
backbone = "mobilenet0.25"
base_size = 64
features = ["relu10_fwd", "relu22_fwd", "relu26_fwd"]
filters = []
sizes = [12, 24, 40, 60]
ratios = [[1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5]]
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    data = write_shapes(folder / "data", 37, 2, 0)
    (folder / "table.toml").write_text(TABLE)
    return ["train", str(folder / "table.toml"), str(data), "--workers", "0", "--freeze-norm", "--base-weights", "none"]


def run(arguments, **kwargs):
    return subprocess.Popen([sys.executable, "-m", "ssdzoo", *map(str, arguments)], cwd=Path(__file__).parents[2], **kwargs)


def first_epoch(folder):
    return [float(rows(folder)[0][column]) for column in ("lr", "loss", "cls_loss", "box_loss", "mAP")]


def test_two_workers_train_like_one_with_twice_the_batch_until_one_is_killed(arguments, tmp_path):
    """An epoch has five updates: the last batch has 5 images, 3 for one worker and 2 for the other."""
    usual = [*arguments, "--eval-every", 1, "--lr", 0.01]
    ssdzoo(*usual, "--epochs", 1, "--batch-size", 8, "--out", tmp_path / "one")
    together = [*usual, "--epochs", 500, "--batch-size", 4, "--out", tmp_path / "two"]
    process = run(["launch", "-n", 2, "-s", 1, "--", *together], stderr=subprocess.PIPE, text=True)
    state = tmp_path / "two" / "last" / "state.json"
    deadline = time.monotonic() + 60
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 4
    os.kill(int(children[-1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1 and "ssdzoo: worker 1 was killed by signal 9, so the training cannot go on" in errors
    assert "Traceback" not in errors
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    np.testing.assert_allclose(first_epoch(tmp_path / "one"), first_epoch(tmp_path / "two"), rtol=1e-4)


def test_impossible_launches(tmp_path):
    with pytest.raises(CallError, match="0 workers and 1 server:"):
        launch(["train"], 0, 1)


@pytest.mark.long
def test_a_host_file_starts_the_same_over_ssh(arguments, tmp_path, monkeypatch):
    """With a stand-in for ssh that runs its last argument here."""
    (tmp_path / "ssh").write_text('#!/bin/sh\necho "$@" >> "$0.log"\nfor last; do :; done\nexec sh -c "$last"\n')
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "hosts").write_text("localhost  # this machine\n\nuser@127.0.0.1\n")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "DMLC_NODE_HOST": "127.0.0.1",
    }
    command = ["launch", "-n", 2, "-s", 1, "--hosts", tmp_path / "hosts", "--", *arguments]
    assert (
        run([*command, "--epochs", 1, "--batch-size", 4, "--val-split", "none", "--out", tmp_path / "run"], env=environment).wait(
            120
        )
        == 0
    )
    assert (tmp_path / "run" / "metrics.csv").is_file()
    calls = (tmp_path / "ssh.log").read_text().splitlines()
    assert sorted(line.split()[3] for line in calls) == ["localhost", "localhost", "user@127.0.0.1"]
    assert all(line.startswith("-tt -o BatchMode=yes") and "DMLC_PS_ROOT_URI=127.0.0.1" in line for line in calls)


@pytest.mark.long
def test_a_wrong_command_is_no_training_that_could_be_resumed(tmp_path):
    process = run(["launch", "--", "train", "nomodel", "nowhere", "--out", tmp_path / "run"], stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and "could not start: its command is wrong" in errors and "--resume" not in errors


@pytest.mark.parametrize(
    "text, message", [("# none\n", "no hosts in it"), ("a b\n", "'a b' is no host"), ("-oProxyCommand=x\n", "is no host")]
)
def test_wrong_host_files(text, message, tmp_path):
    (tmp_path / "hosts").write_text(text)
    assert message in ssdzoo("launch", "--hosts", tmp_path / "hosts", "--", "train", "x", status=2)[1]


def test_a_folder_as_host_file(tmp_path):
    _, errors = ssdzoo("launch", "--hosts", tmp_path, "--", "train", "x", status=2)
    assert "cannot be read as a list of machines: Is a directory" in errors
