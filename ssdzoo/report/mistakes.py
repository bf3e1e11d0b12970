"""Pictures of a detector's worst mistakes: the object and the detection, drawn on the part of the photo where they are."""

import re
from pathlib import Path

import cv2
import numpy as np

from ssdzoo.data.images import read_image
from ssdzoo.data.record import Record
from ssdzoo.detections import Detections
from ssdzoo.measure.evaluate import Evaluation
from ssdzoo.metrics.mistakes import Mistake, find_mistakes, worst
from ssdzoo.report.pictures import draw_detections, fitted, picture_grid, save_image

LIMIT = 24  # mistakes
HEIGHT, WIDTH = 360, 480  # of a picture in pixels
AROUND = 2.5  # sides of the part of the photo, as a multiple of those of the boxes


def write_mistakes(folder: str | Path, evaluation: Evaluation, score: float, iou: float) -> list:
    """Writes `mistakes/NN-KIND-CLASS-IMAGE.jpg` for the worst mistakes, kind by kind, and all of them in `mistakes.png`; those
    of an earlier evaluation are removed.

    Args:
        evaluation: an Evaluation.
        score, iou: see `find_mistakes`.

    Returns:
        [{"kind", "image", "class", "found_as", "score", "iou", "picture"}] for JSON, in the order of the pictures.
    """
    folder = Path(folder)
    pairs = list(zip(evaluation.records, evaluation.found))
    mistakes = [m for i, (record, found) in enumerate(pairs) for m in find_mistakes(i, found, record, score, iou)]
    for old in (folder / "mistakes").glob("[0-9][0-9]-*.jpg"):
        old.unlink()
    (folder / "mistakes.png").unlink(missing_ok=True)
    rows, pictures, captions = [], [], []
    for number, mistake in enumerate(worst(mistakes, LIMIT), 1):
        record, found = pairs[mistake.image]
        row = _described(mistake, record, found, evaluation.names)
        pictures.append(_drawn(mistake, record, found))
        captions.append(f"{number}. {_caption(row)}")
        words = (mistake.kind, row["class"] or row["found_as"], record.image.stem)
        name = "-".join([f"{number:02d}", *(re.sub(r"[^\w.]+", "_", word)[:60] for word in words)]) + ".jpg"
        caption = f"{_caption(row)}, {record.image.stem}"
        save_image(folder / "mistakes" / name, picture_grid(pictures[-1:], 1, (HEIGHT, WIDTH), captions=[caption]))
        rows.append({**row, "picture": f"mistakes/{name}"})
    if pictures:
        save_image(folder / "mistakes.png", picture_grid(pictures, min(4, len(pictures)), (HEIGHT, WIDTH), captions=captions))
    return rows


def _described(mistake: Mistake, record: Record, found: Detections, names: list) -> dict:
    n, m = mistake.detection, mistake.object
    true = None if m is None else names[record.class_ids[m]]
    predicted, score = (None, None) if n is None else (found.labels[n], float(found.scores[n]))
    about = {"kind": mistake.kind, "image": str(record.image)}
    return {**about, "class": true, "found_as": predicted, "score": score, "iou": round(mistake.iou, 4)}


def _caption(row: dict) -> str:
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
    labels, ids = [], []  # ids choose the colors of the palette: 0 is red, 2 is green
    if n is not None:
        labels, ids = [f"{found.labels[n]} {found.scores[n]:.2f}"], [0]
    if m is not None:
        ids.append(2)
        labels += ["true: " + found.names[record.class_ids[m]]]
    names = [labels[ids.index(i)] if i in ids else "" for i in range(3)]
    inside = (boxes - origin) * scale
    return draw_detections(picture, Detections(inside, np.ones(len(ids)), np.array(ids), tuple(names)), scores=False)


def _outline(picture: np.ndarray, boxes: list) -> None:
    """Draws the other objects into the picture: thin white lines with a faint shadow, visible on any photo."""
    corners = [np.round(box).astype(int).tolist() for box in boxes]
    shadow = picture.copy()
    for x1, y1, x2, y2 in corners:
        cv2.rectangle(shadow, (x1, y1), (x2, y2), (0, 0, 0), 3)
    cv2.addWeighted(shadow, 0.3, picture, 0.7, 0, picture)
    for x1, y1, x2, y2 in corners:
        cv2.rectangle(picture, (x1, y1), (x2, y2), (245, 245, 245), 1)


def _window(boxes: np.ndarray, size: tuple) -> tuple:
    """(x1, y1, x2, y2) integer pixels around boxes (M, 4) within an image of (height, width)."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    center, (width, height) = (low + high) / 2, (high - low) * AROUND
    width = max(width, height * WIDTH / HEIGHT, size[1] / 4, 32)
    height = width * HEIGHT / WIDTH
    window = []
    for middle, length, limit in ((center[0], width, size[1]), (center[1], height, size[0])):
        length = min(round(length), limit)
        start = int(np.clip(round(middle - length / 2), 0, limit - length))
        window.append((start, start + length))
    return window[0][0], window[1][0], window[0][1], window[1][1]
