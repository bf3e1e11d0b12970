import pytest

from ssdzoo.errors import CallError
from ssdzoo.train.nodes import Node, hosts_of, this_node

DMLC = {"DMLC_PS_ROOT_URI": "ssd-0.ssd", "DMLC_PS_ROOT_PORT": "9091", "DMLC_NUM_WORKER": "4", "DMLC_TASK_ID": "1"}
SLURM = {
    "SLURM_JOB_ID": "1234567", "SLURM_STEP_ID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "2",
    "SLURM_STEP_NODELIST": "gpu[08-10]",
}  # fmt: skip


def without(environment, name):
    return {k: v for k, v in environment.items() if k != name}


def test_the_variables_of_a_node():
    assert this_node(DMLC) == Node(1, 4, 1, "ssd-0.ssd", 9091)
    assert this_node(DMLC, workers=2) == Node(1, 2, 2, "ssd-0.ssd", 9091)
    kubernetes = {**without(DMLC, "DMLC_TASK_ID"), "JOB_COMPLETION_INDEX": "3"}
    assert this_node(kubernetes) == Node(3, 4, 1, "ssd-0.ssd", 9091)


def test_a_step_of_slurm():
    """The port: 20000 + (1234567 + 2) % 12000."""
    assert this_node(SLURM) == Node(2, 3, 1, "gpu08", 30569, "1234567.2")
    assert this_node(SLURM, workers=4) == Node(2, 3, 4, "gpu08", 30569, "1234567.2")
    given = {**SLURM, "DMLC_PS_ROOT_URI": "10.0.0.1", "DMLC_PS_ROOT_PORT": "9091"}
    assert this_node(given) == Node(2, 3, 1, "10.0.0.1", 9091, "1234567.2")


def test_a_machine_alone():
    """Nothing, a batch script of Slurm outside of srun, and srun with one task."""
    batch = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "a[1-2]"}
    for environment in ({}, batch, {**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, {"JOB_COMPLETION_INDEX": "0"}):
        assert this_node(environment) is None


@pytest.mark.parametrize("environment, workers, message", [
    (without(DMLC, "DMLC_PS_ROOT_PORT"), 1, "DMLC_PS_ROOT_PORT is not set: a training on several nodes needs"),
    (without(DMLC, "DMLC_TASK_ID"), 1, "DMLC_TASK_ID is not set"),
    (without(DMLC, "DMLC_NUM_WORKER"), 1, "DMLC_NUM_WORKER is not set"),
    ({**DMLC, "DMLC_NUM_WORKER": "four"}, 1, "DMLC_NUM_WORKER=four: expected a whole number, 1 or more"),
    ({**DMLC, "DMLC_NUM_WORKER": "0"}, 1, "DMLC_NUM_WORKER=0: expected a whole number, 1 or more"),
    (DMLC, 3, "DMLC_NUM_WORKER=4: expected the workers of all nodes together, a multiple of the 3 of this one"),
    ({**DMLC, "DMLC_TASK_ID": "4"}, 1, "DMLC_TASK_ID=4: expected 0 to 3, because DMLC_NUM_WORKER=4 makes 4 nodes"),
    ({**DMLC, "DMLC_TASK_ID": "-1"}, 1, "DMLC_TASK_ID=-1: expected a whole number"),
    ({**DMLC, "DMLC_PS_ROOT_PORT": "65536"}, 1, "DMLC_PS_ROOT_PORT=65536: expected a port"),
    ({**DMLC, "DMLC_ROLE": "worker"}, 1, "DMLC_ROLE is set"),
    ({**SLURM, "DMLC_NUM_WORKER": "2"}, 1, "srun started 3 tasks with 1 worker each, which is 3; leave the variable out"),
    (without(SLURM, "SLURM_STEP_NODELIST"), 1, "SLURM_STEP_NODELIST is not set"),
    ({**SLURM, "SLURM_STEP_NODELIST": "gpu[3-1]"}, 1, r"SLURM_STEP_NODELIST=gpu\[3-1\]: cannot be read at \[3-1\]"),
    ({**SLURM, "SLURM_STEP_NODELIST": "a[1-999999999]"}, 1, "cannot be read"),
    ({**SLURM, "SLURM_STEP_NODELIST": ","}, 1, "no names of hosts"),
])  # fmt: skip
def test_wrong_variables(environment, workers, message):
    with pytest.raises(CallError, match=message):
        this_node(environment, workers)


@pytest.mark.parametrize("text, hosts", [
    ("a", ["a"]), ("a,b-1", ["a", "b-1"]), ("a[01-03,7],b", ["a01", "a02", "a03", "a7", "b"]),
    ("r[1-2]n[8-9].x", ["r1n8.x", "r1n9.x", "r2n8.x", "r2n9.x"]), ("n[099-101]", ["n099", "n100", "n101"]),
])  # fmt: skip
def test_lists_of_hosts(text, hosts):
    assert hosts_of(text) == hosts
