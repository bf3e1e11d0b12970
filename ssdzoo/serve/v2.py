"""The Open Inference Protocol, version 2, over HTTP: health, metadata, and inference on a tensor of encoded images.

https://github.com/kserve/open-inference-protocol, with Triton's extension for binary tensors. In JSON an image is base64, because
JSON holds no bytes.
"""

import base64
import binascii
import struct
from functools import partial
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ssdzoo.data.images import ImageBytes
from ssdzoo.progress import counted
from ssdzoo.quote import brief, short
from ssdzoo.serve.limits import Refused
from ssdzoo.serve.routes import parse_score, timing
from ssdzoo.serve.service import Service, Wanted
from ssdzoo.serve.worker import Found
from ssdzoo.version import __version__

INPUT: dict[str, Any] = {"name": "images", "datatype": "BYTES", "shape": [-1]}
# Of all images as many rows as of that with the most objects, -1 where there is none: as an ONNX file of ours has them.
OUTPUTS: list[dict[str, Any]] = [
    {"name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4]},
    {"name": "scores", "datatype": "FP32", "shape": [-1, -1]},
    {"name": "class_ids", "datatype": "INT32", "shape": [-1, -1]},
]
NAMES = {output["name"] for output in OUTPUTS}


class Tensor(msgspec.Struct):
    """An input of a request; `data` is missing where its bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class Output(msgspec.Struct):
    """An output that a request asks for."""

    name: str


class InferenceRequest(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[Output] = []


def routes(service: Service) -> list[Route]:
    """Everything below /v2."""
    name = service.model["name"]

    def check_name(request: Request) -> None:
        if request.path_params["name"] != name:
            raise Refused(f"no model {brief(request.path_params['name'])}; this server has {brief(name)}", 404)

    async def server(request: Request) -> Response:
        return JSONResponse({"name": "ssdzoo", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        return JSONResponse({"live": True, "ready": service.is_ready}, 200 if service.is_ready else 503)

    async def model_ready(request: Request) -> Response:
        check_name(request)
        return JSONResponse({"name": name, "ready": service.is_ready}, 200 if service.is_ready else 503)

    async def model(request: Request) -> Response:
        check_name(request)
        return JSONResponse({"name": name, "platform": service.model["backend"], "inputs": [INPUT], "outputs": OUTPUTS})

    async def infer(request: Request) -> Response:
        check_name(request)
        length = request.headers.get("inference-header-content-length")

        def parse(body: bytes) -> Wanted:
            given, rest = split_body(body, length)
            score = parse_score(given.parameters.get("score"), service.score)
            chosen = {output.name for output in given.outputs} or NAMES
            if unknown := sorted(chosen - NAMES):
                raise Refused(f"no output {brief(unknown[0])}; there are boxes, scores and class_ids")
            return Wanted(read_images(given, rest, service.limits.images), score, {"id": given.id, "outputs": chosen})

        answer = await service.answer(request, partial(service.in_thread, parse))
        more = answer.wanted.more
        tensors = [tensor for tensor in output_tensors(answer.found) if tensor["name"] in more["outputs"]]
        known = {} if more["id"] is None else {"id": more["id"]}
        return JSONResponse({"model_name": name, **known, "outputs": tensors}, headers={"Server-Timing": timing(answer)})

    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/v2/models/{name}", model),
        Route("/v2/models/{name}/ready", model_ready),
        Route("/v2/models/{name}/infer", infer, methods=["POST"]),
    ]


def split_body(body: bytes, length: str | None) -> tuple[InferenceRequest, bytes]:
    """The JSON of a request, and the bytes behind it.

    Args:
        length: of the JSON, from the header Inference-Header-Content-Length; None where there is nothing else.

    Raises:
        Refused: not what the protocol describes.
    """
    if length is not None and not (length.isdecimal() and len(length) < 10 and int(length) <= len(body)):
        raise Refused(f"Inference-Header-Content-Length is {brief(length)}; the body has {len(body)} bytes")
    end = len(body) if length is None else int(length)
    try:
        return msgspec.json.decode(body[:end], type=InferenceRequest), body[end:]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Refused(f"not an inference request of version 2: {short(error, 200)}") from None


def read_images(request: InferenceRequest, rest: bytes, most: int) -> list[ImageBytes]:
    """The images of the tensor `images`.

    Raises:
        Refused: another tensor; a shape that is not that of its data; more images than `most`.
    """
    if len(request.inputs) != 1 or request.inputs[0].name != INPUT["name"] or request.inputs[0].datatype != INPUT["datatype"]:
        raise Refused("expected one input, images, of datatype BYTES: encoded images such as JPEG")
    tensor = request.inputs[0]
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        items = _from_json(tensor.data)
    elif type(size) is int and size == len(rest):
        items = _from_binary(rest)
    else:
        raise Refused(f"binary_data_size is {brief(size)}; {len(rest)} bytes follow the JSON")
    if len(items) > most:
        raise Refused(f"a request may have {most} images: send the others in another one", 413)
    if min(tensor.shape, default=-1) < 0 or _product(tensor.shape) != len(items):
        raise Refused(f"the shape {brief(str(tensor.shape))} is not that of {counted(len(items), 'image')}")
    return [ImageBytes(f"image {i + 1}", data) for i, data in enumerate(items)]


def _product(shape: list[int]) -> int:
    product = 1
    for number in shape[:8]:
        product *= number
    return product if len(shape) <= 8 else -1


def _from_json(data: list[Any] | None) -> list[bytes]:
    if data is None:
        raise Refused("the input images has neither data nor binary_data_size")
    items = [item for part in data for item in (part if isinstance(part, list) else [part])]
    try:
        return [base64.b64decode(item, validate=True) for item in items]
    except (binascii.Error, TypeError, ValueError):
        raise Refused("in JSON, the data of images are base64 texts") from None


def _from_binary(rest: bytes) -> list[bytes]:
    """Each element is its length, 4 bytes little-endian, and then its bytes."""
    items: list[bytes] = []
    at = 0
    while at < len(rest):
        length = struct.unpack_from("<I", rest, at)[0] if at + 4 <= len(rest) else len(rest)
        if at + 4 + length > len(rest):
            raise Refused(f"the binary tensor ends within its element {len(items) + 1}")
        items.append(rest[at + 4 : at + 4 + length])
        at += 4 + length
    return items


def output_tensors(found: list[Found]) -> list[dict]:
    """Detections of B images as tensors for JSON: boxes (B, K, 4) in pixels of each image, scores (B, K), class_ids (B, K), best
    first, -1 where an image has fewer than K."""
    count = max(len(image.detections) for image in found)
    boxes = np.full((len(found), count, 4), -1, np.float32)
    scores = np.full((len(found), count), -1, np.float32)
    ids = np.full((len(found), count), -1, np.int32)
    for i, image in enumerate(found):
        n = len(image.detections)
        boxes[i, :n], scores[i, :n] = image.detections.boxes, image.detections.scores
        ids[i, :n] = image.detections.class_ids
    arrays = (boxes, scores, ids)
    return [{**kind, "shape": list(array.shape), "data": array.ravel().tolist()} for kind, array in zip(OUTPUTS, arrays)]
