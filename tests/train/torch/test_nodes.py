"""`torchrun` on two nodes: what it trains, and how it ends when a process, a network or a node is lost."""

import json
import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from ssdzoo.train.run import Run
from tests.command import ssdzoo
from tests.train.cluster import Cluster, Namespaces, children, kill_last_child, opened, wait_for
from tests.train.jobs import rows
from tests.train.test_distributed import arguments, first_epoch  # noqa: F401

NODES = ["-m", "torch.distributed.run", "--nnodes", 2, "--nproc-per-node"]


@pytest.fixture
def usual(arguments):  # noqa: F811
    return [*arguments, "--engine", "torch", "--eval-every", 1, "--lr", 0.01, "--batch-size", 4]


def static(cluster, rank):
    return ["--node-rank", rank, "--master-addr", cluster.addresses[0], "--master-port", 29500]


def c10d(cluster, rank):
    endpoint, host = f"{cluster.addresses[0]}:29500", f"is_host={int(rank == 0)}"
    return [
        "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", "cells", "--rdzv-conf", host,
        "--local-addr", cluster.addresses[rank],
    ]  # fmt: skip


def torchrun(cluster, words, meeting=static, processes=1):
    """`torchrun` on both nodes. The name of this machine leads to its loopback interface, which is not the one to use."""
    return [
        cluster.start(rank, *NODES, processes, *meeting(cluster, rank), "-m", "ssdzoo", *words, GLOO_SOCKET_IFNAME="veth0")
        for rank in range(2)
    ]


@contextmanager
def training(usual, run):
    """(cluster, processes) of a training on both nodes that has saved its state."""
    with opened(Namespaces) as cluster:
        processes = torchrun(cluster, [*usual, "--epochs", 500, "--out", run])
        wait_for(run / "last" / "state.json", processes)
        yield cluster, processes


def ends(processes, seconds):
    """[(exit status of torchrun, what ssdzoo said)] of those that end within so many seconds."""
    found = []
    for process in processes:
        _, errors = process.communicate(timeout=seconds)
        found.append((process.returncode, [line for line in errors.splitlines() if line.startswith("ssdzoo: ")]))
    return found


def lost(*ranks):
    """What is said of processes, all of this machine."""
    names = " and ".join(f"process {rank} ({socket.gethostname()})" for rank in ranks)
    return (
        f"ssdzoo: {names} ended or stopped answering, so this training cannot go on; the same command with --resume continues it"
    )


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.long
def test_two_nodes_train_like_one_with_twice_the_batch_and_go_on_after_one_was_killed(usual, tmp_path):
    """An epoch has five updates; the last batch has 5 images, 3 for one process and 2 for the other."""
    ssdzoo(*usual, "--epochs", 1, "--batch-size", 8, "--out", tmp_path / "one")
    run = tmp_path / "two"
    with training(usual, run) as (cluster, processes):
        kill_last_child(processes[1])
        (here, said), (there, _) = ends(processes, 45)
        assert (here, there, said) == (1, 1, [lost(1)])
        np.testing.assert_allclose(first_epoch(tmp_path / "one"), first_epoch(run), rtol=1e-4)
        done = json.loads((run / "last" / "state.json").read_text())["epoch"]
        again = torchrun(cluster, [*usual, "--epochs", done + 1, "--out", run, "--resume"])
        assert ends(again, 300) == [(0, []), (0, [])]
    assert [int(row["epoch"]) for row in rows(run)] == list(range(1, done + 2))


@pytest.mark.long
def test_nodes_of_two_processes_that_meet_at_an_endpoint(usual, tmp_path):
    words = [*usual, "--epochs", 1, "--batch-size", 2, "--out", tmp_path / "run"]
    with opened(Namespaces) as cluster:
        assert ends(torchrun(cluster, words, c10d, processes=2), 300) == [(0, []), (0, [])]
    assert len(rows(tmp_path / "run")) == 1


@pytest.mark.long
def test_a_network_that_is_cut(usual, tmp_path):
    run = tmp_path / "run"
    with training(usual, run) as (cluster, processes):
        cluster.cut()
        assert ends(processes, 90) == [(1, [lost(1)]), (1, [lost(0)])]
    assert Run.resume(run).state()["epoch"] >= 1


@pytest.mark.long
def test_node_0_that_is_killed(usual, tmp_path):
    """Its process ends with torchrun."""
    run = tmp_path / "run"
    with training(usual, run) as (_, processes):
        worker = children(processes[0])[-1]
        os.kill(processes[0].pid, signal.SIGKILL)
        assert ends(processes[1:], 45) == [(1, [lost(0)])]
        assert not alive(worker)
    assert Run.resume(run).state()["epoch"] >= 1


# The limit is 4 seconds, an evaluation takes the given ones, and the end of the first evaluation leaves a file.
SLOW = """
import sys, time
from pathlib import Path
from ssdzoo.cli import main
from ssdzoo.train import trainer
from ssdzoo.train.torch import heartbeat
heartbeat.SILENCE = 4.0
evaluate = trainer.evaluate
def slow(*args, **kwargs):
    Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[1]))
    return evaluate(*args, **kwargs)
trainer.evaluate = slow
main(sys.argv[3:])
"""


@pytest.fixture
def slow(usual, tmp_path):
    """A function that starts a training of one epoch on two nodes, whose evaluation takes so many seconds."""
    (tmp_path / "slow.py").write_text(SLOW)

    def start(cluster, seconds):
        words = [tmp_path / "slow.py", seconds, tmp_path / "begun", *usual, "--epochs", 1, "--out", tmp_path / "run"]
        return [cluster.start(rank, *NODES, 1, *static(cluster, rank), *words, PYTHONPATH=os.getcwd()) for rank in range(2)]

    return start


@pytest.mark.long
def test_an_evaluation_that_is_longer_than_the_limit(slow, tmp_path):
    with opened(Cluster) as cluster:
        assert ends(slow(cluster, 12), 300) == [(0, []), (0, [])]
    assert len(rows(tmp_path / "run")) == 1


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_during_an_evaluation(slow, tmp_path, victim):
    with opened(Cluster) as cluster:
        processes = slow(cluster, 3600)
        wait_for(tmp_path / "begun", processes)
        kill_last_child(processes[victim])
        assert ends([processes[1 - victim]], 45) == [(1, [lost(victim)])]
