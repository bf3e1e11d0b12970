"""What tests of hostile input share: limits of time and memory, and files that are none."""

import os
import resource
import signal
import socket

import pytest


@pytest.fixture(autouse=True)
def limits():
    """A minute of processor time, of which a hang takes more on any machine; five minutes in all, because who waits for a FIFO
    takes no processor time; and 1 GiB more memory than now."""

    def late(*_):
        pytest.fail("a hang")  # no OSError, as which it would be reported like that of a file

    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    handlers = {sign: signal.signal(sign, late) for sign in (signal.SIGALRM, signal.SIGPROF)}
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    signal.setitimer(signal.ITIMER_PROF, 60)
    signal.alarm(300)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, before)
    for sign, handler in handlers.items():
        signal.signal(sign, handler)


def put(kind, path):
    """Replaces a file by something else; returns what errors call it."""
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
        return "a FIFO, not a file"
    if kind == "device":
        path.symlink_to("/dev/zero")
        return "a device, not a file"
    if kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
        os.chdir(here)
        return "a socket, not a file"
    with open(path, "wb") as file:
        file.truncate(40 << 30)
    return "byte 0 is zero"
