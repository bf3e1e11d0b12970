"""Training with several processes through MXNet's parameter server (ps-lite), and starting them.

A scheduler connects the others. Servers add up gradients. Workers train, each on its part of every batch. All read the
environment variables DMLC_*, which `launch` sets. A scheduler or a server serves from the import of mxnet until the workers are
done.
"""

import atexit
import contextlib
import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.machine import cores
from ssdzoo.progress import counted
from ssdzoo.quote import short
from ssdzoo.runtime import cpu_settings
from ssdzoo.train.channel import Unreachable, reach
from ssdzoo.train.meeting import Hub, Member
from ssdzoo.train.nodes import PORT, ROOT, WORKERS, Node, given, this_node, whole
from ssdzoo.version import __version__

SERVERS = "DMLC_NUM_SERVER"
WORKER = "DMLC_WORKER_ID"  # not of MXNet, whose parameter server numbers the workers by their addresses
JOINING = 120  # seconds in which the processes have to meet

_SERVE = [sys.executable, "-c", "from ssdzoo.runtime import mxnet; mxnet()"]
# A worker that is stopped may wait inside of mxnet and cannot clean up. Python's tracker does it then, and would warn of it.
_QUIET_TRACKER = "ignore::UserWarning:multiprocessing.resource_tracker"
_PATIENCE = 10  # seconds in which processes end by themselves


def connect(kind: str) -> Any:
    """MXNet's key-value store of that kind, of a process that `launch` started.

    Raises:
        CallError: it did not.
        SSDZooError: the scheduler or the other processes do not answer within `JOINING` seconds.
    """
    if os.environ.get("DMLC_ROLE") != "worker":
        raise CallError(
            f"kvstore={kind} trains together with other processes: start them all with ssdzoo launch -n N -- train ..."
        )
    for name in (WORKERS, SERVERS, PORT):
        whole(os.environ, name, 1)
    _await_scheduler(given(os.environ, ROOT), whole(os.environ, PORT, 1))
    from ssdzoo.runtime import mxnet

    create, made = mxnet().kv.create, []
    maker = threading.Thread(target=lambda: made.append(create(kind)), daemon=True)  # it waits without an end
    maker.start()
    maker.join(JOINING)
    if not made:
        atexit.register(_leave)
        raise SSDZooError(
            f"{WORKERS}={os.environ[WORKERS]} workers and {SERVERS}={os.environ[SERVERS]} servers have not met within {JOINING} "
            "seconds: were all of them started, and are all ports open between the machines?"
        )
    return made[0]


def _leave() -> None:
    """Ends a process whose thread waits inside of mxnet, which would abort it at its end."""
    sys.stdout.flush()
    os._exit(1)


def worker_rank(store: Any) -> int:
    """The number of this process among those that train: the one that `launch` gave it, or of others that of the store."""
    return int(os.environ.get(WORKER, store.rank))


def _await_scheduler(host: str, port: int) -> None:
    """Waits until the scheduler listens. MXNet would wait without an end and without a word."""
    try:
        reach(host, port, JOINING).close()
    except Unreachable as error:
        raise SSDZooError(
            f"the scheduler does not answer at {ROOT}={short(host)}, {PORT}={port} within {JOINING} seconds ({error}): was it "
            "started, and are all ports open between the machines?"
        ) from None


@dataclass
class Process:
    """A process of a distributed training; `name` is for messages, `trains` says whether it is a worker."""

    name: str
    popen: subprocess.Popen
    trains: bool = False


def launch(arguments: list, workers: int | None = None, servers: int = 1, hosts: list | None = None, wait: float = 300) -> None:
    """Starts a scheduler, servers and workers, and waits until the workers have ended.

    On one of several nodes (see `ssdzoo.train.nodes.this_node`) it starts those of this one, and waits for all of them.

    Args:
        arguments: of the command `ssdzoo` in each worker, such as ["train", ...].
        workers: number of processes that train; of several nodes, on each. By default 2, or 1 on each of several nodes.
        servers: number of processes that add up gradients, of all nodes together.
        hosts: names for ssh, which get the servers and workers in turn. Each needs this folder, this Python and access without
            a password. None starts all on this machine.
        wait: seconds in which all nodes have to come.

    Raises:
        CallError: impossible numbers, or nodes that were started with different ones.
        SSDZooError: a process failed or was killed, or a node did not come or is gone; the others have been stopped.
    """
    if (workers is not None and workers < 1) or servers < 1:
        raise CallError(f"{counted(workers or 0, 'worker')} and {counted(servers, 'server')}: expected one of each, or more")
    node = None if hosts else this_node(os.environ, workers or 1)
    workers = workers or 2
    if node:
        _launch_node(node, arguments, servers, wait)
        return
    address = _own_address(hosts[0]) if hosts else "127.0.0.1"
    common = _common(address, _free_port(), workers, servers)
    if not hosts:
        common.update(_of_this_machine(address, workers))
    places = [None] * (servers + workers) if not hosts else [hosts[i % len(hosts)] for i in range(servers + workers)]
    with _stopped() as started:
        _start_servers(started, common, range(servers), places[:servers], scheduler=True)
        _start_workers(started, common, arguments, range(workers), places[servers:])
        _wait(started)


