"""Detections of images that are given by name: files, videos and addresses, one after another, however many there are."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdzoo.data.images import ImageFile
from ssdzoo.data.video import VIDEO_SUFFIXES, count_frames, video_frames
from ssdzoo.detections import Detections
from ssdzoo.errors import DataError
from ssdzoo.predict.detector import Detector, Image
from ssdzoo.predict.remote import is_remote, read_remote

OnNameError = Callable[[str, DataError], None]

_FETCHERS, _FETCH_AHEAD = 16, 32  # reading from a cloud takes about 50 ms, nearly all of it waiting


class Found(NamedTuple):
    """What was found in an image.

    Attributes:
        name: its path or address.
        frame: its number, from 0, where that is a video.
        image: (H, W, 3) uint8 RGB.
        detections: in pixels of the image.
    """

    name: str
    frame: int | None
    image: np.ndarray
    detections: Detections


def stream_names(detector: Detector, names: Iterable[str], score: float = 0.5, on_error: OnNameError | None = None,
                 done: Mapping[str, int] | None = None) -> Iterator[Found]:  # fmt: skip
    """Yields what is found in each image and in each frame of a video, in the order of `names`. Memory does not grow with them.

    Args:
        names: of `ssdzoo.predict.sources.list_names`.
        score: minimum score of a detection.
        on_error: called with the name of an image or a video that cannot be read, and its DataError; the others go on. Without it
            the error is raised.
        done: {name: number of images} that are known already and left out: 1 for an image, for a video that of its first frames.
    """
    waiting: deque[tuple[str, int | None]] = deque()

    def left_out(item: Image, error: DataError) -> None:
        waiting.remove((str(item), None))
        if on_error:
            on_error(str(item), error)

    items = _items(names, waiting, on_error, done or {})
    for image, detections in detector.stream(items, score, left_out if on_error else None):
        yield Found(*waiting.popleft(), image, detections)


def count_images(names: Iterable[str], done: Mapping[str, int] | None = None) -> int:
    """The number of images and frames of `names` without those `done`, by the headers of the videos. A video that cannot be read
    counts 0: it is reported when its turn comes."""
    counts = ((_frames(name) if is_video(name) else 1) - (done or {}).get(name, 0) for name in names)
    return sum(max(0, count) for count in counts)


def is_video(name: str) -> bool:
    """Whether a name is that of a video on this machine."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not is_remote(name)


def _frames(name: str) -> int:
    try:
        return count_frames(name)
    except DataError:
        return 0


def _items(names: Iterable[str], waiting: deque, on_error: OnNameError | None, done: Mapping[str, int]) -> Iterator[Image]:
    """Yields images and frames; appends (name, number of the frame or None) of each to `waiting`."""
    todo = (name for name in names if is_video(name) or name not in done)
    for name, fetched in _fetched(todo):
        try:
            if is_video(name):
                for number, frame in islice(enumerate(video_frames(name)), done.get(name, 0), None):
                    waiting.append((name, number))
                    yield frame
            else:
                item = ImageFile(name) if fetched is None else fetched.result()
                waiting.append((name, None))
                yield item
        except DataError as error:
            if on_error is None:
                raise
            on_error(name, error)


def _fetched(names: Iterable[str]) -> Iterator[tuple[str, Future | None]]:
    """Yields (name, the reading of what lies elsewhere or None), with some of them ahead."""
    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        ahead: deque = deque()
        try:
            for name in names:
                ahead.append((name, fetchers.submit(read_remote, name) if is_remote(name) else None))
                if len(ahead) > _FETCH_AHEAD:
                    yield ahead.popleft()
            yield from ahead
        finally:
            fetchers.shutdown(cancel_futures=True)
