"""The answers of /predict, /model and the health routes, in this process."""

import numpy as np
import pytest

from ssdzoo.data.images import ImageBytes
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.report.predictions import image_entry
from ssdzoo.serve.service import Service
from ssdzoo.serve.worker import NetworkWorker
from tests.networks import small_network
from tests.serve.servers import MODEL, PRESET, client, photo, service
from tests.shared import BCCD

PHOTOS = sorted((BCCD / "JPEGImages").glob("*.jpg"))[:3]
BOXES = [
    {"class": "b", "class_id": 1, "score": 0.9, "box": [8.0, 12.0, 40.0, 60.0]},
    {"class": "a", "class_id": 0, "score": 0.25, "box": [0.0, 0.0, 80.0, 60.0]},
]


@pytest.fixture(scope="module")
def opened():
    with client() as made:
        yield made


def test_answers_are_those_of_predict():
    detector = Detector(MXNetBackend(small_network()), PRESET)
    with client(Service(NetworkWorker(lambda: detector), MODEL, 0.05)) as opened:
        files = [("image", (path.name, path.read_bytes(), "image/jpeg")) for path in PHOTOS]
        together = opened.post("/predict", files=files).json()
        alone = [opened.post("/predict?score=0", content=path.read_bytes()).json()[0] for path in PHOTOS]
    for path, one, other in zip(PHOTOS, together, alone):
        entries = [image_entry(name, (480, 640), detector(path, score)[0]) for name, score in ((path.name, 0.05), ("image", 0))]
        assert [one, other] == entries and len(other["detections"]) == 100


def test_score_names_and_timings(opened):
    answer = opened.post("/predict?score=0.25", content=photo())
    assert answer.json() == [{"image": "image", "width": 80, "height": 60, "detections": BOXES}]
    assert [part.partition(";dur=")[0].strip() for part in answer.headers["server-timing"].split(",")] == [
        "decode",
        "queue",
        "network",
    ]
    files = [("x", (r"C:\photos\größe.png", photo(suffix=".png"))), ("y", ("../../b.jpg", photo()))]
    answer = opened.post("/predict", files=files, data={"note": "no image"}).json()
    assert [(entry["image"], entry["detections"]) for entry in answer] == [("größe.png", BOXES[:1]), ("b.jpg", BOXES[:1])]
    assert opened.post("/predict", files={"image": (None, photo())}).json()[0]["image"] == "image 1"


FORM = {"content-type": "multipart/form-data; boundary=b"}
BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + b"\0\0\0\rIHDR"
    + (60_000).to_bytes(4, "big") * 2
    + b"\x08\2\0\0\0"
    + bytes(4)
    + b"\0\0\0\0IEND"
    + bytes(4)
)


@pytest.mark.parametrize("status, words, query, body, headers", [
    (400, "no image in the request", "", b"", {}),
    (400, "image: not an image that OpenCV can decode; send a JPEG or a PNG", "", b"hello", {}),
    (400, "image: truncated, the end of the image is missing; send it again", "", photo()[:-40], {}),
    (400, "60000x60000 are too many pixels, this server takes 67 million", "", BOMB, {}),
    (400, "score is 'nan'; expected a number from 0 to 1", "?score=nan", b"x", {}),
    (400, "score is '1.5'", "?score=1.5", b"x", {}),
    (400, "multipart/form-data without a boundary", "", b"x", {"content-type": "multipart/form-data"}),
    (400, "the form cannot be read", "", b"x", FORM),
    (400, "its end is missing", "", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx', FORM),
    (400, "no image in the request", "", b"--b--\r\n", FORM),
    (413, "may have 20 MiB", "", bytes((20 << 20) + 1), {}),
    (413, "may have 20 MiB", "", b"x", {"content-length": str(30 << 20), "expect": "100-continue"}),
    (415, "without Content-Encoding", "", b"x", {"content-encoding": "gzip"}),
])  # fmt: skip
def test_what_is_refused(opened, status, words, query, body, headers):
    answer = opened.post(f"/predict{query}", content=body, headers=headers)
    error = answer.json()["error"]
    assert answer.status_code == status and words in error and "out of the data" not in error  # which its client has not


def test_one_broken_image_is_named_and_too_many_are_refused(opened):
    answer = opened.post("/predict", files=[("x", ("a.jpg", photo())), ("x", ("notes.txt", b"hello"))])
    assert answer.status_code == 400 and answer.json()["error"].startswith("notes.txt: not an image")
    answer = opened.post("/predict", files=[("x", (f"{i}.jpg", b"x")) for i in range(33)])
    assert answer.status_code == 413 and "may have 32 images" in answer.json()["error"]


def test_many_scans_are_refused(opened):
    scans = (
        b"\xff\xd8" + b"\xff\xc0\0\x0b\x08" + (8000).to_bytes(2, "big") * 2 + b"\1\1\x11\0" + b"\xff\xda\0\2x" * 20 + b"\xff\xd9"
    )
    answer = opened.post("/predict", content=scans)
    assert answer.status_code == 400 and "a JPEG of more than 16 scans" in answer.json()["error"]


def test_model_health_and_unknown_paths():
    made = service()
    with client(made) as opened:
        assert opened.get("/model").json() == {
            **MODEL,
            "score": 0.5,
            "limits": {"body_bytes": 20 << 20, "images": 32, "pixels": 1 << 26},
        }
        paths = ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready", "/v2/models/stand-in/ready")
        assert [opened.get(path).status_code for path in paths] == [200] * 6
        made.is_draining = True
        assert [opened.get(path).status_code for path in paths] == [200, 503, 503, 200, 503, 503]
        assert opened.get("/nothing").json() == {"error": "Not Found"} and opened.get("/predict").status_code == 405
        assert opened.get("/healthz").headers["x-content-type-options"] == "nosniff"
    assert not made.worker.is_alive


def test_images_in_memory_are_images_of_a_detector():
    detector = Detector(MXNetBackend(small_network()), PRESET)
    sent = ImageBytes(PHOTOS[0].name, PHOTOS[0].read_bytes())
    found, expected = detector([sent, PHOTOS[0]], 0.0)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    assert sent.stem == PHOTOS[0].stem and str(sent) == PHOTOS[0].name and len(repr(sent)) < 100
