"""From a request to what the detector finds in its images: receives, decodes, queues, and lets go of clients that left."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request

from ssdzoo.data.images import ImageBytes
from ssdzoo.errors import DataError
from ssdzoo.machine import cores
from ssdzoo.serve.body import receive_body
from ssdzoo.serve.decode import prepare
from ssdzoo.serve.intake import Intake
from ssdzoo.serve.limits import Limits, Refused
from ssdzoo.serve.worker import Found, NetworkWorker

THREADS = 2  # threads; more would take the network's cores

T = TypeVar("T")


@dataclass
class Wanted:
    """What a request asks for: its images, and the minimum score of what is found in them.

    Attributes:
        more: what the answer needs besides.
    """

    images: list[ImageBytes]
    score: float
    more: dict = field(default_factory=dict)


class Answer(NamedTuple):
    """
    Attributes:
        found: in each image.
    """

    wanted: Wanted
    found: list[Found]

    def seconds(self) -> dict[str, float]:
        """Sums over the images: "decode", "queue" and "network"."""
        sums: Counter = Counter()
        for one in self.found:
            sums.update(one.seconds)
        return dict(sums)


class Service:
    """What all routes share.

    Attributes:
        model: what the server reports of it: `ssdzoo.serve.model.describe`.
        score: minimum score where a request gives none.
        is_draining: no new requests are wanted.

    Args:
        worker: runs the network.
    """

    def __init__(self, worker: NetworkWorker, model: dict, score: float = 0.5, limits: Limits | None = None):
        self.worker, self.model, self.score = worker, model, score
        self.limits = limits or Limits()
        self.intake = Intake(self.limits)
        self.is_draining = False
        self._threads = ThreadPoolExecutor(min(THREADS, cores()), "decode")

    @property
    def is_ready(self) -> bool:
        return self.worker.is_alive and not self.is_draining

    def close(self) -> None:
        """Waits for what is in the queue."""
        self._threads.shutdown()
        self.worker.stop()

    async def answer(self, request: Request, read: Callable[[bytes], Awaitable[Wanted]]) -> Answer:
        """What is found in the images of a request.

        Args:
            read: takes what is wanted from the body; by `in_thread` where that takes long.

        Raises:
            DataError: an image that cannot be read; names it.
            Refused: see `receive_body`; no image; too many requests (503); not answered in time (503).
        """
        with self.intake.holding() as held:
            body = await receive_body(request, held, self.limits, self.intake.busy(self.worker.image_seconds))
            with self.intake.queued(self.worker.image_seconds):
                return await _while_connected(request, self._find(body, read), self.limits.answer_seconds)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns that would keep the event loop waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _explained, function, *arguments)

    async def _find(self, body: bytes, read: Callable[[bytes], Awaitable[Wanted]]) -> Answer:
        wanted = await read(body)
        if not wanted.images:
            raise Refused("no image in the request: send one as its body, or several as files of a form")
        # No more at once than keep the network busy: a request of many images leaves room for others, and memory.
        slots = asyncio.Semaphore(self.worker.max_batch + 1)

        async def one(image: ImageBytes) -> Found:
            async with slots:
                future: Future = Future()
                self._threads.submit(self._start, image, wanted.score, future)
                return await asyncio.wrap_future(future)

        tasks = [asyncio.ensure_future(one(image)) for image in wanted.images]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            await _end(*tasks)
        return Answer(wanted, found)

    def _start(self, image: ImageBytes, score: float, future: Future) -> None:
        """Decodes an image and queues it, in a thread of the pool. The event loop would be woken twice more if it passed the
        image on, and it shares Python's lock with the network."""
        if future.cancelled():
            return
        try:
            prepared = _explained(prepare, self.worker.detector, image, self.limits)
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        else:
            self.worker.submit(prepared, score, future)


def _explained(function: Callable[..., T], *arguments: Any) -> T:
    """
    Raises:
        DataError: not enough memory.
        whatever `function` raises.
    """
    try:
        return function(*arguments)
    except MemoryError:
        raise DataError("not enough memory for this image: send a smaller one") from None


async def _while_connected(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The result of `work`, which is cancelled when its client leaves or the time is over."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if gone in done:
            raise ClientDisconnect()
        raise Refused(f"not answered within {seconds:g} s: try again later", 503, 5)
    finally:
        await _end(task, gone)


async def _end(*tasks: asyncio.Future) -> None:
    """Cancels those that still run, and waits until they have let go of what they hold."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
