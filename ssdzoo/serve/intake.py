"""How much a server takes in at a time: bytes of bodies, and requests that wait for the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from ssdzoo.serve.limits import Limits, Refused

_LONGEST_WAIT = 30  # seconds that a client is asked to wait


class Intake:
    """Counts what is in the server. Used by the event loop's thread alone.

    Attributes:
        requests: that are decoded or wait for the network.
        bytes: of bodies in memory.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self.requests = self.bytes = 0

    def busy(self, seconds: float) -> Refused:
        """The answer where no more is taken.

        Args:
            seconds: that a request takes.
        """
        wait = min(_LONGEST_WAIT, max(1, ceil(self.requests * seconds)))
        return Refused(f"{self.requests} requests are waiting already: try again in {wait} s", 503, wait)

    @contextmanager
    def queued(self, seconds: float) -> Iterator[None]:
        """Around a request that is worked on.

        Raises:
            Refused: there are too many.
        """
        if self.requests >= self._limits.requests:
            raise self.busy(seconds)
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def holding(self) -> Iterator["Held"]:
        """Around a request, from its first byte to its answer."""
        held = Held(self, self._limits)
        try:
            yield held
        finally:
            held.release()


class Held:
    """The bytes of one request's body."""

    def __init__(self, intake: Intake, limits: Limits):
        self._intake, self._limits, self._bytes = intake, limits, 0

    def take(self, count: int) -> bool:
        """Whether so many more bytes fit."""
        if self._intake.bytes + count > self._limits.held_bytes:
            return False
        self._intake.bytes += count
        self._bytes += count
        return True

    def release(self) -> None:
        """Gives all of them back."""
        self._intake.bytes -= self._bytes
        self._bytes = 0
