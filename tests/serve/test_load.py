"""What happens when there is too much, too slow, or too late: in this process, with a network that waits until it may go on."""

import asyncio
import logging
import threading
import time
from concurrent.futures import Future

import httpx
import numpy as np
import pytest

from ssdzoo.errors import CallError, ExportError
from ssdzoo.predict.detector import Detector
from ssdzoo.serve.app import make_app
from ssdzoo.serve.decode import Prepared
from ssdzoo.serve.limits import Limits
from ssdzoo.serve.metrics import BUCKETS, Metrics
from ssdzoo.serve.worker import BATCH, GAIN, SLOW, NetworkWorker
from tests.serve.servers import PRESET, StandIn, client, photo, service


def run(app, job):
    """The result of `job(client)`, a coroutine, with a client that may ask many things at once."""

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as opened:
            return await job(opened)

    return asyncio.run(main())


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_a_full_queue_is_answered_with_503():
    backend = StandIn()
    made = service(backend, limits=Limits(requests=3))
    backend.gate.clear()

    async def job(opened):
        tasks = [asyncio.create_task(opened.post("/predict", content=photo())) for _ in range(3)]
        await until(lambda: made.intake.requests == 3)
        refused = await opened.post("/predict", content=photo())
        backend.gate.set()
        return refused, await asyncio.gather(*tasks), await opened.post("/predict", content=photo())

    refused, taken, later = run(make_app(made), job)
    assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
    assert refused.json()["error"] == "3 requests are waiting already: try again in 1 s"
    assert [answer.status_code for answer in [*taken, later]] == [200] * 4
    assert (made.intake.requests, made.intake.bytes, made.worker.images, backend.calls) == (0, 0, 4, [1] * 4)
    made.close()


def test_bodies_share_a_limited_memory():
    made = service(limits=Limits(held_bytes=3000))

    async def job(opened):
        with made.intake.holding() as held:
            assert held.take(2900) and not held.take(200)
            refused = await opened.post("/predict", content=b"x" * 200)
        return refused, await opened.post("/predict", content=b"x" * 200)

    refused, later = run(make_app(made), job)
    assert (refused.status_code, later.status_code, made.intake.bytes) == (503, 400, 0)
    made.close()


def test_slow_bodies_and_slow_answers_are_given_up():
    backend = StandIn()
    made = service(backend, limits=Limits(body_seconds=0.05, answer_seconds=0.1))

    async def slow():
        yield b"x"
        await asyncio.sleep(20)

    async def job(opened):
        first = await opened.post("/predict", content=slow())
        backend.gate.clear()
        second = await opened.post("/predict", content=photo())
        backend.gate.set()
        return first, second

    first, second = run(make_app(made), job)
    assert first.status_code == 408 and first.headers["connection"] == "close" and "within 0.05 s" in first.json()["error"]
    assert second.status_code == 503 and second.json()["error"] == "not answered within 0.1 s: try again later"
    assert (made.intake.requests, made.intake.bytes) == (0, 0)
    made.close()


def test_the_image_of_a_client_that_left_does_not_reach_the_network():
    backend = StandIn()
    made = service(backend)
    backend.gate.clear()
    app = make_app(made)

    async def job(opened):
        busy = asyncio.create_task(opened.post("/predict", content=photo()))
        await until(lambda: backend.calls)
        messages = [{"type": "http.request", "body": photo()}]

        async def receive():
            if messages:
                return messages.pop()
            await until(lambda: made.worker.waiting)
            return {"type": "http.disconnect"}

        async def send(message):
            pass

        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
        await app(scope, receive, send)
        backend.gate.set()
        return await busy

    assert run(app, job).status_code == 200
    made.close()
    assert backend.calls == [1] and made.worker.images == 1


