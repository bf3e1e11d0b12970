"""Processes of which one is lost, while the first one works on its own and another one waits for it."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]
# Arguments: the signal that number 2 gets; the seconds in which the first one works, and whether it then looks for losses; a
# folder, in which each writes a file.
PROGRAM = """
import logging, os, sys, time, torch
from ssdzoo.errors import SSDZooError
from ssdzoo.train.torch import heartbeat
from ssdzoo.train.torch.processes import Processes

heartbeat.BEAT, heartbeat.SILENCE, heartbeat._GRACE = 0.2, 2.0, 1.0
sent, seconds, looks = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "True"


def work(rank):
    os.environ["RANK"] = str(rank)
    logging.basicConfig(format="thread: %(message)s", stream=sys.stdout)
    processes = Processes(torch.device("cpu"))
    if rank == 2 and sent:
        time.sleep(0.5)
        os.kill(os.getpid(), sent)
    end = time.monotonic() + seconds
    while rank == 0 and time.monotonic() < end:
        time.sleep(0.1 if looks else seconds)
        processes.check()
    value = processes.share(7.5 + rank)
    processes.close()
    print(value, flush=True)


def child(rank):
    sys.stdout = open(f"{sys.argv[4]}/{rank}", "w")
    try:
        work(rank)
    except SSDZooError as error:
        print(error, flush=True)
        return 1
    return 0


children = {}
for rank in range(3):
    pid = os.fork()
    if not pid:
        os._exit(child(rank))
    children[rank] = pid
for rank in range(2):
    print(os.waitstatus_to_exitcode(os.waitpid(children[rank], 0)[1]))
if sent:
    os.kill(children[2], 9)
os.waitpid(children[2], 0)
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """A function that runs three processes; what each said, and the exit statuses of the first two."""

    def run(*arguments):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for name, value in ("WORLD_SIZE", 3), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port), ("GLOO_SOCKET_IFNAME", "lo"):
            monkeypatch.setenv(name, str(value))
        words = [sys.executable, "-c", PROGRAM, *map(str, arguments), str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert done.returncode == 0, done.stderr
        return [(tmp_path / str(rank)).read_text().strip() for rank in range(3)], list(map(int, done.stdout.split()))

    return run


def lost(*ranks):
    names = " and ".join(f"process {rank} ({socket.gethostname()})" for rank in ranks)
    return f"{names} ended or stopped answering, so this training cannot go on; the same command with resume=True continues it"


def test_a_process_that_is_killed_while_the_first_one_evaluates(said):
    (first, second, _), statuses = said(signal.SIGKILL, 60, True)
    assert first == lost(2) and statuses == [1, 1]
    assert second.removeprefix("thread: ") in (lost(2), lost(0, 2))  # the first one has ended too


@pytest.mark.long
def test_waiting_for_the_first_process_longer_than_the_limit(said):
    assert said(0, 6, True) == (["7.5"] * 3, [0, 0])


@pytest.mark.long
def test_a_process_that_stops_answering_while_the_main_thread_is_busy(said):
    (first, second, _), statuses = said(signal.SIGSTOP, 3600, False)
    assert first == f"thread: {lost(2)}" and statuses == [1, 1]
    assert second.removeprefix("thread: ") in (lost(0), lost(0, 2))  # the first one left it when it lost the other one
