"""The application: all routes, and what becomes of errors."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from ssdzoo.errors import DataError, SSDZooError
from ssdzoo.serve import page, routes, sagemaker, v2
from ssdzoo.serve.limits import Refused
from ssdzoo.serve.metrics import Measured, Metrics
from ssdzoo.serve.service import Service

log = logging.getLogger("ssdzoo")

_CLOSING = (408, 413)  # statuses of requests that were not received to their end


def make_app(service: Service) -> ASGIApp:
    """The ASGI application of a service. Where it ends, the service's queue is worked off."""
    metrics = Metrics()
    all_routes = [*page.routes(), *routes.routes(service, metrics), *sagemaker.routes(service), *v2.routes(service)]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    handlers: dict[Any, Any] = {SSDZooError: _failed, HTTPException: _unknown, ClientDisconnect: _left, Exception: _broke}
    app = Starlette(routes=all_routes, lifespan=lifespan, exception_handlers=handlers)
    return Measured(app, metrics, all_routes)


async def _failed(request: Request, error: SSDZooError) -> Response:
    if isinstance(error, Refused):
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        if error.status in _CLOSING:
            headers["Connection"] = "close"
        return JSONResponse({"error": str(error)}, error.status, headers)
    if isinstance(error, DataError):
        return JSONResponse({"error": str(error)}, 400)
    log.error("%s: %s", request.url.path, error)
    return JSONResponse({"error": str(error)}, 500)


async def _unknown(request: Request, error: HTTPException) -> Response:
    """A path or a method that there is not."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _left(request: Request, error: ClientDisconnect) -> Response:
    """Nobody reads it; it is counted."""
    return Response(status_code=499)


async def _broke(request: Request, error: Exception) -> Response:
    """A mistake of ours, which the server logs with its traceback."""
    return JSONResponse({"error": "the server failed; its log says how"}, 500)