def test_a_request_of_many_images_leaves_room_for_others():
    backend = StandIn()
    made = service(backend)
    backend.gate.clear()

    async def job(opened):
        many = asyncio.create_task(opened.post("/predict", files=[("x", (f"{i}.jpg", photo())) for i in range(9)]))
        await until(lambda: backend.calls and made.worker.waiting)
        await asyncio.sleep(0.05)
        waiting = made.worker.waiting
        backend.gate.set()
        return waiting, (await many).json()

    waiting, found = run(make_app(made), job)
    assert waiting == 1 and [entry["image"] for entry in found] == [f"{i}.jpg" for i in range(9)]
    made.close()


def test_an_error_of_the_runtime_fails_its_own_request(caplog):
    backend = StandIn()
    with client(service(backend)) as opened:
        backend.failing = True
        answer = opened.post("/predict", content=photo())
        assert answer.status_code == 500 and answer.json() == {"error": "the server failed; its log says how"}
        backend.failing = False
        assert opened.post("/predict", content=photo()).status_code == 200


def test_an_error_of_ours_in_the_network_is_no_fault_of_the_client():
    class Broken(StandIn):
        def __call__(self, images):
            if self.failing:
                raise ExportError("x.onnx: onnxruntime can't run it")
            return super().__call__(images)

    backend = Broken()
    with client(service(backend)) as opened:
        backend.failing = True
        answer = opened.post("/predict", content=photo())
        assert answer.status_code == 500 and answer.json() == {"error": "x.onnx: onnxruntime can't run it"}


def worker(monkeypatch, share, **kwargs):
    """A worker for which an image of a batch is measured to take `share` of its time alone."""
    monkeypatch.setattr(NetworkWorker, "_seconds", lambda self, pixels, count: 1.0 if count == 1 else share * count)
    backend = StandIn()
    return backend, NetworkWorker(lambda: Detector(backend, PRESET), **kwargs)


def submit(made, pixels, score):
    made.submit(Prepared("image", (60, 80), pixels, 0.0), score, future := Future())
    return future


@pytest.mark.parametrize("share, expected", [(GAIN, 3), (GAIN + 0.01, 1)])
def test_batches_are_used_where_they_pay(share, expected, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "ssdzoo"):
        backend, made = worker(monkeypatch, share, max_batch=3, max_delay=5.0)
    assert made.max_batch == expected and f"in batches of 3 an image takes {100 * share:.0f} % of its time alone" in caplog.text
    pixels = np.zeros((3, 300, 300), np.float32)
    backend.calls.clear()
    futures = [submit(made, pixels, score) for score in (0.5, 0.2, 0.95)]
    assert [len(future.result(20).detections) for future in futures] == [1, 2, 0]
    assert backend.calls == ([3] if expected == 3 else [1, 1, 1])
    made.stop()


def test_an_image_that_fails_in_a_batch_fails_alone(monkeypatch):
    class Picky(StandIn):
        def __call__(self, images):
            found = super().__call__(images)
            return (*found[:2], np.where(images[:, :1, :1, 0] > 1, np.nan, found[2]))  # of a broken graph

    monkeypatch.setattr(NetworkWorker, "_seconds", lambda self, pixels, count: 1.0)
    backend = Picky()
    made = NetworkWorker(lambda: Detector(backend, PRESET), max_batch=3, max_delay=5.0)
    backend.calls.clear()
    futures = [submit(made, np.full((3, 300, 300), value, np.float32), 0.5) for value in (0, 2, 0)]
    assert [len(futures[i].result(20).detections) for i in (0, 2)] == [1, 1] and backend.calls == [3, 1, 1, 1]
    with pytest.raises(CallError, match="boxes must be finite"):
        futures[1].result(20)
    made.stop()


