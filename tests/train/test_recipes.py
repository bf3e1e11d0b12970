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

SLURM, KUBERNETES = ROOT / "tools" / "recipes" / "slurm_train.sh", ROOT / "tools" / "recipes" / "k8s_train.yaml"
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
    words = (
        "--nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-id 4242 --rdzv-endpoint 127.0.0.2:24242 -m ssdzoo train MODEL"
    )
    assert sorted(done.stdout.splitlines())[0] == f"0 2 torchrun {words} DATA --out {tmp_path}/run --engine torch --resume"
    refused = slurm("MODEL")
    assert refused.returncode == 2 and "usage: sbatch" in refused.stderr


def test_the_recipe_of_kubernetes():
    service, job = yaml.safe_load_all(KUBERNETES.read_text("utf-8"))
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert this_node({**variables, "JOB_COMPLETION_INDEX": "3"}) == Node(3, 4, 1, "ssdzoo-train-0.ssdzoo-train", 9091)
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"] == 4
    assert variables["DMLC_PS_ROOT_URI"] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    assert subprocess.run(["bash", "-n", "-c", *container["args"]], capture_output=True).returncode == 0
    assert "ssdzoo launch -s 4 " in container["args"][0]


@pytest.mark.long
def test_a_training_by_the_recipe_of_slurm(slurm, arguments, tmp_path):  # noqa: F811
    _, model, data, *options = arguments
    for epochs in (1, 2):
        done = slurm(model, data, tmp_path / "run", *options, "--batch-size", 4, "--val-split", "none", "--epochs", epochs)
        assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "run")) == 2
