"""Which node of a cluster this one is, by its environment: DMLC_*, Slurm's variables, or an Indexed Job of Kubernetes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ssdzoo.errors import CallError
from ssdzoo.progress import counted
from ssdzoo.quote import short

ROOT, PORT, WORKERS, TASK = "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_TASK_ID"
_INDEX, _HOSTS, _JOB = "JOB_COMPLETION_INDEX", "SLURM_STEP_NODELIST", "job"
# Slurm names no port. From here on, up to where Linux begins to give ports to whoever asks.
_FIRST_PORT, _PORTS = 20000, 12000


@dataclass(frozen=True)
class Node:
    """A node of a training on several.

    Attributes:
        rank: its number, from 0 on; that of rank 0 connects the others.
        count: the number of nodes.
        workers: processes that train, on each node.
        root: name or address of node 0; `port`: where it listens.
        job: what tells this training from others of the cluster; "" where nothing does.
    """

    rank: int
    count: int
    workers: int
    root: str
    port: int
    job: str = ""


def this_node(environment: Mapping[str, str], workers: int = 1) -> Node | None:
    """This node, or None where nothing says that there are others.

    Args:
        environment: the variables. DMLC_PS_ROOT_URI (node 0), DMLC_PS_ROOT_PORT, DMLC_NUM_WORKER (of all nodes) and DMLC_TASK_ID
            (this node's number). What of them is not set comes from a step of Slurm, and the number from an Indexed Job of
            Kubernetes.
        workers: processes that train, on each node.

    Raises:
        CallError: a variable is missing or wrong.
    """
    slurm = _slurm(environment, workers)
    if ROOT not in environment and not slurm:
        return None
    if "DMLC_ROLE" in environment:
        raise CallError("DMLC_ROLE is set, which launch sets for the processes that it starts: leave it out")
    found = {**slurm, **environment}
    count, rest = divmod(whole(found, WORKERS, 1), workers)
    if rest:
        raise CallError(
            f"{WORKERS}={found[WORKERS]}: expected the workers of all nodes together, a multiple of the {workers} of this one"
        )
    if slurm and slurm[WORKERS] != found[WORKERS]:
        raise CallError(
            f"{WORKERS}={found[WORKERS]}: srun started {counted(int(slurm[WORKERS]) // workers, 'task')} with "
            f"{counted(workers, 'worker')} each, which is {slurm[WORKERS]}; leave the variable out"
        )
    task = next((name for name in (TASK, _INDEX) if name in found), TASK)
    rank, port = whole(found, task, 0), whole(found, PORT, 1)
    if rank >= count:
        raise CallError(
            f"{task}={rank}: expected 0 to {count - 1}, because {WORKERS}={found[WORKERS]} makes {counted(count, 'node')}"
        )
    if port > 65535:
        raise CallError(f"{PORT}={port}: expected a port, 1 to 65535")
    return Node(rank, count, workers, given(found, ROOT), port, slurm.get(_JOB, ""))


def _slurm(environment: Mapping[str, str], workers: int) -> dict[str, str]:
    """What the variables of a step of Slurm with several tasks stand for; nothing outside of one."""
    tasks = whole(environment, "SLURM_STEP_NUM_TASKS", 1) if "SLURM_STEP_NUM_TASKS" in environment else 1
    if tasks == 1:
        return {}
    job = f"{given(environment, 'SLURM_JOB_ID')}.{given(environment, 'SLURM_STEP_ID')}"
    return {
        ROOT: hosts_of(given(environment, _HOSTS))[0], PORT: str(_FIRST_PORT + sum(map(int, re.findall(r"\d+", job))) % _PORTS),
        WORKERS: str(tasks * workers), TASK: given(environment, "SLURM_PROCID"), _JOB: job,
    }  # fmt: skip


def hosts_of(text: str) -> list[str]:
    """The names in a list of hosts as Slurm writes it: "a[01-03,7],b" gives a01, a02, a03, a7, b.

    Raises:
        CallError: not such a list.
    """
    hosts = []
    for part in re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", text):
        names = [""]
        for literal, ranges in re.findall(r"([^\[\]]+)|\[([^\[\]]*)\]", part):
            names = [name + end for name in names for end in ([literal] if literal else _numbers(ranges, text))]
        hosts += names
    if not hosts:
        raise CallError(f"{_HOSTS}={short(text)}: no names of hosts in it")
    return hosts


def _numbers(ranges: str, text: str) -> list[str]:
    """Of "01-03,7": 01, 02, 03, 7."""
    numbers = []
    for part in ranges.split(","):
        bounds = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if not bounds or not first <= last < first + 100_000:
            raise CallError(f"{_HOSTS}={short(text)}: cannot be read at [{short(ranges)}]")
        numbers += [str(i).zfill(len(bounds[1])) for i in range(first, last + 1)]
    return numbers


def given(environment: Mapping[str, str], name: str) -> str:
    """The value of a variable.

    Raises:
        CallError: it is not set, or empty.
    """
    value = environment.get(name, "")
    if not value:
        raise CallError(
            f"{name} is not set: a training on several nodes needs {ROOT}, {PORT}, {WORKERS} and {TASK}, "
            "which srun and Indexed Jobs of Kubernetes give in part"
        )
    return value


def whole(environment: Mapping[str, str], name: str, minimum: int) -> int:
    """The number that a variable holds.

    Raises:
        CallError: it is not set, no whole number, or below the minimum.
    """
    text = given(environment, name)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= minimum):
        raise CallError(f"{name}={short(text)}: expected a whole number, {minimum} or more")
    return int(text)
