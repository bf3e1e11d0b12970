"""`ssdzoo launch` on two nodes, as srun, Kubernetes or a person start it there."""

import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.train import distributed
from ssdzoo.train.channel import reach
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Settings
from ssdzoo.train.trainer import Trainer, TrainingData
from tests.command import ssdzoo
from tests.train.cluster import PORT, Cluster, Namespaces, ends, kill_last_child, opened, wait_for
from tests.train.jobs import Recorded, rows
from tests.train.test_distributed import arguments, first_epoch  # noqa: F401

TRAIN = ["train", "MODEL", "DATA", "--out", "RUN"]


def slurm(rank):
    return {
        "SLURM_JOB_ID": "4242", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(rank),
        "SLURM_STEP_NODELIST": "127.0.0.[2-3]",
    }  # fmt: skip


def kubernetes(cluster, rank):
    return {**{k: v for k, v in cluster.dmlc(rank).items() if k != "DMLC_TASK_ID"}, "JOB_COMPLETION_INDEX": str(rank)}


@pytest.fixture
def node(monkeypatch):
    """A function that sets the variables of a node."""
    return lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


def test_node_0_that_cannot_be_reached(node):
    node(**Cluster().dmlc(1))
    _, errors = ssdzoo("launch", "--wait", 1, "--", *TRAIN, status=1)
    assert errors.count("\n") == 1 and f"node 0 does not answer at DMLC_PS_ROOT_URI=127.0.0.2, DMLC_PS_ROOT_PORT={PORT}" in errors


def test_a_node_that_is_missing(node):
    node(**Cluster().dmlc(0))
    _, errors = ssdzoo("launch", "--wait", 1, "--", *TRAIN, status=1)
    assert errors.count("\n") == 1 and "1 of 2 nodes came within 1 seconds, and number 1 did not" in errors


def test_variables_that_are_wrong(node):
    node(**Cluster().dmlc(2))
    assert "DMLC_TASK_ID=2: expected 0 to 1" in ssdzoo("launch", "--", *TRAIN, status=2)[1]


def test_a_worker_whose_scheduler_cannot_be_reached(node, monkeypatch):
    monkeypatch.setattr(distributed, "JOINING", 0.1)
    node(DMLC_ROLE="worker", DMLC_PS_ROOT_URI="127.0.0.2", DMLC_PS_ROOT_PORT=PORT, DMLC_NUM_WORKER="2")
    with pytest.raises(CallError, match="DMLC_NUM_SERVER is not set"):
        distributed.connect("dist_sync")
    node(DMLC_NUM_SERVER="1")
    with pytest.raises(
        SSDZooError, match=f"the scheduler does not answer at DMLC_PS_ROOT_URI=127.0.0.2, DMLC_PS_ROOT_PORT={PORT}"
    ):
        distributed.connect("dist_sync")


@pytest.fixture
def usual(arguments):  # noqa: F811
    return [*arguments, "--eval-every", 1, "--lr", 0.01, "--batch-size", 4]


@pytest.mark.long
def test_two_nodes_train_like_one_with_twice_the_batch_and_go_on_after_one_was_killed(usual, tmp_path):
    """Node 0 has the run folder. Threads are set, as clusters do: MXNet's engine of several threads runs then."""
    ssdzoo(*usual, "--epochs", 1, "--batch-size", 8, "--out", tmp_path / "one")
    run = tmp_path / "two"
    with opened(Namespaces) as cluster:
        environments = [cluster.dmlc(rank, DMLC_NUM_WORKER="4") for rank in range(2)]
        words = [*usual, "--batch-size", 2, "--out", run]
        processes = cluster.launch([*words, "--epochs", 500], *environments, options=("-n", 2, "-s", 2))
        wait_for(run / "last" / "state.json", processes)
        kill_last_child(processes[1])
        (status, message), other = ends(processes, 30)
        assert (status, message) == other and status == 1
        assert "worker 3 on node 1 (" in message and "was killed by signal 9, so the training cannot go on" in message
        np.testing.assert_allclose(first_epoch(tmp_path / "one"), first_epoch(run), rtol=1e-4)
        done = json.loads((run / "last" / "state.json").read_text())["epoch"]
        again = cluster.launch([*words, "--epochs", done + 1, "--resume"], *environments, options=("-n", 2, "-s", 2))
        assert [status for status, _ in ends(again, 300)] == [0, 0]
    assert [int(row["epoch"]) for row in rows(run)] == list(range(1, done + 2))


