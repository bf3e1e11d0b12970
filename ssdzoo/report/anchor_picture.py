"""The anchors of each feature map over an image, before and after they were fitted."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ssdzoo.anchors.levels import best_of_all
from ssdzoo.anchors.recall import THRESHOLDS
from ssdzoo.data.images import read_image
from ssdzoo.report.pictures import _font, picture_grid

CELL = 340  # pixels of a panel's longer side
COVERED, MISSED, MATCHED, SHAPES, CENTER = (0, 130, 60), (220, 20, 40), (40, 100, 230), (200, 90, 0), (120, 120, 120)
LEGEND = (
    (COVERED, "objects whose best anchor is on the map"),
    (MISSED, "those without an anchor at IoU 0.5"),
    (MATCHED, "their best anchors"),
    (SHAPES, "all anchors of one cell"),
    (CENTER, "centers of the cells"),
)


def draw_fit(fit) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a panel for each map, in a row for the anchors of the model and one for those proposed, over the image in
    which the model's anchors miss most objects.

    Raises:
        DataError: the image cannot be read.
    """
    image, mine = _sample(fit)
    boxes = fit.objects.boxes[mine]
    panels, captions = [], []
    for levels in fit.levels:
        ious, anchors, where = best_of_all(boxes, levels)
        for i, level in enumerate(levels):
            here = where == i
            panels.append(_panel(image, fit.presets[0].base_size, level, boxes[here], anchors[here], ious[here]))
            captions.append(_caption(level, ious[here]))
    cell = image.shape[:2]
    grid = picture_grid(panels, len(fit.levels[0]), cell, captions=captions)
    half = grid.shape[0] // 2
    names = [fit.presets[0].name, "proposed"]
    missed = [int((best_of_all(boxes, levels)[0] < THRESHOLDS[0]).sum()) for levels in fit.levels]
    titles = [f"{n}: {m} of {len(boxes)} objects of this image without an anchor at IoU 0.5" for n, m in zip(names, missed)]
    width = grid.shape[1]
    return np.concatenate([_legend(width), _title(titles[0], width), grid[:half], _title(titles[1], width), grid[half:]])


def _sample(fit) -> tuple:
    """The image that shows most, pale and as large as a panel, and which objects are its own."""
    missed = best_of_all(fit.objects.boxes, fit.levels[0])[0] < THRESHOLDS[0]
    counts = np.bincount(fit.objects.images, missed + 1e-3, len(fit.dataset))
    chosen = int(counts.argmax())
    height, width = fit.presets[0].base_size
    scale = CELL / max(height, width)
    image = cv2.resize(read_image(fit.dataset.records[chosen].image), (round(width * scale), round(height * scale)),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    return (image * 0.5 + 127).astype(np.uint8), fit.objects.images == chosen


def _panel(image, size: tuple, level, boxes, anchors, ious) -> np.ndarray:
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    scale = CELL / max(size)

    def rectangle(box, color, width):
        x1, y1, x2, y2 = (round(float(v) * scale) for v in box)
        draw.rectangle([x1, y1, max(x1, x2), max(y1, y2)], outline=color, width=width)

    centers = _centers(level) * scale
    for x, y in centers:
        draw.point([round(x), round(y)], CENTER)
    for anchor in anchors:
        rectangle(anchor, MATCHED, 1)
    for box, iou in zip(boxes, ious):
        rectangle(box, COVERED if iou >= THRESHOLDS[0] else MISSED, 2)
    middle = np.array(image.shape[1::-1]) / 2
    x, y = centers[np.abs(centers - middle).sum(axis=1).argmin()] / scale
    for w, h in level.shapes:
        rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), SHAPES, 2)
    return np.array(picture)


def _centers(level) -> np.ndarray:
    """(H * W, 2) x and y of the centers of the cells."""
    height, width = level.cells
    x = (np.arange(width) + level.offsets[1]) * level.steps[1]
    y = (np.arange(height) + level.offsets[0]) * level.steps[0]
    return np.stack([np.tile(x, height), np.repeat(y, width)], axis=1)


def _caption(level, ious) -> str:
    missed = int((ious < THRESHOLDS[0]).sum())
    found = f"{len(ious) - missed} objects" + (f" + {missed} missed" if missed else "")
    return f"{level.cells[0]}x{level.cells[1]}, {len(level.shapes)} at a cell: {found}"


def _title(text: str, width: int) -> np.ndarray:
    picture = Image.new("RGB", (width, 34), "white")
    ImageDraw.Draw(picture).text((8, 8), text, font=_font(20), fill="black")
    return np.array(picture)


def _legend(width: int) -> np.ndarray:
    font, x = _font(17), 8
    picture = Image.new("RGB", (width, 34), "white")
    draw = ImageDraw.Draw(picture)
    for color, text in LEGEND:
        draw.rectangle([x, 9, x + 16, 25], outline=color, width=3)
        draw.text((x + 24, 17), text, font=font, fill="black", anchor="lm")
        x += 24 + int(draw.textlength(text, font=font)) + 28
    return np.array(picture)
