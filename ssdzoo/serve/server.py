"""Runs the application until a signal ends it."""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from ssdzoo.errors import CallError
from ssdzoo.serve.app import make_app
from ssdzoo.serve.protocol import GRACE, PatientProtocol
from ssdzoo.serve.service import Service

log = logging.getLogger("ssdzoo")


def bind(host: str, port: int) -> socket.socket:
    """A socket that does not listen yet, so that nobody waits in its queue while the model is loaded.

    Raises:
        CallError: no such address, or it is taken; says so before any work.
    """
    made = None
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        return made
    except (OSError, OverflowError, UnicodeError) as error:
        if made:
            made.close()
        why = getattr(error, "strerror", None) or error
        raise CallError(f"host={host} port={port} cannot be used: {why}") from None


def address(made: socket.socket) -> str:
    """The URL of a socket."""
    host, port = made.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(service: Service, made: socket.socket) -> None:
    """Logs where it listens, and answers requests until SIGTERM, Ctrl-C or the end of its terminal. Then no new ones are taken,
    and those that have come are answered. A second Ctrl-C ends it at once."""
    limits = service.limits
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what strangers send wrong is no news

    class Protocol(PatientProtocol):
        patience = limits.body_seconds + GRACE

    config = uvicorn.Config(
        make_app(service), loop="asyncio", http=Protocol, ws="none", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, limit_concurrency=limits.connections, lifespan="on",
        timeout_graceful_shutdown=int(limits.body_seconds + limits.answer_seconds + 2 * GRACE),
    )  # fmt: skip
    server = _Server(config, service)
    with _hang_up(server.handle_exit):
        server.run(sockets=[made])


@contextmanager
def _hang_up(handler: Callable) -> Iterator[None]:
    """Has a handler for SIGHUP, of which uvicorn knows nothing, unless it is ignored, as nohup asks for."""
    number = getattr(signal, "SIGHUP", None)
    is_main = threading.current_thread() is threading.main_thread()
    if number is None or not is_main or signal.getsignal(number) is signal.SIG_IGN:
        yield
        return
    usual = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, usual)


class _Server(uvicorn.Server):
    """Ends with status 0 after a signal, which uvicorn would repeat when all is done."""

    should_exit: bool

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        model = self._service.model
        for made in sockets or ():
            log.info("%s with %s: %s", model["name"], model["backend"], address(made))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = self._service.is_draining = True
