"""The Detector: images of any size in, `Detections` in their pixels out, whatever runs the network."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.data.images import IMAGE_SUFFIXES, FilePart, read_image
from ssdzoo.data.transforms import eval_transform
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError

READ_AHEAD = 8  # images that are decoded while the network works


class Detector:
    """Finds objects in images.

    Args:
        backend: runs the network: called with images (B, 3, H, W) float32, normalized, it returns numpy arrays:
            class ids (B, K, 1), scores (B, K, 1) and boxes (B, K, 4) in pixels of the network input, -1 where there is
            no detection.
        preset: gives the input size, the classes, mean and std.
        batch_size: images that go through the network at once; more than one pays on GPUs only.
    """

    def __init__(self, backend, preset, batch_size: int = 1):
        self._backend = backend
        self._size = preset.base_size
        self._scale = (1 / (255 * np.array(preset.std))).astype(np.float32).reshape(3, 1, 1)
        self._shift = (-np.array(preset.mean) / np.array(preset.std)).astype(np.float32).reshape(3, 1, 1)
        self._batch_size = batch_size
        self.preset = preset
        self.names = list(preset.classes)

    def __call__(self, images, score: float = 0.5) -> list:
        """Detections with at least `score`, best first, one `Detections` per image, boxes in pixels of that image.

        Args:
            images: a path, a folder (its images in the order of their names), an (H, W, 3) uint8 RGB array, or a list of paths
                and arrays.

        Raises:
            DataError: an image that cannot be read.
            CallError: something that is no image.
        """
        return [detections for _, detections in self.stream(images, score)]

    def stream(self, images, score: float = 0.5):
        """Yields (image (H, W, 3) uint8 RGB, Detections) of each of `images`, reading ahead while the network works."""
        items = iter(list_images(images))
        with ThreadPoolExecutor(2) as pool:
            try:
                waiting = [pool.submit(self._read, item) for item in islice(items, READ_AHEAD)]
                while waiting:
                    batch = [future.result() for future in waiting[: self._batch_size]]
                    waiting = waiting[self._batch_size :]
                    waiting += [pool.submit(self._read, item) for item in islice(items, len(batch))]
                    yield from zip([image for image, _ in batch], self._detect(batch, score))
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, item):
        image = item if isinstance(item, np.ndarray) else read_image(item)
        pixels = eval_transform(image, self._size).transpose(2, 0, 1)
        return image, pixels * self._scale + self._shift

    def _detect(self, batch: list, score: float) -> list:
        ids, scores, boxes = self._backend(np.stack([pixels for _, pixels in batch]))
        return [
            self._detections(image.shape[:2], i[:, 0], s[:, 0], b, score)
            for (image, _), i, s, b in zip(batch, ids, scores, boxes)
        ]

    def _detections(self, shape, ids, scores, boxes, score) -> Detections:
        keep = (ids >= 0) & (scores >= score)
        height, width = shape
        scale = np.array([width / self._size[1], height / self._size[0]] * 2, np.float32)
        corners = geometry.clip(boxes[keep] * scale, height, width)
        return Detections(corners, scores[keep], ids[keep].astype(np.int32), self.names)


def list_images(images) -> list:
    """Paths and arrays of what a user calls images; a folder gives its image files, sorted by name."""
    if isinstance(images, np.ndarray):
        images = [images] if images.ndim == 3 else list(images)
    if isinstance(images, (str, Path)) or not isinstance(images, Iterable):
        images = [images]
    found = []
    for item in images:
        if isinstance(item, np.ndarray):
            if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3:
                raise CallError(f"an image is an (H, W, 3) uint8 RGB array, not {item.shape} {item.dtype}")
            found.append(item)
        elif isinstance(item, FilePart):
            found.append(item)
        elif not isinstance(item, (str, Path)):
            raise CallError(f"an image is a path or an (H, W, 3) uint8 RGB array, not {type(item).__name__}")
        elif Path(item).is_dir():
            files = sorted(p for p in Path(item).iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            if not files:
                raise CallError(f"{item}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
            found += files
        else:
            found.append(Path(item))
    return found


class MXNetBackend:
    """Runs a Gluon network, an SSD or an exported symbol, on the first context of its parameters."""

    def __init__(self, net):
        from ssdzoo.runtime import mxnet

        self._mx = mxnet()
        self._net = net
        self._context = next(iter(net.collect_params().values())).list_ctx()[0]

    def __call__(self, images: np.ndarray) -> tuple:
        outputs = self._net(self._mx.nd.array(images, ctx=self._context))
        return tuple(output.asnumpy() for output in outputs)