def test_batching_is_measured_and_a_network_of_one_size_goes_without(caplog):
    class OneByOne(StandIn):
        def __call__(self, images):
            if len(images) > 1:
                raise CallError("a batch of 1 is expected")
            return super().__call__(images)

    with caplog.at_level(logging.INFO, "ssdzoo"):
        made = NetworkWorker(lambda: Detector(OneByOne(), PRESET), max_batch=4)
    assert made.max_batch == 1 and "a batch of 1 is expected; images go through the network one by one" in caplog.text
    made.stop()
    backend = StandIn()
    NetworkWorker(lambda: Detector(backend, PRESET), max_batch=4).stop()
    assert backend.calls == [1] + [1] * 10 + [4] * 10


@pytest.mark.parametrize("error, alone, batch, expected", [(0, 1, 3, BATCH), (0, 1, 3.9, 1), (1e-7, 1, 3, 1)])
def test_where_nobody_says_it_a_batch_has_to_pay_and_to_change_nothing(error, alone, batch, expected, monkeypatch):
    class Rounded(StandIn):
        def __call__(self, images):
            ids, scores, boxes = super().__call__(images)
            scores[1:, 0] += np.float32(error)  # of all images but the first
            return ids, scores, boxes

    monkeypatch.setattr(NetworkWorker, "_seconds", lambda self, pixels, count: (alone if count == 1 else batch) / 100)
    made = NetworkWorker(lambda: Detector(Rounded(), PRESET), max_batch=None)
    assert made.max_batch == expected
    made.stop()
    chosen = NetworkWorker(lambda: Detector(Rounded(), PRESET), max_batch=BATCH)
    assert chosen.max_batch == (BATCH if batch == 3 else 1)  # whoever asks for batches takes what they round
    chosen.stop()


def test_a_slow_network_is_not_measured_for_long():
    class Slow(StandIn):
        def __call__(self, images):
            time.sleep(SLOW * 1.1)
            return super().__call__(images)

    backend = Slow()
    made = NetworkWorker(lambda: Detector(backend, PRESET), max_batch=None)
    assert made.max_batch == 1 and backend.calls == [1] * 3
    made.stop()


def test_a_worker_runs_in_one_thread_and_raises_what_loading_raises():
    threads = set()

    class Watched(StandIn):
        def __call__(self, images):
            threads.add(threading.current_thread().name)
            return super().__call__(images)

    def load():
        threads.add(threading.current_thread().name)
        return Detector(Watched(), PRESET)

    NetworkWorker(load).stop()
    assert threads == {"network"}

    def fail():
        raise CallError("no such model")

    with pytest.raises(CallError, match="no such model"):
        NetworkWorker(fail)


def test_metrics_count_requests_errors_times_and_images():
    made = service()
    with client(made) as opened:
        for content in (photo(), photo(), b"no image"):
            opened.post("/predict", content=content)
        opened.get("/x1"), opened.get("/x2")
        answer = opened.get("/metrics")
        lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert lines['ssdzoo_requests_total{route="/predict",status="200"}'] == "2"
    assert lines['ssdzoo_requests_total{route="/predict",status="400"}'] == lines['ssdzoo_errors_total{route="/predict"}'] == "1"
    assert lines['ssdzoo_requests_total{route="other",status="404"}'] == "2"
    assert lines['ssdzoo_request_seconds_bucket{route="/predict",le="+Inf"}'] == "3"
    assert lines["ssdzoo_images_total"] == "2" and lines["ssdzoo_queue_requests"] == lines["ssdzoo_queue_images"] == "0"
    assert float(lines["ssdzoo_images_per_second"]) == 0.2 and lines["ssdzoo_requests_in_progress"] == "1"


def test_buckets_of_times_are_cumulative():
    metrics = Metrics()
    for seconds in (0.005, 0.006, 0.3, 40):
        metrics.add("/predict", 200, seconds)
    made = service()
    lines = [line for line in metrics.text(made).splitlines() if "_bucket" in line]
    made.close()
    assert [int(line.rsplit(" ", 1)[1]) for line in lines] == [1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4] and len(lines) == len(
        BUCKETS
    ) + 1
    assert lines[0] == 'ssdzoo_request_seconds_bucket{route="/predict",le="0.005"} 1'
