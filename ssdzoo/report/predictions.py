"""Detections of many images as pictures and as one JSON file."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssdzoo.data.video import VIDEO_SUFFIXES, count_frames, video_frames
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError, DataError
from ssdzoo.files import write_text
from ssdzoo.predict.detector import Detector, Image, OnError, list_images
from ssdzoo.progress import Silent
from ssdzoo.report.pictures import draw_detections, save_image


def write_predictions(detector: Detector, images: list, out: str | Path, score: float, progress: Silent | None = None,
                      on_error: OnError | None = None) -> list:  # fmt: skip
    """Writes each image with its boxes, and `detections.json` once all are done.

    Args:
        detector: a Detector.
        images: paths of images, videos and folders.
        out: folder; a picture has the name of its image and the suffix .jpg (with a number where two images share it), and that
            of a video's frame the number of the frame after its name.
        score: minimum score of a detection.
        progress: shows the images: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.
        on_error: called with an image or video that cannot be read and its DataError; the others are still written. Without it
            the error is raised.

    Returns:
        What the JSON file holds: [{"image", "width", "height", "picture", "detections": [{"class", "class_id",
        "score", "box"}]}], and "frame", counted from 0, where the image is a video.
    """
    paths: list = list_images(images)
    out = Path(out)
    if any(path.resolve().parent == out.resolve() for path in paths):
        raise CallError(f"{out} holds images to be read: choose another out=, so that none is overwritten")
    found = []
    sources: deque = deque()
    taken: set[str] = set()

    def left_out(item: Image, error: DataError) -> None:
        sources.remove((item, None))
        if on_error:
            on_error(item, error)

    results = detector.stream(_read_along(paths, sources, on_error), score, left_out if on_error else None)
    for image, detections in (progress or Silent()).images(results, sum(map(_count, paths))):
        path, frame = sources.popleft()
        picture = _free_name(path.stem if frame is None else f"{path.stem}_{frame:06d}", taken)
        save_image(out / picture, draw_detections(image, detections))
        found.append(image_entry(str(path), image.shape[:2], detections, frame, picture))
    write_text(out / "detections.json", json.dumps(found, indent=1))
    return found


def image_entry(name: str, size: tuple[int, int], detections: Detections, frame: int | None = None,
                picture: str | None = None) -> dict:  # fmt: skip
    """What `detections.json` says of an image: see `write_predictions`.

    Args:
        name: of the image.
        size: (height, width) in pixels.
        frame: of a video, counted from 0.
        picture: name of the image with its boxes, where one was written.
    """
    where = {"image": name} if frame is None else {"image": name, "frame": frame}
    drawn = {} if picture is None else {"picture": picture}
    return {**where, "width": size[1], "height": size[0], **drawn, "detections": detections.to_list()}


def _read_along(paths: list, sources: deque, on_error: OnError | None) -> Iterator:
    """Yields images and frames of videos; appends (path, number of the frame or None) of each to `sources`."""
    for path in paths:
        try:
            for number, item in enumerate(video_frames(path) if _is_video(path) else [path]):
                sources.append((path, number if _is_video(path) else None))
                yield item
        except DataError as error:  # of a video
            if on_error is None:
                raise
            on_error(path, error)


def _count(path: Path) -> int:
    """The number of images of a path; 0 for a video that cannot be read, which is reported when its turn comes."""
    try:
        return count_frames(path) if _is_video(path) else 1
    except DataError:
        return 0


def _is_video(path: Any) -> bool:
    return isinstance(path, Path) and path.suffix.lower() in VIDEO_SUFFIXES


def _free_name(stem: str, taken: set) -> str:
    name, count = f"{stem}.jpg", 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}.jpg"
    taken.add(name)
    return name