def _launch_node(node: Node, arguments: list, servers: int, wait: float) -> None:
    """The part of `launch` of one of several nodes: its workers and servers, and on the first one the scheduler."""
    hello = {
        "job": node.job, "host": socket.gethostname(), WORKERS: node.count * node.workers, "workers": node.workers,
        "servers": servers, "version": __version__, "command": shlex.join(arguments),
    }  # fmt: skip
    with contextlib.ExitStack() as ends:
        if node.rank == 0:
            hub = Hub(node, hello, {"port": _free_port()}, wait)
            ends.callback(hub.close)
            hub.start()
        member = Member(node, hello, wait, os.environ.get("DMLC_NODE_HOST"))
        ends.callback(member.close)
        started = ends.enter_context(_stopped())
        try:
            told = member.start()
            common = {
                **_common(told["root"], told["port"], node.count * node.workers, servers),
                **_of_this_machine(member.address if node.rank else told["root"], node.workers),
            }
            mine = range(node.rank, servers, node.count)
            _start_servers(started, common, mine, [None] * len(mine), scheduler=node.rank == 0)
            first = node.rank * node.workers
            _start_workers(started, common, arguments, range(first, first + node.workers), [None] * node.workers)
            _wait(started, member.check, f" on node {node.rank} ({socket.gethostname()})")
            member.finish()
        except SSDZooError as error:
            member.tell(error)
            raise
        except KeyboardInterrupt:
            member.tell(SSDZooError(f"node {node.rank} ({socket.gethostname()}) was stopped, and all others with it"))
            raise


def _common(address: str, port: int, workers: int, servers: int) -> dict:
    """Variables that all processes read."""
    quiet = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), _QUIET_TRACKER)))
    return {ROOT: address, PORT: str(port), WORKERS: str(workers), SERVERS: str(servers), "PYTHONWARNINGS": quiet}


def _of_this_machine(address: str, workers: int) -> dict:
    """Variables of the processes of a machine of that address: as many threads as there are cores, over its workers together."""
    return {"DMLC_NODE_HOST": address, **cpu_settings(max(1, cores() // workers))}


def _start_servers(started: list, common: dict, numbers: Sequence[int], places: list, scheduler: bool) -> None:
    # Only what trains has an engine of its own: the others would announce it.
    quiet = {k: v for k, v in common.items() if k != "MXNET_ENGINE_TYPE"}
    if scheduler:
        started.append(Process("the scheduler", _start(_SERVE, {**quiet, "DMLC_ROLE": "scheduler"}, None)))
    for i, place in zip(numbers, places, strict=True):
        started.append(Process(f"server {i}", _start(_SERVE, {**quiet, "DMLC_ROLE": "server"}, place)))


def _start_workers(started: list, common: dict, arguments: list, numbers: Sequence[int], places: list) -> None:
    command = [sys.executable, "-m", "ssdzoo", *arguments]
    for i, place in zip(numbers, places, strict=True):
        environment = {**common, "DMLC_ROLE": "worker", WORKER: str(i)}
        started.append(Process(f"worker {i}", _start(command, environment, place), trains=True))


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
    return subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)


def end_with_parent() -> None:
    """Asks the kernel, where it is Linux, to end this process with the one that started it, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait(processes: list, check: Callable[[], None] = lambda: None, where: str = "") -> None:
    """Until all workers have ended well.

    Args:
        check: called again and again; raises when other nodes failed.
        where: the words for this node.
    """
    workers = [process for process in processes if process.trains]
    helpers = [process for process in processes if not process.trains]
    while any(process.popen.poll() is None for process in workers):
        failed = _failed(helpers, workers)
        if failed:
            time.sleep(1)  # of several that end together, a worker knows why
            failed = _failed(helpers, workers)
            break
        check()
        time.sleep(0.1)
    else:
        failed = _failed([], workers)
    if failed:
        status, name = failed.popen.returncode, failed.name + where
        if status == 2:
            raise CallError(f"{name} could not start: its command is wrong, see its message{' there' if where else ' above'}")
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise SSDZooError(
            f"{name} {how}, so the training cannot go on and the others were stopped; the training "
            "can be resumed from what the run folder holds"
        )


def _failed(helpers: list, workers: list) -> Process | None:
    """A process that failed or was killed, or None. The others may end before the last worker does."""
    return next((process for process in [*workers, *helpers] if process.popen.poll()), None)


@contextlib.contextmanager
def _stopped() -> Iterator[list]:
    """A list of processes that are stopped at the end."""
    processes: list = []
    try:
        yield processes
    finally:
        _stop(processes)


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
