"""Detections of many images as pictures and as one JSON file."""

import json
from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.files import write_text
from ssdzoo.predict.detector import list_images
from ssdzoo.report.pictures import draw_detections, save_image


def write_predictions(detector, images, out, score: float, progress=None) -> list:
    """Writes each image with its boxes, and `detections.json` once all are done.

    Args:
        detector: a Detector.
        images: paths of images and folders.
        out: folder; a picture has the name of its image and the suffix .jpg (with a number where two images share it).
        score: least score of a detection.
        progress: wraps the iterable of results, given their number too.

    Returns:
        What the JSON file holds: [{"image", "width", "height", "picture", "detections": [{"class", "class_id",
        "score", "box"}]}].
    """
    paths = list_images(images)
    out = Path(out)
    if any(path.resolve().parent == out.resolve() for path in paths):
        raise CallError(f"{out} holds images to be read: choose another --out, so that none is overwritten")
    results = detector.stream(paths, score)
    if progress:
        results = progress(results, len(paths))
    found, taken = [], set()
    for path, (image, detections) in zip(paths, results):
        picture = _free_name(path.stem, taken)
        save_image(out / picture, draw_detections(image, detections))
        height, width = image.shape[:2]
        found.append(
            {"image": str(path), "width": width, "height": height, "picture": picture, "detections": detections.to_dict()}
        )
    write_text(out / "detections.json", json.dumps(found, indent=1))
    return found


def _free_name(stem: str, taken: set) -> str:
    name, count = f"{stem}.jpg", 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}.jpg"
    taken.add(name)
    return name
