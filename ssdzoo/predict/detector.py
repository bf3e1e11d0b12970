"""The Detector: images of any size in, `Detections` in their pixels out, whatever runs the network."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.data.images import FilePart, ImageBytes, ImageFile, ImageSource, read_image
from ssdzoo.data.loading.transforms import eval_transform
from ssdzoo.data.video import VIDEO_SUFFIXES, video_frames
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError, DataError
from ssdzoo.machine import cores
from ssdzoo.predict.backends.protocol import Backend, OutOfMemory
from ssdzoo.predict.sources import expand
from ssdzoo.preset import Preset, pixel_factors

log = logging.getLogger("ssdzoo")

Image = ImageSource | np.ndarray
Images = Image | Iterable
OnError = Callable[[Image, DataError], None]

READ_AHEAD = 8  # images that are decoded while the network works
GPU_BATCH = 16  # images; the largest two feature maps of SSD-512 VGG-16 then take 2 GiB in float32
GPU_READERS = 16  # threads that read images for a GPU at most; one reads about 700 photos of 640x480 pixels in a second


class Detector:
    """Finds objects in images.

    Attributes:
        size: (H, W) of the network's input in pixels.
        names: of the classes.
        preset, backend, batch_size: see below.

    Args:
        backend: runs the network; see `ssdzoo.predict.backends.protocol.Backend`. To find objects it need only be callable: then
            it is taken for one on the CPU that takes normalized images.
        preset: gives the input size, the classes, mean and std.
        batch_size: images that go through the network at once; by default 1, and on a GPU GPU_BATCH. More than one pays on GPUs
            only. It falls where the memory of the GPU is too small for a batch.
    """

    def __init__(self, backend: Backend, preset: Preset, batch_size: int | None = None):
        self.backend, self.preset = backend, preset
        self._on_gpu = getattr(backend, "on_gpu", False)
        self.batch_size = batch_size or (GPU_BATCH if self._on_gpu else 1)
        self.size, self.names = preset.base_size, list(preset.classes or ())
        self._scale, self._shift = pixel_factors(preset.mean, preset.std)

    @property
    def max_detections(self) -> int:
        """Maximum number of detections in an image; -1 where there is none."""
        return self.preset.post_nms

    @property
    def runtime(self) -> str:
        """What runs the network, with its version: "onnxruntime 1.31.1 CPU"."""
        return self.backend.runtime

    def __call__(self, images: Images, score: float = 0.5) -> list[Detections]:
        """Detections with at least `score`, best first, one `Detections` per image, boxes in pixels of that image.

        Args:
            images: a path, a folder (its images in the order of their names), a pattern such as "photos/*.jpg", a video (its
                frames), an (H, W, 3) uint8 RGB array, `ssdzoo.data.images.ImageBytes`, or a list or a generator of these.

        Raises:
            DataError: an image that cannot be read.
            CallError: something that is no image.
        """
        return [detections for _, detections in self.stream(images, score)]

    def stream(
        self, images: Images, score: float = 0.5, on_error: OnError | None = None
    ) -> Iterator[tuple[np.ndarray, Detections]]:
        """Yields (image (H, W, 3) uint8 RGB, Detections) of each of `images`, reading ahead while the network works.

        Args:
            images, score: as when it is called.
            on_error: called with an image that cannot be read and its DataError; then the image is left out. Without it the error
                is raised.
        """
        flying = getattr(self.backend, "in_flight", 1)
        # A network on the CPU leaves little to them.
        threads = min(GPU_READERS, cores()) if self._on_gpu else 2
        with ThreadPoolExecutor(threads) as readers:
            try:
                ahead = max(READ_AHEAD, 2 * threads, flying * self.batch_size)
                batches = self._read(iter_images(images), readers, ahead, on_error)
                # One at a time runs in this thread: OpenMP starts threads for each new one, and leaves the old ones spinning.
                outputs = self._fly(batches, flying) if flying > 1 else ((batch, self._run(batch)) for batch in batches)
                for batch, found in outputs:
                    sizes = [image.shape[:2] for image, _ in batch]
                    yield from zip([image for image, _ in batch], self._found(sizes, found, score))
            finally:
                readers.shutdown(cancel_futures=True)

    def _read(self, items: Iterator, readers: ThreadPoolExecutor, ahead: int, on_error: OnError | None) -> Iterator[list]:
        """Yields batches of prepared images, with that many in the making."""
        prepared = read_ahead(items, self.prepare, readers, ahead, on_error)
        while batch := list(islice(prepared, self.batch_size)):
            yield batch

    def _fly(self, batches: Iterator[list], flying: int) -> Iterator[tuple]:
        """Yields (batch, outputs) in order, with that many batches in the network at once."""
        with ThreadPoolExecutor(flying) as runners:
            try:
                running = deque((batch, runners.submit(self._run, batch)) for batch in islice(batches, flying + 1))
                while running:
                    batch, future = running.popleft()
                    found = future.result()
                    running.extend((batch, runners.submit(self._run, batch)) for batch in islice(batches, 1))
                    yield batch, found
            finally:
                runners.shutdown(cancel_futures=True)

    def prepare(self, item: Image) -> tuple[np.ndarray, np.ndarray]:
        """(image (H, W, 3) uint8 RGB, input) of a path or an image; the input is what the backend takes of it, at the network's
        size: (3, h, w) float32 normalized, or (h, w, 3) uint8.

        Raises:
            DataError: an image that cannot be read.
        """
        image = as_pixels(item)
        pixels = eval_transform(image, self.size)
        return image, pixels if getattr(self.backend, "takes_pixels", False) else self._normalized(pixels)

    def at_size(self, size: tuple[int, int]) -> "Detector":
        """The same with another size (H, W) of the network's input in pixels, which not every backend takes."""
        return Detector(self.backend, replace(self.preset, base_size=size), self.batch_size)

    def with_names(self, names: Iterable[str]) -> "Detector":
        """The same with other names of its classes."""
        return Detector(self.backend, self.preset.with_classes(names), self.batch_size)

    def _normalized(self, pixels: np.ndarray) -> np.ndarray:
        # Plane by plane, which is 30 times as fast as a transposed view of them all.
        planes = np.empty((3, *pixels.shape[:2]), np.float32)
        for plane, channel, scale, shift in zip(planes, cv2.split(pixels), self._scale, self._shift):
            np.multiply(channel, scale, out=plane)
            plane += shift
        return planes

    def detect(self, inputs: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], score: float = 0.5) -> list[Detections]:
        """Detections of images that are prepared, in one call of the network, for whoever keeps threads and queues of its own.

        Args:
            inputs: of `prepare`.
            sizes: (height, width) of each image in pixels.
            score: as when it is called.
        """
        return self._found(sizes, self._outputs(np.stack(inputs)), score)

    def _run(self, batch: list) -> Sequence:
        return self._outputs(np.stack([pixels for _, pixels in batch]))

    def _outputs(self, images: np.ndarray) -> Sequence:
        """Class ids, scores and boxes of each image."""
        try:
            return self.backend(images)
        except OutOfMemory:
            if len(images) == 1:
                raise
        parts = np.array_split(images, 2)
        if self.batch_size > len(parts[0]):
            self.batch_size = len(parts[0])
            log.warning("the memory of the GPU is too small for %d images: now %d at once", len(images), self.batch_size)
        return [[*a, *b] for a, b in zip(*map(self._outputs, parts))]

    def _found(self, sizes: Sequence[tuple[int, int]], outputs: Sequence, score: float) -> list[Detections]:
        ids, scores, boxes = outputs
        return [self._detections(size, i[:, 0], s[:, 0], b, score) for size, i, s, b in zip(sizes, ids, scores, boxes)]

    def _detections(
        self, size: tuple[int, int], ids: np.ndarray, scores: np.ndarray, boxes: np.ndarray, score: float
    ) -> Detections:
        keep = (ids >= 0) & (scores >= score)
        height, width = size
        scale = np.array([width / self.size[1], height / self.size[0]] * 2, np.float32)
        corners = geometry.clip(boxes[keep] * scale, height, width)
        return Detections(corners, scores[keep], ids[keep].astype(np.int32), tuple(self.names))


