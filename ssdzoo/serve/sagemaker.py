"""The routes that SageMaker asks of a container, with the answers of its built-in object detection.

https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-in-formats.html
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ssdzoo.data.images import ImageBytes
from ssdzoo.quote import brief
from ssdzoo.serve.limits import Refused
from ssdzoo.serve.routes import timing
from ssdzoo.serve.service import Service, Wanted
from ssdzoo.serve.worker import Found

CONTENT_TYPES = ("image/jpeg", "image/png", "application/x-image")


def routes(service: Service) -> list[Route]:
    """GET /ping and POST /invocations."""

    async def ping(request: Request) -> Response:
        return Response(status_code=200 if service.is_ready else 503)

    async def invocations(request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()

        async def read(body: bytes) -> Wanted:
            if content_type not in CONTENT_TYPES:
                raise Refused(f"content type {brief(content_type)}; expected {', '.join(CONTENT_TYPES)}", 415)
            # Its clients choose by score themselves.
            return Wanted([ImageBytes("image", body)] if body else [], 0.0)

        answer = await service.answer(request, read)
        form = annotations if wants_annotations(request.headers.get("accept", "")) else prediction
        return JSONResponse(form(answer.found[0]), headers={"Server-Timing": timing(answer)})

    return [Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])]


def wants_annotations(accept: str) -> bool:
    """Whether a header Accept asks for `application/json;annotation=1`."""
    kinds = ([part.strip().lower() for part in kind.split(";")] for kind in accept.split(","))
    return any(kind == "application/json" and "annotation=1" in more for kind, *more in kinds)


def prediction(found: Found) -> dict:
    """{"prediction": [[class, score, xmin, ymin, xmax, ymax]]}, best first, coordinates in 0..1 of the image."""
    height, width = found.size
    rows = zip(found.detections.class_ids.tolist(), found.detections.scores.tolist(), found.detections.boxes.tolist())
    return {"prediction": [[float(i), s, x1 / width, y1 / height, x2 / width, y2 / height] for i, s, (x1, y1, x2, y2) in rows]}


def annotations(found: Found) -> dict:
    """{"image_size": [{"width", "height", "depth"}], "annotations": [{"class_id", "score", "left", "top", "width", "height"}]} in
    whole pixels."""
    height, width = found.size
    rows = zip(found.detections.class_ids.tolist(), found.detections.scores.tolist(), found.detections.boxes.round().tolist())
    return {
        "image_size": [{"width": width, "height": height, "depth": 3}],
        "annotations": [
            {"class_id": i, "score": s, "left": int(x1), "top": int(y1), "width": int(x2 - x1), "height": int(y2 - y1)}
            for i, s, (x1, y1, x2, y2) in rows
        ],
    }
