"""The nodes of a training meet on loopback addresses, each in a thread, without the processes that train."""

import socket
import threading
import time

import pytest

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.train import channel, meeting
from ssdzoo.train.meeting import Hub, Member
from ssdzoo.train.nodes import Node

HELLO = {"job": "", "host": "here", "DMLC_NUM_WORKER": 3, "command": "train MODEL DATA --out RUN"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module, name, value in ((channel, "BEAT", 0.05), (channel, "SILENCE", 0.6), (meeting, "SILENCE", 0.6)):
        monkeypatch.setattr(module, name, value)
    for module in (channel, meeting):
        monkeypatch.setattr(module, "POLL", 0.01)


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


@pytest.fixture
def hub(port):
    """A function that starts the hub of three nodes."""
    made = []

    def start(wait=20.0, count=3):
        made.append(Hub(Node(0, count, 1, "127.0.0.2", port), HELLO, {"port": 7}, wait))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.close()
        assert not one.is_alive()


def member(port, rank, wait=5.0, root="127.0.0.2", **changes):
    return Member(Node(rank, 3, 1, root, port), {**HELLO, **changes}, wait, f"127.0.0.{rank + 2}")


def together(*functions):
    """Calls each in a thread of its own; what they returned or raised, and how many seconds it took."""
    found = [None] * len(functions)

    def call(i):
        try:
            found[i] = functions[i]()
        except SSDZooError as error:
            found[i] = error

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(functions))]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found, time.monotonic() - began


def messages(errors):
    """The one message that all of them are."""
    assert all(isinstance(error, SSDZooError) for error in errors) and len({str(error) for error in errors}) == 1, errors
    return str(errors[0])


def waiting(one):
    """Trains until the others have ended it."""
    while True:
        one.check()
        time.sleep(0.01)


def test_nodes_that_come_and_finish_together(hub, port):
    """A visitor without manners, and one with another job, disturb nobody."""
    hub()
    with socket.create_connection(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
        other = member(port, 1, job="5.0")
        with pytest.raises(SSDZooError, match=f"node 0 of another training listens at DMLC_PS_ROOT_PORT={port}"):
            other.start()
        members = [member(port, rank) for rank in range(3)]
        told, _ = together(*(one.start for one in members))
        assert told == [{"port": 7, "root": "127.0.0.2"}] * 3
        assert [one.address for one in members] == ["127.0.0.1", "127.0.0.3", "127.0.0.4"]

        def train(one):
            until = time.monotonic() + 0.8  # longer than any may be silent
            while time.monotonic() < until:
                one.check()
                time.sleep(0.01)
            one.finish()

        assert together(*(lambda one=one: train(one) for one in members))[0] == [None] * 3


@pytest.mark.parametrize("leave, message", [
    (lambda one: one.tell(SSDZooError("worker 1 on node 1 was killed by signal 9")), "worker 1 on node 1 was killed by signal 9"),
    (lambda one: one.close(), r"node 1 \(here, 127.0.0.3\) ended without a word"),
    (lambda one: None, r"node 1 \(here, 127.0.0.3\) has not answered for 0.6 seconds"),
])  # fmt: skip
def test_a_node_that_fails_or_is_gone_ends_all(hub, port, leave, message):
    hub()
    members = [member(port, rank) for rank in range(3)]
    together(*(one.start for one in members))
    leave(members[1])
    errors, seconds = together(*(lambda one=one: waiting(one) for one in (members[0], members[2])))
    assert seconds < 3
    with pytest.raises(SSDZooError, match=message):
        raise SSDZooError(messages(errors))


def test_node_0_is_gone(hub, port):
    started = hub()
    members = [member(port, rank) for rank in range(3)]
    together(*(one.start for one in members))
    started.close()
    assert f"node 0 (127.0.0.2, port {port}) ended without a word" in messages(together(lambda: waiting(members[1]))[0])


def test_a_node_that_is_missing(hub, port):
    """A node that left before all had come may come again."""
    hub(wait=0.5)
    member(port, 1).close()
    time.sleep(0.1)
    text = messages(together(*(member(port, rank).start for rank in (0, 1)))[0])
    assert (
        text
        == "2 of 3 nodes came within 0.5 seconds, and number 2 did not: were all of them started, and is DMLC_NUM_WORKER right?"
    )


def test_two_nodes_of_one_number(hub, port):
    hub()
    found, _ = together(*(member(port, rank).start for rank in (0, 1)), Member(
        Node(1, 3, 1, "127.0.0.2", port), {**HELLO, "host": "here"}, 5, "127.0.0.9").start)  # fmt: skip
    assert "have the same number: give each node its own DMLC_TASK_ID" in messages(found)
    assert all(isinstance(error, CallError) for error in found)


@pytest.mark.parametrize("changes, message", [
    ({"DMLC_NUM_WORKER": 2}, "node 1 (here, 127.0.0.3) was started with DMLC_NUM_WORKER 2, node 0 with 3: start all nodes alike"),
    ({"command": "train MODEL DATA --out RUN --lr 1"}, "was started with command train MODEL DATA --out RUN --lr 1, node 0 with"),
])  # fmt: skip
def test_nodes_that_were_started_differently(hub, port, changes, message):
    hub()
    found, _ = together(member(port, 0).start, member(port, 1, **changes).start)
    assert message in messages(found) and all(isinstance(error, CallError) for error in found)


def test_node_0_that_does_not_answer(port):
    found, seconds = together(lambda: member(port, 1, wait=0.6), lambda: member(port, 1, wait=0.6, root="no.such.host.invalid"))
    assert seconds < 10
    assert (
        f"node 0 does not answer at DMLC_PS_ROOT_URI=127.0.0.2, DMLC_PS_ROOT_PORT={port} within 0.6 seconds (Connection refused"
        in str(found[0])
    )
    assert "DMLC_PS_ROOT_URI=no.such.host.invalid" in str(found[1])


def test_a_port_that_is_taken(port, hub):
    hub()
    with pytest.raises(SSDZooError, match=f"DMLC_PS_ROOT_PORT={port}: node 0 cannot listen there .Address already in use"):
        Hub(Node(0, 3, 1, "127.0.0.2", port), HELLO, {}, 1)
