"""The server's own routes: detections, the model, health and metrics."""

from math import isfinite

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ssdzoo.data.images import ImageBytes
from ssdzoo.quote import brief
from ssdzoo.report.predictions import image_entry
from ssdzoo.serve.limits import Refused
from ssdzoo.serve.metrics import CONTENT_TYPE, Metrics
from ssdzoo.serve.multipart import read_files
from ssdzoo.serve.service import Answer, Service, Wanted


def routes(service: Service, metrics: Metrics) -> list[Route]:
    """POST /predict; GET /model, /healthz, /readyz and /metrics."""

    async def predict(request: Request) -> Response:
        content_type = request.headers.get("content-type", "")
        score = parse_score(request.query_params.get("score"), service.score)

        async def read(body: bytes) -> Wanted:
            if content_type.strip().lower().startswith("multipart/form-data"):
                return Wanted(await service.in_thread(read_files, body, content_type, service.limits.images), score)
            return Wanted([ImageBytes("image", body)] if body else [], score)

        answer = await service.answer(request, read)
        entries = [image_entry(found.name, found.size, found.detections) for found in answer.found]
        return JSONResponse(entries, headers={"Server-Timing": timing(answer)})

    async def model(request: Request) -> Response:
        limits = service.limits
        taken = {"body_bytes": limits.body_bytes, "images": limits.images, "pixels": limits.pixels}
        return JSONResponse({**service.model, "score": service.score, "limits": taken})

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        return PlainTextResponse("ready\n") if service.is_ready else PlainTextResponse("not ready\n", 503)

    async def metrics_text(request: Request) -> Response:
        return Response(metrics.text(service), media_type=CONTENT_TYPE)

    return [
        Route("/predict", predict, methods=["POST"]),
        Route("/model", model),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics_text),
    ]


def parse_score(text: object, default: float) -> float:
    """A minimum score that a client gave.

    Raises:
        Refused: not a number from 0 to 1.
    """
    if text is None:
        return default
    try:
        score = float(text) if isinstance(text, (str, int, float)) else -1.0
    except (ValueError, OverflowError):
        score = -1.0
    if not isfinite(score) or not 0 <= score <= 1:
        raise Refused(f"score is {brief(text)}; expected a number from 0 to 1")
    return score


def timing(answer: Answer) -> str:
    """The header Server-Timing: milliseconds for decoding, waiting and the network."""
    return ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in answer.seconds().items())
