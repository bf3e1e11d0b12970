"""SageMaker's routes, and the Open Inference Protocol, with literal answers."""

import base64
import json
import struct

import pytest

from ssdzoo.serve.sagemaker import wants_annotations
from tests.serve.servers import client, photo

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def opened():
    with client() as made:
        yield made


@pytest.mark.parametrize("kind, suffix", [("image/jpeg", ".jpg"), ("image/png", ".png"), ("application/x-image; x=1", ".png")])
def test_invocations_give_all_scores_in_normalized_coordinates(opened, kind, suffix):
    (first, second) = opened.post("/invocations", content=photo(suffix=suffix), headers={"content-type": kind}).json()[
        "prediction"
    ]
    assert first == pytest.approx([1.0, 0.9, 0.1, 0.2, 0.5, 1.0]) and second == [0.0, 0.25, 0.0, 0.0, 1.0, 1.0]


def test_annotations(opened):
    headers = {**JPEG, "accept": "text/plain, application/json; annotation=1"}
    assert opened.post("/invocations", content=photo(), headers=headers).json() == {
        "image_size": [{"width": 80, "height": 60, "depth": 3}],
        "annotations": [
            {"class_id": 1, "score": pytest.approx(0.9), "left": 8, "top": 12, "width": 32, "height": 48},
            {"class_id": 0, "score": 0.25, "left": 0, "top": 0, "width": 80, "height": 60},
        ],
    }
    assert not any(
        map(wants_annotations, ("", "application/json", "application/json;annotation=0", "text/x;annotation=1", "*/*"))
    )


@pytest.mark.parametrize("status, words, content, headers", [
    (415, "content type 'text/csv'; expected image/jpeg", photo(), {"content-type": "text/csv"}),
    (400, "truncated", photo()[:-30], JPEG), (400, "no image", b"", JPEG),
])  # fmt: skip
def test_invocations_that_are_refused(opened, status, words, content, headers):
    answer = opened.post("/invocations", content=content, headers=headers)
    assert answer.status_code == status and words in answer.json()["error"]


INFER = "/v2/models/stand-in/infer"
ENCODED = base64.b64encode(photo()).decode()


def images(data, **more):
    return {"name": "images", "shape": [len(data)], "datatype": "BYTES", "data": data, **more}


def test_metadata(opened):
    assert opened.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    model = opened.get("/v2/models/stand-in").json()
    assert model["inputs"] == [{"name": "images", "datatype": "BYTES", "shape": [-1]}]
    assert [(o["name"], o["datatype"], o["shape"]) for o in model["outputs"]] == [
        ("boxes", "FP32", [-1, -1, 4]), ("scores", "FP32", [-1, -1]), ("class_ids", "INT32", [-1, -1]),
    ]  # fmt: skip
    answer = opened.get("/v2/models/another")
    assert answer.status_code == 404 and answer.json() == {"error": "no model 'another'; this server has 'stand-in'"}


def test_inference_in_json(opened):
    request = {
        "id": "7",
        "parameters": {"score": 0.2},
        "inputs": [images([ENCODED, ENCODED])],
        "outputs": [{"name": "boxes"}, {"name": "class_ids"}],
    }
    answer = opened.post(INFER, json=request).json()
    boxes, ids = answer["outputs"]
    assert (answer["model_name"], answer["id"]) == ("stand-in", "7")
    assert boxes.pop("data") == pytest.approx([8, 12, 40, 60, 0, 0, 80, 60] * 2)
    assert boxes == {"name": "boxes", "datatype": "FP32", "shape": [2, 2, 4]}
    assert ids == {"name": "class_ids", "datatype": "INT32", "shape": [2, 2], "data": [1, 0, 1, 0]}
    none = opened.post(INFER, json={"inputs": [images([ENCODED])], "parameters": {"score": 1}}).json()
    assert [(o["shape"], o["data"]) for o in none["outputs"]] == [
        ([1, 0, 4], []),
        ([1, 0], []),
        ([1, 0], []),
    ] and "id" not in none
    nested = images([[ENCODED], [ENCODED]], shape=[2, 1])
    assert opened.post(INFER, json={"inputs": [nested]}).json()["outputs"][1]["data"] == pytest.approx([0.9, 0.9])


def binary(elements, said=None):
    rest = b"".join(struct.pack("<I", len(data)) + data for data in elements)
    tensor = {
        "name": "images",
        "shape": [len(elements)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": said or len(rest)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + rest, {"inference-header-content-length": str(len(head))}


def test_inference_on_a_binary_tensor(opened):
    content, headers = binary([photo(), photo()])
    answer = opened.post(INFER, content=content, headers=headers).json()
    assert answer["outputs"][1]["data"] == pytest.approx([0.9, 0.9])
    content, headers = binary([photo()], said=3)
    assert "binary_data_size is 3" in opened.post(INFER, content=content, headers=headers).json()["error"]
    content, headers = binary([photo()])
    answer = opened.post(INFER, content=content.replace(struct.pack("<I", len(photo())), b"\xff\xff\xff\xff"), headers=headers)
    assert answer.json()["error"] == "the binary tensor ends within its element 1"
    answer = opened.post(INFER, content=content, headers={"inference-header-content-length": "99999999"})
    assert "Inference-Header-Content-Length is '99999999'" in answer.json()["error"]


@pytest.mark.parametrize("request_, words", [
    ("no json", "not an inference request of version 2"), ({}, "missing required field `inputs`"),
    ("[" * 5000, "not an inference"),
    ({"inputs": []}, "expected one input, images, of datatype BYTES"),
    ({"inputs": [images([ENCODED], datatype="UINT8")]}, "expected one input, images"),
    ({"inputs": [images(["ä"])]}, "base64"), ({"inputs": [images([3])]}, "base64"),
    ({"inputs": [images([ENCODED], shape=[2])]}, "the shape '[2]' is not that of 1 image"),
    ({"inputs": [images([ENCODED], shape=[-1])]}, "the shape '[-1]'"),
    ({"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES"}]}, "neither data nor binary_data_size"),
    ({"inputs": [images([ENCODED])], "parameters": {"score": [1]}}, "expected a number from 0 to 1"),
    ({"inputs": [images([ENCODED])], "outputs": [{"name": "masks"}]}, "no output 'masks'"),
    ({"inputs": [images(["aGVsbG8="])]}, "image 1: not an image"),
    ({"inputs": [images([], shape=[0])]}, "no image in the request"),
])  # fmt: skip
def test_inference_requests_that_are_refused(opened, request_, words):
    answer = opened.post(INFER, content=request_ if isinstance(request_, str) else json.dumps(request_))
    assert answer.status_code == 400 and words in answer.json()["error"]
