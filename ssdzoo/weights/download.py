"""Downloads one file over http(s). A dead server is given up soon."""

import logging
import threading
from collections.abc import Iterable
from http.client import HTTPException, HTTPResponse
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE = 10.0  # seconds without an answer, after which a server counts as dead
MIN_RATE = 1024  # bytes per second, over PATIENCE, below which it counts as dead too
MAX_SIZE = 1 << 30  # bytes; the largest published file has a quarter of that
_CHUNK = 1 << 16

_log = logging.getLogger(__name__)


class Failed(Exception):
    """Why a file was not downloaded.

    Args:
        reason: for people.
        dead: asking the same server for another file would fail too.
        absent: the server answers, and does not have this file.
        places: (place, reason) of each place that was tried.
    """

    def __init__(self, reason: str, dead: bool = False, absent: bool = False, places: Iterable = ()):
        super().__init__(reason)
        self.dead, self.absent, self.places = dead, absent, list(places)


def download(url: str, file: BinaryIO, about: str = "") -> int | None:
    """Writes what is at `url` to `file`.

    Args:
        url: http or https.
        file: open for writing. What arrived stays in it when the download fails.
        about: whose file it is, for the line that is logged, such as "torchvision, BSD-3-Clause".

    Returns:
        Length of the whole file in bytes as the server announced it, or None. Less may have arrived.

    Raises:
        Failed: no connection, an HTTP error, no answer for PATIENCE seconds, less than MIN_RATE, more than MAX_SIZE.
        OSError: `file` cannot be written.
    """
    # A thread, because neither the look-up of a name nor a server that sends a byte now and then obeys a timeout.
    transfer, before = _Transfer(url, file, about), 0
    transfer.start()
    while True:
        transfer.join(PATIENCE)
        if not transfer.is_alive():
            break
        received = transfer.received - before
        if received < MIN_RATE * PATIENCE:
            raise Failed(f"sent {received} bytes in {PATIENCE:g} s", dead=True) if received else _no_answer()
        before += received
    if transfer.error:
        raise transfer.error
    return transfer.total


class _Transfer(threading.Thread):
    """One request, and its answer on the way into `file`. Closing the file ends it."""

    def __init__(self, url: str, file: BinaryIO, about: str = ""):
        super().__init__(daemon=True)
        self.url, self.file, self.about = url, file, about
        self.received = 0
        self.total: int | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._receive()
        except Exception as error:  # `download` raises it in its own thread
            self.error = error

    def _receive(self) -> None:
        with _ask(self.url) as response:
            self.total = response.length
            if self.total and self.total > MAX_SIZE:
                raise Failed(f"says that the file has {self.total} bytes; {MAX_SIZE} are the limit")
            size = f"{self.total / 1e6:.1f} MB" if self.total else ""
            _log.info("downloading %s", ", ".join(fact for fact in (self.url, size, self.about) if fact))
            while chunk := _read(response):
                self.received += len(chunk)
                if self.received > MAX_SIZE:
                    raise Failed(f"sends more than {MAX_SIZE} bytes")
                self.file.write(chunk)


def _ask(url: str) -> HTTPResponse:
    try:
        return urlopen(Request(url, headers={"User-Agent": "ssdzoo"}), timeout=PATIENCE)
    except HTTPError as error:
        absent = error.code in (403, 404, 410)
        raise Failed(f"HTTP {error.code} {error.reason}", dead=not absent, absent=absent) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)  # a URLError wraps another error
        if isinstance(reason, TimeoutError):
            raise _no_answer() from None
        raise Failed(getattr(reason, "strerror", None) or str(reason), dead=True) from None


def _read(response: HTTPResponse) -> bytes:
    """The next bytes of a response; none at its end, and none where it broke off."""
    try:
        return response.read1(_CHUNK)
    except TimeoutError:
        raise _no_answer() from None
    except (OSError, HTTPException):
        return b""


def _no_answer() -> Failed:
    return Failed(f"no answer for {PATIENCE:g} s", dead=True)