def as_pixels(item: Image) -> np.ndarray:
    """The pixels (H, W, 3) uint8 RGB of a path or an image.

    Raises:
        DataError: an image that cannot be read.
    """
    return item if isinstance(item, np.ndarray) else read_image(item)


def read_ahead(items: Iterator, read: Callable, readers: ThreadPoolExecutor, ahead: int, on_error: OnError | None) -> Iterator:
    """Yields what `read` makes of each of `items`, in order, with that many in the making. This thread reads the first one: where
    there is no other, none competes with a runtime whose threads spin while they wait.

    Args:
        on_error: called with an item and its DataError; then it is left out. None raises the error.
    """

    def results(item: Image, result: Callable) -> list:
        try:
            return [result()]
        except DataError as error:
            if on_error is None:
                raise
            on_error(item, error)
            return []

    def submit(count: int) -> list:
        return [(item, readers.submit(read, item)) for item in islice(items, count)]

    first = list(islice(items, 1))
    waiting = deque(submit(ahead))
    for item in first:
        yield from results(item, lambda: read(first[0]))
    while waiting:
        item, future = waiting.popleft()
        waiting.extend(submit(1))
        yield from results(item, future.result)


def iter_images(images: Images) -> Iterator[Image]:
    """Yields paths and arrays of what a user calls images, the frames of videos one by one."""
    if isinstance(images, Iterator):
        for item in images:
            yield from iter_images(item)
        return
    for item in list_images(images):
        if isinstance(item, Path) and item.suffix.lower() in VIDEO_SUFFIXES:
            yield from video_frames(item)
        else:
            yield item


def list_images(images: Images) -> list[Image]:
    """Paths and arrays of what a user calls images; a folder gives its image files, and a pattern such as "*.jpg" what it
    matches, sorted by name."""
    if isinstance(images, np.ndarray):
        images = [images] if images.ndim == 3 else list(images)
    if isinstance(images, (str, Path)) or not isinstance(images, Iterable):
        images = [images]
    found: list[Image] = []
    for item in images:
        if isinstance(item, np.ndarray) and (item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3):
            raise CallError(f"an image is an (H, W, 3) uint8 RGB array, not {item.shape} {item.dtype}")
        if isinstance(item, (np.ndarray, FilePart, ImageBytes, ImageFile)):
            found.append(item)
        elif not isinstance(item, (str, Path)):
            raise CallError(f"an image is a path or an (H, W, 3) uint8 RGB array, not {type(item).__name__}")
        else:
            found += [Path(name) for name, _ in expand(item)]
    return found
