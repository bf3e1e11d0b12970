"""`torchrun` on two nodes, with gloo."""

import json
import os
import signal

import pytest

torch = pytest.importorskip("torch")

from tests.train.cluster import Namespaces, children, ends, opened, wait_for
from tests.train.jobs import rows, train
from tests.train.test_distributed import TABLE
from tests.train.torch.test_runs import options, torch_job  # noqa: F401


def torchrun(cluster, rank, job, *more):
    """One of the two nodes; gloo takes the network from a variable, because the name of this machine means no address in it."""
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{cluster.addresses[0]}:29432", "--rdzv-id", "7"]
    nodes = ["--nnodes", 2, "--node-rank", rank, "--nproc-per-node", 1, "--local-addr", cluster.addresses[rank]]
    words = ["train", job["model"], job["data"], "--out", job["out"], "--engine", "torch", *more]
    return cluster.start(
        rank, "-m", "torch.distributed.run", *nodes, *meeting, "-m", "ssdzoo", *words, GLOO_SOCKET_IFNAME="veth0"
    )


@pytest.mark.long
def test_two_nodes_train_like_one_process_and_go_on_after_one_was_killed(torch_job, tmp_path):  # noqa: F811
    (tmp_path / "table.toml").write_text(TABLE)
    one, two = torch_job(out=tmp_path / "one"), torch_job(out=tmp_path / "two")
    train({**one, "batch_size": 8, "freeze_norm": True, "epochs": 3, "schedule": "cosine", "lr": 1e-3})
    chosen = options(two, batch_size=4, schedule="cosine", lr=1e-3)
    with opened(Namespaces) as cluster:
        processes = [torchrun(cluster, rank, two, "--freeze-norm", *chosen) for rank in range(2)]
        for process in processes:
            _, errors = process.communicate(timeout=400)
            assert process.returncode == 0, errors
        for a, b in zip(rows(one["out"]), rows(two["out"]), strict=True):
            for column in ("loss", "cls_loss", "box_loss"):
                assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-3)

        state = two["out"] / "last" / "state.json"
        written = state.stat().st_mtime_ns
        processes = [torchrun(cluster, rank, two, "--resume", "--epochs", 500) for rank in range(2)]
        while state.stat().st_mtime_ns == written:
            wait_for(state, processes)
        os.kill(children(processes[1])[-1], signal.SIGKILL)
        errors = [process.communicate(timeout=120)[1] for process in processes]
        assert [process.returncode for process in processes] == [1, 1]
        assert "another process of this training ended or does not answer" in errors[0] and "Signal 9" in errors[1]
        done = json.loads(state.read_text())["epoch"]
        processes = [torchrun(cluster, rank, two, "--resume", "--epochs", done + 1) for rank in range(2)]
        assert [status for status, _ in ends(processes, 400)] == [0, 0]
    assert [int(row["epoch"]) for row in rows(two["out"])] == list(range(1, done + 2))
