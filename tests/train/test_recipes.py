"""The recipes for clusters: their form, and what they call, with the variables that Slurm and Kubernetes set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ssdzoo.train.nodes import Node, this_node
from tests.train.cluster import ROOT
from tests.train.jobs import rows
from tests.train.test_distributed import arguments  # noqa: F401

RECIPES = ROOT / "tools" / "recipes"
SLURM, KUBERNETES, KUBERNETES_TORCH = (RECIPES / name for name in ("slurm_train.sh", "k8s_train.yaml", "k8s_train_torch.yaml"))
JOB = {"SLURM_JOB_ID": "4242", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "127.0.0.[2-3]", "SLURM_CPUS_PER_TASK": "8"}
# srun in a word: every task gets the variables of the step.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=$SLURM_JOB_NODELIST
for rank in 0 1; do SLURM_PROCID=$rank DMLC_NODE_HOST=127.0.0.$((rank + 2)) "$@" & started+=($!); done
for one in "${started[@]}"; do wait $one || status=$?; done
exit ${status:-0}
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A function that runs the recipe with stand-ins for Slurm's commands."""
    for name, text in (("srun", SRUN), ("scontrol", "#!/bin/sh\nprintf '127.0.0.2\\n127.0.0.3\\n'\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*words, **programs):
        for name, text in programs.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["bash", SLURM, *map(str, words)], capture_output=True, text=True, timeout=600, cwd=ROOT,
            env={**os.environ, **JOB, "PATH": path, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return run


SAY = '#!/bin/sh\necho "$SLURM_PROCID $SLURM_STEP_NUM_TASKS $(basename $0) $@"\n'


def test_what_the_recipe_of_slurm_calls(slurm, tmp_path):
    done = slurm("MODEL", "my data", tmp_path / "run", "--epochs", 3, ssdzoo=SAY, torchrun=SAY)
    words = f"launch -s 2 -- train MODEL my data --out {tmp_path}/run --epochs 3"
    assert (done.returncode, sorted(done.stdout.splitlines())) == (0, [f"{i} 2 ssdzoo {words}" for i in range(2)])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "args.toml").touch()
    done = slurm("MODEL", "DATA", tmp_path / "run", "--engine", "torch")
    words = "--nnodes 2 --nproc-per-node 1 --master-addr 127.0.0.2 --master-port 24242 -m ssdzoo train MODEL DATA"
    assert sorted(done.stdout.splitlines()) == [
        f"{i} 2 torchrun --node-rank {i} {words} --out {tmp_path}/run --engine torch --resume" for i in range(2)
    ]
    refused = slurm("MODEL")
    assert refused.returncode == 2 and "usage: sbatch" in refused.stderr


def check_pods(file):
    """What both recipes of Kubernetes have in common; the first container and its command."""
    service, job = yaml.safe_load_all(file.read_text("utf-8"))
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"] == 4
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    assert subprocess.run(["bash", "-n", "-c", *container["args"]], capture_output=True).returncode == 0
    return container, f"{job['metadata']['name']}-0.{service['metadata']['name']}", service["spec"]["ports"][0]["port"]


def test_the_recipe_of_kubernetes():
    container, first, port = check_pods(KUBERNETES)
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert this_node({**variables, "JOB_COMPLETION_INDEX": "3"}) == Node(3, 4, 1, first, port)
    assert "ssdzoo launch -s 4 " in container["args"][0]


def test_the_recipe_of_kubernetes_with_torch(tmp_path):
    container, first, port = check_pods(KUBERNETES_TORCH)
    (tmp_path / "torchrun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", *container["args"]], capture_output=True, text=True, env={"PATH": path, "JOB_COMPLETION_INDEX": "3"}
    )
    words = f"--nnodes 4 --node-rank 3 --nproc-per-node 1 --master-addr {first} --master-port {port} -m ssdzoo train"
    assert done.stdout.startswith(words) and container["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.long
@pytest.mark.parametrize("engine", ["mxnet", "torch"])
def test_a_training_by_the_recipe_of_slurm(slurm, arguments, tmp_path, engine):  # noqa: F811
    pytest.importorskip(engine)
    _, model, data, *options = arguments
    options += ["--engine", engine, "--batch-size", 4, "--val-split", "none"]
    for epochs in (1, 2):
        done = slurm(model, data, tmp_path / "run", *options, "--epochs", epochs)
        assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "run")) == 2
