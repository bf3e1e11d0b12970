"""Counts requests, and writes what Prometheus reads (its text format, version 0.0.4)."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssdzoo.serve.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
OTHER = "other"  # whatever path a stranger asks for, it makes no new row


class Metrics:
    """Requests by route and status, and how long they took. Used by the event loop's thread alone."""

    def __init__(self) -> None:
        self.requests: Counter = Counter()  # (route, status)
        self.in_progress = 0
        self._buckets: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, route: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        self.requests[route, status] += 1
        self._seconds[route] += seconds
        counts = self._buckets.setdefault(route, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1

    def text(self, service: Service) -> str:
        """All metrics, a line for each value."""
        worker, intake = service.worker, service.intake
        errors: Counter = Counter()
        for (route, status), count in self.requests.items():
            errors[route] += count if status >= 400 else 0
        lines = [
            *_metric("requests_total", "counter", "Answered requests.", {
                f'{{route="{route}",status="{status}"}}': count for (route, status), count in sorted(self.requests.items())
            }),
            *_metric("errors_total", "counter", "Requests answered with a status of 400 or more.", {
                f'{{route="{route}"}}': count for route, count in sorted(errors.items())
            }),
            *self._histogram(),
            *_metric("requests_in_progress", "gauge", "Requests that are not answered yet.", {"": self.in_progress}),
            *_metric("queue_requests", "gauge", "Requests that are decoded or wait for the network.", {"": intake.requests}),
            *_metric("queue_requests_max", "gauge", "Requests above which 503 is answered.", {"": service.limits.requests}),
            *_metric("queue_images", "gauge", "Images that wait for the network.", {"": worker.waiting}),
            *_metric("body_bytes", "gauge", "Bytes of request bodies in memory.", {"": intake.bytes}),
            *_metric("images_total", "counter", "Images that went through the network.", {"": worker.images}),
            *_metric("network_seconds_total", "counter", "Time that the network ran.", {"": round(worker.seconds, 6)}),
            *_metric("images_per_second", "gauge", "Mean of the last 10 seconds.", {"": worker.images_per_second()}),
        ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        rows: dict[str, float] = {}
        for route, counts in sorted(self._buckets.items()):
            total = 0
            for limit, count in zip((*BUCKETS, "+Inf"), counts):
                total += count
                rows[f'_bucket{{route="{route}",le="{limit}"}}'] = total
            rows[f'_sum{{route="{route}"}}'] = round(self._seconds[route], 6)
            rows[f'_count{{route="{route}"}}'] = total
        return _metric("request_seconds", "histogram", "Time from a request's headers to the end of its answer.", rows)


def _metric(name: str, kind: str, text: str, rows: dict[str, float]) -> list[str]:
    name = f"ssdzoo_{name}"
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *(f"{name}{row} {value}" for row, value in rows.items())]


class Measured:
    """Counts the requests of an application, and forbids browsers to guess what its answers are.

    Args:
        routes: whose paths may name a row.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: list[Route]):
        self._app, self._metrics = app, metrics
        self._paths: dict[object, str] = {route.endpoint: route.path for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        self._metrics.in_progress += 1
        try:
            await self._app(scope, receive, sending)
        finally:
            self._metrics.in_progress -= 1
            route = self._paths.get(scope.get("endpoint"), OTHER)
            self._metrics.add(route, status, time.perf_counter() - start)
