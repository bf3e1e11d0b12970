"""Receives the body of a request into memory, within limits of size and time."""

import asyncio

from starlette.requests import Request

from ssdzoo.serve.intake import Held
from ssdzoo.serve.limits import Limits, Refused

_DROPPED = 5  # times the limit that a body may have for its client to hear why it is refused


async def receive_body(request: Request, held: Held, limits: Limits, busy: Refused) -> bytes:
    """The body.

    A client sends all of a body before it reads the answer. So one that is too large is received to its end, and dropped, unless
    it is far too large or its client waits for leave to send it.

    Args:
        busy: raised where the bodies of all requests fill the memory that they may have.

    Raises:
        Refused: too large (413), too slow (408), compressed (415), or `busy`.
    """
    try:
        body = await asyncio.wait_for(_receive(request, held, limits, busy), limits.body_seconds)
    except asyncio.TimeoutError:
        raise Refused(f"the request did not arrive within {limits.body_seconds:g} s", 408) from None
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused("a body without Content-Encoding is expected", 415)
    return body


async def _receive(request: Request, held: Held, limits: Limits, busy: Refused) -> bytes:
    too_large = Refused(f"a request may have {limits.body_bytes >> 20} MiB: send a smaller image", 413)
    announced, most = request.headers.get("content-length", ""), limits.body_bytes * _DROPPED
    if announced.isdecimal() and int(announced) > (limits.body_bytes if "expect" in request.headers else most):
        raise too_large
    body = bytearray()
    refusal: Refused | None = None
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > most:
            raise too_large
        if count > limits.body_bytes:
            refusal = too_large
        elif refusal is None and not held.take(len(chunk)):
            refusal = busy
        if refusal is None:
            body += chunk
        elif body:
            body.clear()
            held.release()
    if refusal:
        raise refusal
    return bytes(body)
