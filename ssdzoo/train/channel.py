"""Messages between the nodes of a training: lines of JSON over TCP, with signs of life."""

import json
import socket
import time
from typing import Any

BEAT = 2.0  # seconds between two signs of life
SILENCE = 30.0  # seconds without one after which the other end is lost
POLL = 0.05  # seconds between two looks at a connection
_LONGEST = 1 << 20  # bytes of a message


class Closed(Exception):
    """The other end closed the connection, or what came from there is no message."""


class Channel:
    """Messages, dicts of JSON, over a connection that never blocks; `heard` is when anything came last."""

    def __init__(self, connection: socket.socket):
        connection.setblocking(False)
        self.connection = connection
        self._incoming, self._outgoing = b"", b""
        self.heard = self._sent = time.monotonic()

    @property
    def silent(self) -> bool:
        return time.monotonic() - self.heard > SILENCE

    @property
    def address(self) -> str:
        """Of the other end."""
        try:
            return self.connection.getpeername()[0]
        except OSError:
            return "?"

    def send(self, **message: Any) -> None:
        self._outgoing += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> bool:
        """Sends what it can; whether nothing is left to be sent."""
        self._sent = time.monotonic()
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self.connection.send(self._outgoing) :]
        except BlockingIOError:
            return False
        except OSError:  # `receive` finds out
            self._outgoing = b""
        return True

    def beat(self) -> None:
        """A sign of life, where one is due."""
        if time.monotonic() - self._sent > BEAT:
            self.send()

    def receive(self) -> list[dict]:
        """The messages that have come.

        Raises:
            Closed: and there are no more of them.
        """
        ended = False
        try:
            while part := self.connection.recv(1 << 16):
                self._incoming += part
                self.heard = time.monotonic()
                if len(self._incoming) > _LONGEST:
                    raise Closed
            ended = True
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        *lines, self._incoming = self._incoming.split(b"\n")
        try:
            found = [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            raise Closed from None
        found = [message for message in found if isinstance(message, dict) and message]
        if ended and not found:
            raise Closed
        return found

    def close(self, patience: float = 0.0) -> None:
        """Closes the connection, when what is left was sent or that many seconds have passed."""
        deadline = time.monotonic() + patience
        while not self.flush() and time.monotonic() < deadline:
            time.sleep(POLL)
        self.connection.close()


class Unreachable(Exception):
    """Nothing answers at an address; the text says why."""


def reach(host: str, port: int, wait: float, own: str | None = None) -> socket.socket:
    """A connection, with what may begin to listen later than this is called.

    Args:
        host: name or address; IPv4, because MXNet's parameter server knows no other.
        wait: seconds until it gives up.
        own: address of this machine from which to connect; None for any.

    Raises:
        Unreachable: nothing answers.
    """
    deadline = time.monotonic() + wait
    while True:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if own:
                connection.bind((own, 0))
            connection.settimeout(max(0.1, min(5.0, deadline - time.monotonic())))
            connection.connect((host, port))
            return connection
        except (OSError, UnicodeError) as error:
            connection.close()
            if time.monotonic() > deadline:
                raise Unreachable(getattr(error, "strerror", None) or str(error)) from None
        time.sleep(0.5)
