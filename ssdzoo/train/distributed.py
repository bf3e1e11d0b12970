"""Training with several processes through MXNet's parameter server (ps-lite), and starting them.

A scheduler connects the others. Servers add up gradients. Workers train, each on its part of every batch. All read the
environment variables DMLC_*. A scheduler or a server serves from the import of mxnet until the workers are done.
"""

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.machine import cores
from ssdzoo.progress import counted
from ssdzoo.runtime import cpu_settings

_SERVE = [sys.executable, "-c", "from ssdzoo.runtime import mxnet; mxnet()"]
# A worker that is stopped may wait inside of mxnet and cannot clean up. Python's tracker does it then, and would warn of it.
_QUIET_TRACKER = "ignore::UserWarning:multiprocessing.resource_tracker"
_PATIENCE = 10  # seconds in which processes end by themselves


def connect(kind: str) -> Any:
    """MXNet's key-value store of that kind, of a process that `launch` started.

    Raises:
        CallError: it did not.
    """
    if os.environ.get("DMLC_ROLE") != "worker":
        raise CallError(
            f"kvstore={kind} trains together with other processes: start them all with ssdzoo launch -n N -- train ..."
        )
    from ssdzoo.runtime import mxnet

    return mxnet().kv.create(kind)


@dataclass
class Process:
    """A process of a distributed training; `name` is for messages."""

    name: str
    popen: subprocess.Popen


def launch(arguments: list, workers: int, servers: int, hosts: list | None = None) -> None:
    """Starts a scheduler, servers and workers, and waits until the workers have ended.

    Args:
        arguments: of the command `ssdzoo` in each worker, such as ["train", ...].
        workers, servers: numbers of processes.
        hosts: names for ssh, which get the servers and workers in turn. Each needs this folder, this Python and access without
            a password. None starts all on this machine.

    Raises:
        CallError: impossible numbers.
        SSDZooError: a process failed or was killed; the others have been stopped.
    """
    if workers < 1 or servers < 1:
        raise CallError(f"{counted(workers, 'worker')} and {counted(servers, 'server')}: expected one of each, or more")
    address = _own_address(hosts[0]) if hosts else "127.0.0.1"
    common = {
        "DMLC_PS_ROOT_URI": address, "DMLC_PS_ROOT_PORT": str(_free_port()),
        "DMLC_NUM_WORKER": str(workers), "DMLC_NUM_SERVER": str(servers),
        "PYTHONWARNINGS": ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), _QUIET_TRACKER))),
    }  # fmt: skip
    if not hosts:
        common["DMLC_NODE_HOST"] = address
        common.update(cpu_settings(max(1, cores() // workers)))  # as many threads as there are cores, together
    places = [None] * (servers + workers) if not hosts else [hosts[i % len(hosts)] for i in range(servers + workers)]
    # Only what trains has an engine of its own: the others would announce it.
    quiet = {k: v for k, v in common.items() if k != "MXNET_ENGINE_TYPE"}
    command = [sys.executable, "-m", "ssdzoo", *arguments]
    started = []
    try:
        started.append(Process("the scheduler", _start(_SERVE, {**quiet, "DMLC_ROLE": "scheduler"}, None)))
        for i, place in enumerate(places[:servers]):
            started.append(Process(f"server {i}", _start(_SERVE, {**quiet, "DMLC_ROLE": "server"}, place)))
        for i, place in enumerate(places[servers:]):
            started.append(Process(f"worker {i}", _start(command, {**common, "DMLC_ROLE": "worker"}, place)))
        _wait(started[: 1 + servers], started[1 + servers :])
    finally:
        _stop(started)


def _own_address(other: str) -> str:
    """The address of this machine in the network in which `other` is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other.rpartition("@")[2], 9))  # sends nothing
        return probe.getsockname()[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _start(command: list, environment: dict, place: str | None) -> subprocess.Popen:
    if place:
        settings = [f"{k}={v}" for k, v in environment.items()]
        there = f"cd {shlex.quote(str(Path.cwd()))} && exec env {shlex.join(settings + command)}"
        # With a terminal, the process there ends when the connection does.
        return subprocess.Popen(["ssh", "-tt", "-o", "BatchMode=yes", place, there], stdin=subprocess.DEVNULL)
    return subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)


def _end_with_parent() -> None:
    """Asks the kernel to end this process with the one that started it, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait(helpers: list, workers: list) -> None:
    """Until all workers have ended well."""
    while any(process.popen.poll() is None for process in workers):
        failed = _failed(helpers, workers)
        if failed:
            time.sleep(1)  # of several that end together, a worker knows why
            failed = _failed(helpers, workers)
            break
        time.sleep(0.1)
    else:
        failed = _failed([], workers)
    if failed:
        status = failed.popen.returncode
        if status == 2:
            raise CallError(f"{failed.name} could not start: its command is wrong, see its message above")
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise SSDZooError(
            f"{failed.name} {how}, so the training cannot go on and the others were stopped; the training "
            "can be resumed from what the run folder holds"
        )


def _failed(helpers: list, workers: list) -> Process | None:
    """A process that failed or was killed, or None. The others may end before the last worker does."""
    return next((process for process in [*workers, *helpers] if process.popen.poll()), None)


def _stop(processes: list) -> None:
    deadline = time.monotonic() + (_PATIENCE if processes and processes[-1].popen.poll() == 0 else 0)
    for process in processes:
        try:
            process.popen.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.popen.terminate()
    for process in processes:
        try:
            process.popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
