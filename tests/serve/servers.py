"""Services whose network is a stand-in, and images to send to them."""

import threading
from contextlib import contextmanager

import cv2
import numpy as np
from starlette.testclient import TestClient

from ssdzoo.predict.detector import Detector
from ssdzoo.serve.app import make_app
from ssdzoo.serve.service import Service
from ssdzoo.serve.worker import NetworkWorker
from ssdzoo.zoo import find_preset

PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])
MODEL = {"name": "stand-in", "classes": ["a", "b", "c"], "size": [300, 300], "backend": "none"}


class StandIn:
    """A backend that finds the same two boxes in each image: b with 0.9 and a with 0.25, and nothing after them.

    Attributes:
        calls: number of images of each call.
        gate: a call waits until it is open.
        failing: it raises instead.
    """

    runtime, in_flight, file = "none", 1, None

    def __init__(self):
        self.calls, self.failing = [], False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, images):
        self.calls.append(len(images))
        assert self.gate.wait(20)
        if self.failing:
            raise RuntimeError("the device is gone")
        ids = np.array([[1], [0], [-1]], np.float32)
        scores = np.array([[0.9], [0.25], [-1]], np.float32)
        boxes = np.array([[30, 60, 150, 330], [0, 0, 300, 300], [-1] * 4], np.float32)
        return tuple(np.tile(part, (len(images), 1, 1)) for part in (ids, scores, boxes))


def service(backend=None, score=0.5, limits=None, **batches):
    backend = backend or StandIn()
    made = Service(NetworkWorker(lambda: Detector(backend, PRESET), **batches), MODEL, score, limits)
    backend.calls.clear()  # of the warm-up
    return made


@contextmanager
def client(made=None):
    """A client of a service, which ends with it; its own mistakes become status 500, as in a real server."""
    with TestClient(make_app(made or service()), raise_server_exceptions=False) as opened:
        yield opened


def photo(height=60, width=80, suffix=".jpg"):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()
