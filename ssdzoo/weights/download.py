"""Downloads a file over http(s): resumes, never waits long, and trusts nothing that the server says."""

import queue
import re
import sys
import threading
import time
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

PATIENCE = 10.0  # seconds without an answer, after which a server counts as dead
LEAST_RATE = 1024  # bytes per second, over PATIENCE, below which it counts as dead too
LARGEST = 1 << 30  # bytes; the largest published file has a quarter of that
_CHUNK = 1 << 16
_RESUMES = 8  # of one download, in one go


class Failed(Exception):
    """Why a file could not be had.

    Args:
        reason: for people.
        dead: asking the same server for another file would fail too.
        absent: the server answers, and does not have this file.
        places: (place, reason) of each place that was tried.
    """

    def __init__(self, reason: str, dead: bool = False, absent: bool = False, places: list = ()):
        super().__init__(reason)
        self.dead, self.absent, self.places = dead, absent, list(places)


def download(url: str, file, patience: float | None = None) -> None:
    """Completes `file` with what lies at `url`.

    Args:
        url: http or https.
        file: open for reading and writing in binary; what it holds is taken for the beginning of an earlier, unfinished
            download. It keeps what was received when the download fails.
        patience: default PATIENCE.

    Raises:
        Failed: with the reason.
    """
    patience = patience or PATIENCE
    for _ in range(_RESUMES):
        start = file.seek(0, 2)
        try:
            if _receive(url, file, start, patience):
                return
        except ConnectionError as error:
            if file.seek(0, 2) <= start:
                raise Failed(str(error)) from None
    raise Failed(f"broke off {_RESUMES} times")


def _receive(url: str, file, start: int, patience: float) -> bool:
    """Appends one response to `file`; False where the server won't continue from `start`, and `file` was emptied.

    Raises:
        ConnectionError: it broke off.
        Failed: anything else.
    """
    answer, stop = queue.Queue(maxsize=64), threading.Event()
    # A thread, because neither the look-up of a name nor a server that sends a byte now and then obey a timeout. What it
    # has not handed over when patience ends never reaches the file.
    threading.Thread(target=_ask, args=(url, start, patience, answer, stop), daemon=True).start()
    try:
        status, headers = _next(answer, patience)
        total = _total(status, headers, start)
        if total is None:
            file.truncate(0)
            return False
        if status == 200:
            file.truncate(0)
        if status != 416:
            print(f"ssdzoo: fetching {url}" + (f", {total / 1e6:.1f} MB" if total > 0 else ""), file=sys.stderr)
        file.seek(0, 2)
        _write_chunks(answer, file, patience)
        if 0 <= total != file.tell():
            raise ConnectionError(f"broke off after {file.tell()} of {total} bytes")
        return True
    finally:
        stop.set()


def _write_chunks(answer, file, patience: float) -> None:
    since, received = time.monotonic(), 0
    while chunk := _next(answer, patience):
        file.write(chunk)
        received += len(chunk)
        if file.tell() > LARGEST:
            raise Failed(f"sends more than {LARGEST} bytes")
        if time.monotonic() - since > patience:
            if received < LEAST_RATE * patience:
                raise Failed(f"sent {received} bytes in {patience:g} s", dead=True)
            since, received = time.monotonic(), 0


def _next(answer, patience: float):
    try:
        item = answer.get(timeout=patience)
    except queue.Empty:
        raise Failed(f"no answer for {patience:g} s", dead=True) from None
    if isinstance(item, Exception):
        raise item
    return item


def _total(status: int, headers, start: int):
    """Length of the whole file, -1 where the server does not say, None where it can't continue from `start`."""
    length = headers.get("Content-Length") or ""
    if status == 416:
        return start if headers.get("Content-Range") == f"bytes */{start}" else None
    if status == 206:
        part = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", headers.get("Content-Range") or "")
        if not part or int(part[1]) != start:
            return None
        total = -1 if part[2] == "*" else int(part[2])
    elif status == 200:
        total = int(length) if re.fullmatch(r"\d{1,18}", length) else -1
    else:
        raise Failed(f"HTTP {status}")
    if total > LARGEST:
        raise Failed(f"says that the file has {total} bytes; {LARGEST} are the limit")
    return total


def _ask(url: str, start: int, patience: float, answer, stop) -> None:
    """Puts (status, headers), then pieces of the body, then b"" into `answer`; or an exception."""

    def put(item):
        while not stop.is_set():
            try:
                return answer.put(item, timeout=0.1)
            except queue.Full:
                continue

    headers = {"User-Agent": "ssdzoo", **({"Range": f"bytes={start}-"} if start else {})}
    begun = False
    try:
        with urlopen(Request(url, headers=headers), timeout=patience) as response:
            put((response.status, response.headers))
            begun = True
            while (chunk := response.read1(_CHUNK)) and not stop.is_set():
                put(chunk)
            put(b"")
    except HTTPError as error:
        if error.code == 416:
            put((416, error.headers))
            return put(b"")
        absent = error.code in (403, 404, 410)
        put(Failed(f"HTTP {error.code} {error.reason}", dead=not absent, absent=absent))
    except TimeoutError:
        put(Failed(f"no answer for {patience:g} s", dead=True))
    except URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        put(Failed(f"no answer for {patience:g} s" if isinstance(error.reason, TimeoutError) else str(why), dead=True))
    except (OSError, HTTPException, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        put(ConnectionError(f"broke off ({why})") if begun else Failed(why, dead=True))
