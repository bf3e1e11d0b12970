"""Pictures of a detector's worst mistakes: the object and the detection, drawn on the part of the photo where they are."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ssdzoo.data.images import read_image
from ssdzoo.data.record import Record
from ssdzoo.detections import Detections
from ssdzoo.measure.evaluate import Evaluation
from ssdzoo.metrics.mistakes import KINDS, Mistake, find_mistakes, worst
from ssdzoo.report.pictures import draw_detections, fitted, picture_grid, save_image

LIMIT = 24  # mistakes
HEIGHT, WIDTH = 540, 720  # of a picture in pixels
SMALL = (360, 480)  # of a picture in a file
AROUND = 2.5  # sides of the part of the photo, as a multiple of those of the boxes


class DrawnMistake(NamedTuple):
    """A mistake in words and as a picture.

    Attributes:
        row: {"kind", "image", "class", "found_as", "score", "iou"} for JSON; the classes by name, None where there is none.
        picture: (H, W, 3) uint8 RGB, HEIGHT or WIDTH pixels large.
    """

    row: dict
    picture: np.ndarray


def draw_mistakes(evaluation: Evaluation, score: float, iou: float) -> tuple[list[DrawnMistake], dict[str, int]]:
    """The worst mistakes, kind by kind, and the number of all of each kind.

    Args:
        evaluation: an Evaluation.
        score, iou: see `find_mistakes`.
    """
    pairs = list(zip(evaluation.records, evaluation.found))
    mistakes = [m for i, (record, found) in enumerate(pairs) for m in find_mistakes(i, found, record, score, iou)]
    drawn = []
    for mistake in worst(mistakes, LIMIT):
        record, found = pairs[mistake.image]
        drawn.append(DrawnMistake(_described(mistake, record, found, evaluation.names), _drawn(mistake, record, found)))
    return drawn, {kind: sum(mistake.kind == kind for mistake in mistakes) for kind in KINDS}


def write_mistakes(folder: str | Path, drawn: Sequence[DrawnMistake]) -> list:
    """Writes `mistakes/NN-KIND-CLASS-IMAGE.jpg` for each of the drawn mistakes, and all of them in `mistakes.png`; those of an
    earlier evaluation are removed.

    Returns:
        Their rows, each with its "picture", in the order of the pictures.
    """
    folder = Path(folder)
    for old in (folder / "mistakes").glob("[0-9][0-9]-*.jpg"):
        old.unlink()
    (folder / "mistakes.png").unlink(missing_ok=True)
    rows, captions = [], []
    for number, (row, picture) in enumerate(drawn, 1):
        captions.append(f"{number}. {caption(row)}")
        image = Path(row["image"]).stem
        words = (row["kind"], row["class"] or row["found_as"], image)
        name = "-".join([f"{number:02d}", *(re.sub(r"[^\w.]+", "_", word)[:60] for word in words)]) + ".jpg"
        save_image(folder / "mistakes" / name, picture_grid([picture], 1, SMALL, captions=[f"{caption(row)}, {image}"]))
        rows.append({**row, "picture": f"mistakes/{name}"})
    if drawn:
        pictures = [one.picture for one in drawn]
        save_image(folder / "mistakes.png", picture_grid(pictures, min(4, len(pictures)), SMALL, captions=captions))
    return rows


def _described(mistake: Mistake, record: Record, found: Detections, names: list) -> dict:
    n, m = mistake.detection, mistake.object
    true = None if m is None else names[record.class_ids[m]]
    predicted, score = (None, None) if n is None else (found.labels[n], float(found.scores[n]))
    about = {"kind": mistake.kind, "image": str(record.image)}
    return {**about, "class": true, "found_as": predicted, "score": score, "iou": round(mistake.iou, 4)}


def caption(row: dict) -> str:
    """One line that says what is wrong."""
    true, predicted = row["class"], row["found_as"]
    if true and predicted and true != predicted:
        return f"{row['kind']}: {true} as {predicted}"
    return f"{row['kind']}: {true or predicted}" + (f", IoU {row['iou']:.2f}" if row["iou"] else "")


def _drawn(mistake: Mistake, record: Record, found: Detections) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the part of the photo around a mistake; the object green, the detection red, other objects white."""
    n, m = mistake.detection, mistake.object
    image = read_image(record.image)
    boxes = np.concatenate([found.boxes[[] if n is None else [n]], record.boxes[[] if m is None else [m]]])
    x1, y1, x2, y2 = _window(boxes, image.shape[:2])
    scale = min(HEIGHT / (y2 - y1), WIDTH / (x2 - x1))
    picture = fitted(image[y1:y2, x1:x2], HEIGHT, WIDTH)
    origin = np.array([x1, y1] * 2, np.float32)
    _outline(picture, [box for i, box in enumerate((record.boxes - origin) * scale) if i != m])
    tags = {}  # by the id that chooses a color of the palette: 0 is red, 2 is green
    if n is not None:
        tags[0] = f"{found.labels[n]} {found.scores[n]:.2f}"
    if m is not None:
        tags[2] = f"true: {found.names[record.class_ids[m]]}"
    inside, names = (boxes - origin) * scale, tuple(tags.get(i, "") for i in range(3))
    return draw_detections(picture, Detections(inside, np.ones(len(tags)), np.array(list(tags)), names), scores=False)


def _outline(picture: np.ndarray, boxes: list) -> None:
    """Draws the other objects into the picture: thin white lines with a faint shadow, visible on any photo."""
    corners = [np.round(box).astype(int).tolist() for box in boxes]
    shadow = picture.copy()
    for x1, y1, x2, y2 in corners:
        cv2.rectangle(shadow, (x1, y1), (x2, y2), (0, 0, 0), 2 + HEIGHT // 360)
    cv2.addWeighted(shadow, 0.3, picture, 0.7, 0, picture)
    for x1, y1, x2, y2 in corners:
        cv2.rectangle(picture, (x1, y1), (x2, y2), (245, 245, 245), HEIGHT // 360)


def _window(boxes: np.ndarray, size: tuple) -> tuple:
    """(x1, y1, x2, y2) integer pixels around boxes (M, 4) within an image of (height, width)."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    center, (width, height) = (low + high) / 2, (high - low) * AROUND
    width = max(width, height * WIDTH / HEIGHT, size[1] / 4, 32)
    height = width * HEIGHT / WIDTH
    limits = np.array(size[::-1])
    sides = np.minimum(np.round([width, height]), limits)
    start = np.clip(np.round(center - sides / 2), 0, limits - sides)
    return tuple(np.concatenate([start, start + sides]).astype(int).tolist())
