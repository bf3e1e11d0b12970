"""HTTP on a connection, with a limit of time for clients that are slow to send or to read; uvicorn has none."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE = 5.0  # seconds more than the application waits for a body, so that its answer comes first


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, that ends a connection which is silent or half a request for `patience` seconds, or whose answer is not
    read for as long."""

    patience = 35.0

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch(True)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        self._watch(begun or self.conn.their_state is h11.SEND_BODY)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._wait_for_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch(False)
        super().connection_lost(exc)

    def _watch(self, is_receiving: bool) -> None:
        if is_receiving and self._deadline is None:
            self._deadline = self.loop.call_later(self.patience, self.transport.abort)
        elif not is_receiving and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _wait_for_reader(self) -> None:
        self.loop.call_later(self.patience, self._look_at_reader, self.transport.get_write_buffer_size())

    def _look_at_reader(self, unread: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= unread:
            self.transport.abort()
        elif left:
            self._wait_for_reader()
