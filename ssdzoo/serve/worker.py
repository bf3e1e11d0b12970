"""The one thread that runs the network, and its queue."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from ssdzoo.detections import Detections
from ssdzoo.errors import SSDZooError
from ssdzoo.predict.detector import Detector
from ssdzoo.serve.decode import Prepared

log = logging.getLogger("ssdzoo")

BATCH = 4  # images per call of the network, where nobody says another number
SLOW = 0.05  # seconds of an image alone, above which batches gain less than a client waits longer
GAIN = 0.95  # share of the time per image that batches may take to be worth the waiting
_TIMED = 9  # calls of the network for each measurement
_WINDOW = 10.0  # seconds over which images per second are counted


class Job(NamedTuple):
    """An image that waits for the network.

    Attributes:
        image: with its pixels.
        score: minimum of its detections.
        future: of what is Found.
        since: when it came, on the clock `time.perf_counter`.
    """

    image: Prepared
    score: float
    future: Future
    since: float


class Found(NamedTuple):
    """What was found in an image.

    Attributes:
        name: of the image.
        size: (height, width) of the image in pixels.
        detections: with boxes in its pixels.
        seconds: that it took, "decode", "queue" and "network".
    """

    name: str
    size: tuple[int, int]
    detections: Detections
    seconds: dict[str, float]


class NetworkWorker:
    """Loads a detector and runs it, all in one thread: OpenMP starts threads for each new one that calls it, and leaves the old
    ones spinning.

    Attributes:
        detector: what was loaded.
        max_batch: images per call of the network.
        images, seconds: that went through the network, and how long they took.

    Args:
        load: makes the detector.
        max_batch: images that may go through the network at once. More than one is measured at the start, and taken only where
            an image takes at most GAIN of the time that it takes alone. None is BATCH where an image takes less than SLOW, and
            where the detections of a batch are the same to the last bit.
        max_delay: seconds that the first image of a batch waits for others; those that wait already are taken in any case.

    Raises:
        whatever `load` and the first call of the network raise.
    """

    detector: Detector

    def __init__(self, load: Callable[[], Detector], max_batch: int | None = 1, max_delay: float = 0.0):
        self.max_batch, self._max_delay = 1, max_delay
        self.images, self.seconds = 0, 0.0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._recent: deque[tuple[float, int]] = deque(maxlen=10_000)
        self._stopping = False
        ready: Future = Future()
        self._thread = threading.Thread(target=self._work, args=(load, max_batch, ready), name="network", daemon=True)
        self._thread.start()
        ready.result()

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return self._jobs.qsize()

    @property
    def image_seconds(self) -> float:
        """Mean time of an image in the network."""
        return self.seconds / self.images if self.images else 0.0

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and not self._stopping

    def images_per_second(self) -> float:
        """Over the last seconds."""
        now = time.monotonic()
        return sum(count for at, count in list(self._recent) if now - at <= _WINDOW) / _WINDOW

    def submit(self, image: Prepared, score: float, future: Future) -> None:
        """Queues an image.

        Args:
            score: minimum of its detections.
            future: gets what is Found; one that is cancelled in time takes no time.
        """
        self._jobs.put(Job(image, score, future, time.perf_counter()))

    def stop(self) -> None:
        """Waits for the jobs that are in the queue."""
        self._stopping = True
        self._jobs.put(None)
        self._thread.join()

    def _work(self, load: Callable[[], Detector], max_batch: int | None, ready: Future) -> None:
        try:
            self.detector = load()
            self.max_batch = self._warm_up(max_batch)
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        while batch := self._next_batch():
            wanted = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if wanted:
                self._run(wanted)

    def _next_batch(self) -> list[Job]:
        """Empty at the end."""
        job = self._jobs.get()
        batch = [job] if job else []
        end = time.monotonic() + self._max_delay
        while job and len(batch) < self.max_batch:
            try:
                job = self._jobs.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if job:
                batch.append(job)
            else:
                self._jobs.put(None)  # the end comes after this batch
        return batch

    def _run(self, batch: list[Job]) -> None:
        start = time.perf_counter()
        try:
            lowest = min(job.score for job in batch)
            found = self.detector.detect([job.image.pixels for job in batch], [job.image.size for job in batch], lowest)
            results = [detections.above(job.score) for detections, job in zip(found, batch)]
        except Exception as error:  # of runtimes, which share no base; the thread goes on
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:  # one image may be to blame, and the others are not
                for job in batch:
                    self._run([job])
            return
        taken = time.perf_counter() - start
        self.images += len(batch)
        self.seconds += taken
        self._recent.append((time.monotonic(), len(batch)))
        for job, detections in zip(batch, results):
            seconds = {"decode": job.image.seconds, "queue": start - job.since, "network": taken}
            job.future.set_result(Found(job.image.name, job.image.size, detections, seconds))

    def _warm_up(self, wanted: int | None) -> int:
        """Runs the network, and returns how many images a call of it takes from now on."""
        most = BATCH if wanted is None else wanted
        pixels = self._noise(0)
        self.detector.detect([pixels], [self.detector.size])
        if most == 1:
            return 1
        try:
            alone = self._seconds(pixels, 1)
            if wanted is None and alone > SLOW:
                return 1
            if wanted is None and not self._is_exact(most):
                log.info("in batches the detections are rounded differently: images go through the network one by one")
                return 1
            share = self._seconds(pixels, most) / most / alone
        except SSDZooError as error:
            log.info("%s; images go through the network one by one", error)
            return 1
        pays = share <= GAIN
        log.info(
            "in batches of %d an image takes %.0f %% of its time alone: %s",
            most, 100 * share, "they are used" if pays else "images go through the network one by one",
        )  # fmt: skip
        return most if pays else 1

    def _noise(self, seed: int) -> np.ndarray:
        """Input of the network that is made of an image."""
        return self.detector.prepare(np.random.default_rng(seed).integers(0, 256, (*self.detector.size, 3), np.uint8))[1]

    def _is_exact(self, most: int) -> bool:
        """Whether images get the same detections in batches of up to `most` as alone, to the last bit."""
        images, sizes = [self._noise(seed) for seed in range(most)], [self.detector.size] * most
        alone = [self.detector.detect([pixels], sizes[:1], 0.0)[0] for pixels in images]
        fields = ("class_ids", "scores", "boxes")
        return all(
            np.array_equal(getattr(a, name), getattr(b, name))
            for count in range(2, most + 1)
            for a, b in zip(alone, self.detector.detect(images[:count], sizes[:count], 0.0))
            for name in fields
        )

    def _seconds(self, pixels: np.ndarray, count: int) -> float:
        """Of a call of the network, the fastest of a few, since other programs may disturb some; of a slow one, of fewer."""
        times: list[float] = []
        for _ in range(_TIMED + 1):
            start = time.perf_counter()
            self.detector.detect([pixels] * count, [self.detector.size] * count)
            times.append(time.perf_counter() - start)
            if sum(times[1:]) > SLOW * count:
                break
        return min(times[1:])
