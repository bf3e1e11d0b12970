"""How the nodes of a training meet, and how each learns that another one ended: through node 0.

A node that dies closes its connection; one that vanishes with its machine or its network sends no signs of life any more. Either
ends the training on all nodes. MXNet's parameter server would wait for it forever.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.progress import counted
from ssdzoo.quote import short
from ssdzoo.train.channel import POLL, SILENCE, Channel, Closed, Unreachable, reach
from ssdzoo.train.nodes import PORT, ROOT, TASK, WORKERS, Node

_PATIENCE = 2.0  # seconds in which the last messages are sent
_RESUMABLE = "so the training cannot go on and all nodes were stopped; it can be resumed from what the run folder holds"


class Hub(threading.Thread):
    """Node 0's end: waits for all nodes, starts them together, and tells all of them how one ended.

    Args:
        node: this one, of rank 0.
        hello: what every node has to say alike: {what: value}.
        start: what all nodes are told when all have come.
        wait: seconds in which they have to come.

    Raises:
        SSDZooError: the port is taken.
    """

    def __init__(self, node: Node, hello: dict, start: dict, wait: float):
        super().__init__(daemon=True)
        self._node, self._hello, self._start, self._wait = node, hello, start, wait
        self._members: dict[int, Channel] = {}
        self._names: dict[int, str] = {}
        self._strangers: list[Channel] = []  # who have not said who they are
        self._refused: list[Channel] = []
        self._done: set[int] = set()
        self._over = False
        self._stopping = threading.Event()
        try:
            self._listener = socket.create_server(("", node.port), backlog=128)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise SSDZooError(f"{PORT}={node.port}: node 0 cannot listen there ({why}): choose another port") from None
        self._listener.setblocking(False)

    def run(self) -> None:
        self._gather(time.monotonic() + self._wait)
        self._listener.close()
        for stranger in self._strangers:
            stranger.close()
        while not self._over and not self._stopping.is_set():
            self._watch()
            time.sleep(POLL)
        self._each(lambda rank: None)  # what came before `close`
        for channel in [*self._members.values(), *self._refused]:
            channel.close(_PATIENCE)

    def close(self) -> None:
        """Ends when all nodes have been told what there was to tell."""
        self._stopping.set()
        self.join(2 * _PATIENCE)

    def _gather(self, deadline: float) -> None:
        while not self._over and not self._stopping.is_set():
            try:
                while True:
                    self._strangers.append(Channel(self._listener.accept()[0]))
            except OSError:
                pass
            for stranger in list(self._strangers):
                self._greet(stranger)
            self._each(self._ended_early)
            if len(self._members) == self._node.count:
                self._tell_all(start=self._start, root=self._own_address())
                return
            if time.monotonic() > deadline:
                missing = [str(i) for i in range(self._node.count) if i not in self._members]
                self._end(
                    f"{len(self._members)} of {counted(self._node.count, 'node')} came within {self._wait:g} seconds, and "
                    f"number {short(', '.join(missing))} did not: were all of them started, and is {WORKERS} right?"
                )
            time.sleep(POLL)

    def _greet(self, stranger: Channel) -> None:
        """Makes a member of one that says who it is, and sends away whoever is not a node."""
        try:
            message = next(iter(stranger.receive()), None)
        except Closed:
            message = {}
        if message is None and not stranger.silent:
            return
        self._strangers.remove(stranger)
        rank, theirs = (message or {}).get("rank"), (message or {}).get("hello")
        if not isinstance(rank, int) or not isinstance(theirs, dict):
            stranger.close()
            return
        if theirs.get("job") != self._hello["job"]:
            stranger.send(end=f"node 0 of another training listens at {PORT}={self._node.port}: choose another port", status=1)
            self._refused.append(stranger)
            return
        name = f"node {rank} ({short(theirs.get('host'))}, {stranger.address})"
        different = next((what for what in self._hello if what != "host" and theirs.get(what) != self._hello[what]), None)
        if not different and rank not in self._members:
            self._members[rank], self._names[rank] = stranger, name
            return
        self._refused.append(stranger)
        if different:
            here, there = (short(values.get(different)) for values in (self._hello, theirs))
            self._end(f"{name} was started with {different} {there}, node 0 with {here}: start all nodes alike", 2)
        else:
            self._end(f"{self._names[rank]} and {name} have the same number: give each node its own {TASK}", 2)

    def _ended_early(self, rank: int) -> None:
        """A node that leaves before all have come may come again."""
        self._members.pop(rank).close()
        self._names.pop(rank)

    def _own_address(self) -> str:
        """Of this machine, as the others reach it."""
        own = [channel.connection.getsockname()[0] for rank, channel in sorted(self._members.items()) if rank]
        return next((address for address in own if not address.startswith("127.")), own[0] if own else "127.0.0.1")

    def _watch(self) -> None:
        self._each(lambda rank: self._end(f"{self._names[rank]} ended without a word, {_RESUMABLE}"))
        if len(self._done) == self._node.count:
            self._tell_all(finish=True)
            self._over = True

    def _each(self, gone: Callable[[int], None]) -> None:
        """Hears what the members say, and calls `gone` with those that ended."""
        for rank, channel in list(self._members.items()):
            try:
                for message in channel.receive():
                    if "end" in message and not self._over:
                        self._end(str(message["end"]), 2 if message.get("status") == 2 else 1)
                    if "done" in message:
                        self._done.add(rank)
                channel.beat()
            except Closed:
                if not self._over:
                    gone(rank)
            if channel.silent and not self._over:
                self._end(f"{self._names[rank]} has not answered for {SILENCE:g} seconds, {_RESUMABLE}")

    def _end(self, text: str, status: int = 1) -> None:
        self._over = True
        self._tell_all(end=text, status=status)

    def _tell_all(self, **message: Any) -> None:
        for channel in [*self._members.values(), *self._refused]:
            channel.send(**message)


class Member:
    """A node's end of the connection with node 0.

    Args:
        node: this one.
        hello: see `Hub`.
        wait: seconds in which node 0 has to answer.
        own: the address of this machine in the network that the nodes use; None for the one that leads to node 0.

    Raises:
        SSDZooError: it does not.
    """

    def __init__(self, node: Node, hello: dict, wait: float, own: str | None = None):
        self._node = node
        self._channel = Channel(_connect(node, wait, own))
        self.address = self._channel.connection.getsockname()[0]
        self._start: dict = {}
        self._finished = False
        self._channel.send(rank=node.rank, hello=hello)

    def start(self) -> dict:
        """Waits until all nodes have come; then what the hub tells all of them, and `root`, the address of node 0.

        Raises:
            SSDZooError: they do not; CallError: they were started differently.
        """
        while not self._start:
            self.check()
            time.sleep(POLL)
        return self._start

    def finish(self) -> None:
        """Says that this node is done, and waits for the others.

        Raises:
            SSDZooError: one of them failed.
        """
        self._channel.send(done=True)
        while not self._finished:
            self.check()
            time.sleep(POLL)

    def check(self) -> None:
        """Hears from node 0.

        Raises:
            SSDZooError: a node failed or is gone; CallError: a node was started wrongly.
        """
        root = f"node 0 ({self._node.root}, port {self._node.port})"
        try:
            messages = self._channel.receive()
        except Closed:
            raise SSDZooError(f"{root} ended without a word, {_RESUMABLE}") from None
        for message in messages:
            if "end" in message:
                raise (CallError if message.get("status") == 2 else SSDZooError)(str(message["end"]))
            if isinstance(message.get("start"), dict):
                self._start = {**message["start"], "root": message.get("root")}
            self._finished = self._finished or "finish" in message
        if self._channel.silent:
            raise SSDZooError(f"{root} has not answered for {SILENCE:g} seconds, {_RESUMABLE}")
        self._channel.beat()

    def tell(self, error: SSDZooError) -> None:
        """Tells the others why this node ends; they end with the same message."""
        self._channel.send(end=str(error), status=2 if isinstance(error, CallError) else 1)

    def close(self) -> None:
        self._channel.close(_PATIENCE)


def _connect(node: Node, wait: float, own: str | None) -> socket.socket:
    """A connection with node 0, which may start later than this one."""
    try:
        return reach(node.root, node.port, wait, own) if node.rank else reach("127.0.0.1", node.port, wait)
    except Unreachable as error:
        raise SSDZooError(
            f"node 0 does not answer at {ROOT}={short(node.root)}, {PORT}={node.port} within {wait:g} seconds ({error}): was it "
            "started, and is the port open between the machines?"
        ) from None