@pytest.mark.long
def test_a_network_that_is_cut(usual, tmp_path):
    run = tmp_path / "run"
    with opened(Namespaces) as cluster:
        processes = cluster.launch([*usual, "--epochs", 500, "--out", run], *map(cluster.dmlc, range(2)))
        wait_for(run / "last" / "state.json", processes)
        cluster.cut()
        (first, here), (second, there) = ends(processes, 60)
    assert first == second == 1
    assert "node 1 (" in here and "node 0 (10.231.7.1, port" in there
    assert all("has not answered for 30 seconds, so the training cannot go on" in text for text in (here, there))


@pytest.mark.long
def test_steps_of_slurm(usual, tmp_path):
    """Until node 0 is killed with all that runs there."""
    run = tmp_path / "run"
    with opened(Cluster) as cluster:
        processes = cluster.launch([*usual, "--epochs", 500, "--out", run], *map(slurm, range(2)))
        wait_for(run / "last" / "state.json", processes)
        os.kill(processes[0].pid, signal.SIGKILL)
        status, message = ends(processes[1:], 30)[0]
    assert status == 1 and "node 0 (127.0.0.2, port 24242) ended without a word" in message


@pytest.mark.long
def test_an_indexed_job_of_kubernetes(usual, tmp_path):
    """Node 0 starts last, and a signal ends node 1, as it does where a pod has to leave."""
    run = tmp_path / "run"
    with opened(Namespaces) as cluster:
        words = ["-m", "ssdzoo", "launch", "--", *usual, "--epochs", 500, "--out", run]
        processes = [cluster.start(rank, *words, **kubernetes(cluster, rank)) for rank in (1, 0)]
        wait_for(run / "last" / "state.json", processes)
        processes[0].send_signal(signal.SIGTERM)
        (leaving, _), (status, message) = ends(processes, 30)
    assert leaving == 143 and status == 1 and message.startswith("ssdzoo: node 1 (") and "was stopped" in message


@pytest.mark.long
@pytest.mark.parametrize("environments, status, message", [
    (({}, {"DMLC_TASK_ID": "0"}), 1, "cannot listen there (Address already in use)"),
    (({}, {"DMLC_NUM_WORKER": "3"}), 2, "was started with DMLC_NUM_WORKER 3, node 0 with 2: start all nodes alike"),
    (({"DMLC_NUM_WORKER": "3"}, {"DMLC_NUM_WORKER": "3"}), 1, "2 of 3 nodes came within 8 seconds, and number 2 did not"),
])  # fmt: skip
def test_nodes_that_do_not_fit_together(environments, status, message):
    with opened(Cluster) as cluster:
        both = [cluster.dmlc(rank, **changes) for rank, changes in enumerate(environments)]
        processes = cluster.launch(TRAIN, *both, options=("--wait", 8))
        found = ends(processes, 60)
    assert (status, message) in [(code, text[text.find(message) :][: len(message)]) for code, text in found]
    assert found[0] == found[1] or "number 1 did not" in str(found)  # two of number 0 never meet


@pytest.mark.long
def test_a_worker_that_meets_nobody():
    """A scheduler that waits for two workers, of which one was started by hand."""
    code = "from ssdzoo.train import distributed as d; d.JOINING = 8; d.connect('dist_sync')"
    with opened(Cluster) as cluster:
        common = {**cluster.dmlc(0), "DMLC_NUM_SERVER": "1"}
        cluster.start(0, "-c", "from ssdzoo.runtime import mxnet; mxnet()", DMLC_ROLE="scheduler", **common)
        reach(cluster.addresses[0], int(PORT), 120).close()
        worker = cluster.start(0, "-c", code, DMLC_ROLE="worker", **common)
        _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 1
    assert "DMLC_NUM_WORKER=2 workers and DMLC_NUM_SERVER=1 servers have not met within 8 seconds" in errors


def test_a_run_folder_that_the_nodes_do_not_share(data, tmp_path):
    engine = SimpleNamespace(rank=1, processes=2, preset=SimpleNamespace(base_size=(64, 64)), share=lambda value: 12.0)
    settings = Settings(lr=0.1, workers=0, augment="ssd", schedule="step")
    trainer = Trainer(engine, TrainingData(load_dataset(data, "train")), Run(tmp_path), settings, Recorded())
    with pytest.raises(SSDZooError, match="holds 0 updates here and 12 where the first process is: all processes need the same"):
        trainer.fit()
