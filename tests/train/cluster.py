"""Two nodes of a cluster on this machine: network namespaces with a cable between them, or loopback addresses."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PORT = "29431"
_KEPT = ("DMLC_", "SLURM_", "JOB_COMPLETION", "MXNET_ENGINE", "RANK", "WORLD_SIZE")


class Cluster:
    """`addresses` of its nodes, and what starts a program on one of them."""

    addresses: tuple = ("127.0.0.2", "127.0.0.3")
    prefix: tuple = ((), ())

    def __init__(self):
        self.started = []

    def start(self, rank, *words, **variables):
        """`python WORDS` on a node."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(_KEPT)}
        environment |= {"OMP_NUM_THREADS": "1", **self.own(rank), **variables}
        command = [*self.prefix[rank], sys.executable, *map(str, words)]
        self.started.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        )
        return self.started[-1]

    def own(self, rank):
        """Loopback does not say which node connects."""
        return {"DMLC_NODE_HOST": self.addresses[rank]}

    def launch(self, words, *environments, options=()):
        """`ssdzoo launch` with each environment, on one node after the other."""
        return [self.start(i, "-m", "ssdzoo", "launch", *options, "--", *words, **env) for i, env in enumerate(environments)]

    def dmlc(self, rank, **changes):
        usual = {"DMLC_PS_ROOT_URI": self.addresses[0], "DMLC_PS_ROOT_PORT": PORT, "DMLC_NUM_WORKER": "2"}
        return {**usual, "DMLC_TASK_ID": str(rank), **changes}

    def close(self):
        for process in self.started:
            process.kill()
            process.communicate()


class Namespaces(Cluster):
    """Each node has a network of its own, as a machine does."""

    addresses = ("10.231.7.1", "10.231.7.2")

    def __init__(self):
        super().__init__()
        self.names = [f"ssdzoo-{os.getpid()}-{i}" for i in range(2)]
        self.prefix = tuple(("ip", "netns", "exec", name) for name in self.names)
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", "veth0", "netns", self.names[0], "type", "veth", "peer", "name", "veth0", "netns", self.names[1])
        for name, address in zip(self.names, self.addresses):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "veth0")
            for device in ("lo", "veth0"):
                ip("-n", name, "link", "set", device, "up")

    def own(self, rank):
        return {}

    def cut(self):
        """The cable, so that packets of neither node arrive."""
        ip("-n", self.names[1], "link", "set", "veth0", "down")

    def close(self):
        super().close()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def opened(kind):
    """A Cluster, or a skipped test where this machine allows no namespaces."""
    if kind is Namespaces and (os.geteuid() or not shutil.which("ip")):
        pytest.skip("network namespaces need root and iproute2")
    try:
        cluster = kind()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces: {error.stderr.decode()}")
    try:
        yield cluster
    finally:
        cluster.close()


def wait_for(path, processes, seconds=300):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline and all(p.poll() is None for p in processes), [p.communicate()[1] for p in processes]
        time.sleep(0.05)


def ends(processes, seconds):
    """[(exit status, last line of its messages)] of processes that end within so many seconds."""
    deadline, found = time.monotonic() + seconds, []
    for process in processes:
        _, errors = process.communicate(timeout=max(1, deadline - time.monotonic()))
        assert "Traceback" not in errors, errors
        found.append((process.returncode, errors.strip().rpartition("\n")[2]))
    return found


def children(process):
    """Of a process that may be run by another program: its process ids."""
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def kill_last_child(process):
    """The worker of a node."""
    os.kill(children(process)[-1], signal.SIGKILL)
