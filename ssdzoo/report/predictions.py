"""Detections of many images: as pictures with one JSON file, or line by line."""

import json
import time
from pathlib import Path
from typing import NamedTuple

from ssdzoo.detections import Detections
from ssdzoo.errors import CallError, DataError
from ssdzoo.files import write_text
from ssdzoo.predict.detector import Detector, OnError
from ssdzoo.predict.remote import is_remote
from ssdzoo.predict.sharding import Shard
from ssdzoo.predict.sources import list_names
from ssdzoo.predict.stream import Found, OnNameError, count_images, stream_names
from ssdzoo.progress import Silent
from ssdzoo.quote import short
from ssdzoo.report.pictures import draw_detections, save_image
from ssdzoo.report.results_file import ResultsFile


def write_predictions(detector: Detector, images: list, out: str | Path, score: float, progress: Silent | None = None,
                      on_error: OnError | None = None, pictures: bool = True, from_list: str | Path | None = None,
                      shard: Shard | None = None) -> list:  # fmt: skip
    """Writes each image with its boxes, and `detections.json` once all are done.

    Args:
        detector: a Detector.
        images, from_list, shard: see `ssdzoo.predict.sources.list_names`.
        out: folder; a picture has the name of its image and the suffix .jpg (with a number where two images share it), and that
            of a video's frame the number of the frame after its name.
        score: minimum score of a detection.
        progress: shows the images: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.
        on_error: called with the path (or the address) of an image or video that cannot be read and its DataError; the others are
            still written. Without it the error is raised.
        pictures: False writes `detections.json` alone.

    Returns:
        What the JSON file holds: [{"image", "width", "height", "picture", "detections": [{"class", "class_id",
        "score", "box"}]}], and "frame", counted from 0, where the image is a video.
    """
    names = list_names(images, from_list, shard)
    out = Path(out)
    if any(Path(name).resolve().parent == out.resolve() for name in names if pictures and not is_remote(name)):
        raise CallError(f"{out} holds images to be read: choose another out=, so that none is overwritten")
    found = []
    taken: set[str] = set()

    def left_out(name: str, error: DataError) -> None:
        assert on_error
        on_error(name if is_remote(name) else Path(name), error)

    results = stream_names(detector, names, score, left_out if on_error else None)
    for name, frame, image, detections in (progress or Silent()).images(results, count_images(names)):
        picture = None
        if pictures:
            stem = Path(name).stem
            picture = _free_name(stem if frame is None else f"{stem}_{frame:06d}", taken)
            save_image(out / picture, draw_detections(image, detections))
        found.append(image_entry(name, image.shape[:2], detections, frame, picture))
    write_text(out / "detections.json", json.dumps(found, indent=1))
    return found


class Appended(NamedTuple):
    """What `append_predictions` did.

    Attributes:
        images, objects: that it wrote: images and frames that could be read, and what was found in them.
        skipped: images that were in the file before.
        failed: images in the file that could not be read, now or before.
        seconds: from the first image to the last.
    """

    images: int
    objects: int
    skipped: int
    failed: int
    seconds: float


def append_predictions(detector: Detector, names: list[str], file: ResultsFile, score: float, progress: Silent | None = None,
                       on_error: OnNameError | None = None) -> Appended:  # fmt: skip
    """Appends a line for each image as soon as it is done; those that are in the file already are left out.

    Args:
        detector: a Detector.
        names: of `ssdzoo.predict.sources.list_names`; one that is there twice is done once.
        file: see there. An image that cannot be read has a line too: {"image", "error"}.
        score: minimum score of a detection.
        progress: as that of `write_predictions`.
        on_error: called with the name of an image that cannot be read and its DataError. All images are done without it, too.

    Raises:
        CallError: the file holds other images, and none of these.
        SSDZooError: the file cannot be written; says how to go on.
        KeyboardInterrupt: Ctrl-C; says how to go on.
    """
    names = list(dict.fromkeys(names))
    skipped = sum(name in file.done for name in names)
    if names and file.done and not skipped:
        there = f"such as {short(next(iter(file.done)), 200)}, and not {short(names[0], 200)}"
        raise CallError(f"{file.path} holds other images, {there}: name them as before, or choose another jsonl=")

    def left_out(name: str, error: DataError) -> None:
        file.add(error_entry(name, error))
        if on_error:
            on_error(name, error)

    images = objects = 0
    begun = time.perf_counter()
    results = stream_names(detector, names, score, left_out, file.done)
    try:
        for found in (progress or Silent()).images(results, count_images(names, file.done)):
            file.add(found_entry(found))
            images, objects = images + 1, objects + len(found.detections)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{file.path} is kept: continue it with resume=True") from None
    return Appended(images, objects, skipped, sum(name in file.failed for name in names), time.perf_counter() - begun)


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


def found_entry(found: Found) -> dict:
    """A line of a `ResultsFile`."""
    height, width = found.image.shape[:2]
    return image_entry(found.name, (height, width), found.detections, found.frame)


def error_entry(name: str, error: DataError) -> dict:
    """The line of an image that cannot be read."""
    return {"image": name, "error": str(error)}


def _free_name(stem: str, taken: set) -> str:
    name, count = f"{stem}.jpg", 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}.jpg"
    taken.add(name)
    return name
