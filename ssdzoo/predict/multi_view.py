"""A detector that looks at several views of each image."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, tee

import numpy as np

from ssdzoo.detections import Detections
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.predict.detector import Detector, Images, OnError, as_pixels, iter_images, read_ahead
from ssdzoo.predict.merge import merge
from ssdzoo.predict.views import View, Views
from ssdzoo.preset import Preset

_AHEAD = 2  # images that are read while the network works


class MultiViewDetector(Detector):
    """A Detector that finds objects in several views of each image, and gives each of them once, in pixels of the image.

    All views are cut from the image, stretched to the network's input and run in batches as images are. Their detections are
    merged by `ssdzoo.predict.merge.merge`, with the model's NMS threshold. The limit of detections is the model's, for each
    window: with tiles an image may have more of them.

    Args:
        detector: looks at one view.
        views: which ones there are.

    Raises:
        CallError: a scale that the model's runtime does not take.
    """

    def __init__(self, detector: Detector, views: Views):
        super().__init__(detector.backend, detector.preset, detector.batch_size)
        self.views = views
        self._sizes = [self._scaled_size(scale) for scale in views.scales]
        for scale, size in zip(views.scales, self._sizes):
            if size != self.size:
                self._try(scale, size)

    def with_names(self, names: Iterable[str]) -> "MultiViewDetector":
        return MultiViewDetector(super().with_names(names), self.views)

    @property
    def max_detections(self) -> int:
        return -1 if self.views.tiled else self.preset.post_nms

    def stream(
        self, images: Images, score: float = 0.5, on_error: OnError | None = None
    ) -> Iterator[tuple[np.ndarray, Detections]]:
        """Yields (image, Detections) as `Detector.stream` does."""
        thresh = self.preset.nms_thresh if 0 < self.preset.nms_thresh < 1 else Preset.nms_thresh
        with ThreadPoolExecutor(1) as readers:
            try:
                copies = tee(read_ahead(iter_images(images), as_pixels, readers, _AHEAD, on_error), len(self._sizes))
                for found in zip(*map(self._at_size, self._sizes, copies)):
                    image, parts = found[0][0], [part for _, parts in found for part in parts]
                    limit = self.preset.post_nms * len({view.window for view, _ in parts})
                    yield image, merge(parts, image.shape[:2], thresh, limit).above(score)
            finally:
                readers.shutdown(cancel_futures=True)

    def _at_size(self, size: tuple[int, int], images: Iterator) -> Iterator[tuple[np.ndarray, list]]:
        """Yields each image with [(view, its Detections)] at one input size of the network."""
        waiting: deque[tuple[np.ndarray, list[View]]] = deque()

        def pixels() -> Iterator[np.ndarray]:
            for image in images:
                views = self.views.of(*image.shape[:2])
                waiting.append((image, views))
                yield from (view.cut(image) for view in views)

        results = (found for _, found in self.at_size(size).stream(pixels(), 0.0))
        for first in results:
            image, views = waiting.popleft()
            yield image, list(zip(views, [first, *islice(results, len(views) - 1)]))

    def _scaled_size(self, scale: float) -> tuple[int, int]:
        height, width = (max(round(side * scale), 1) for side in self.size)
        return height, width

    def _try(self, scale: float, size: tuple[int, int]) -> None:
        """Runs a black image, so that a scale that can't be had is told before the work.

        Raises:
            CallError: it can't.
        """
        try:
            self.at_size(size)(np.zeros((*size, 3), np.uint8), 0.0)
        except SSDZooError as error:
            height, width = size
            raise CallError(
                f"scales={scale:g}: {self.runtime} can't run this model on {width}x{height} pixels ({error}); leave the "
                "scale out, or take the backend mxnet or an .onnx that was exported for images of any size"
            ) from None


def with_views(detector: Detector, views: Views | None) -> Detector:
    """A detector that looks at these views of each image; the same one where they are the image alone."""
    return detector if views is None or views.single else MultiViewDetector(detector, views)


def views_of(detector: Detector) -> dict | None:
    """For JSON: what a detector looks at besides the image itself; None where there is nothing."""
    return detector.views.to_dict() if isinstance(detector, MultiViewDetector) else None
