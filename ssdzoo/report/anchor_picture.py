"""The anchors of each feature map over an image, before and after they were fitted."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ssdzoo.anchors.levels import Level, best_of_all
from ssdzoo.anchors.recall import THRESHOLDS
from ssdzoo.boxes import anchor_grid
from ssdzoo.data.images import read_image
from ssdzoo.measure.anchor_fit import Fit
from ssdzoo.progress import counted
from ssdzoo.report.pictures import legend, picture_grid

SMALLEST, LARGEST, WIDTH = 340, 700, 2000  # pixels of a panel's longer side, and of the whole picture
COVERED, MISSED, MATCHED, SHAPES, CENTERS = (0, 130, 60), (220, 20, 40), (40, 100, 230), (200, 90, 0), (90, 90, 90)
SPARSE = 10  # pixels between centers that are drawn larger than a pixel
LEGEND = [
    (COVERED, "objects whose best anchor is of this feature map"),
    (MISSED, "objects without an anchor at IoU 0.5"),
    (MATCHED, "their best anchors"),
    (SHAPES, "all anchors of one grid cell"),
    (CENTERS, "centers of the grid cells"),
]


def draw_fit(fit: Fit) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the feature maps side by side, with the model's anchors and below with the proposed ones, over the
    image with the most objects that the model's anchors miss.

    Raises:
        DataError: the image cannot be read.
    """
    size, columns = fit.presets[0].base_size, len(fit.levels[0])
    scale = min(LARGEST, max(SMALLEST, WIDTH // columns)) / max(size)
    image, mine = _sample(fit, scale)
    rows = []
    for title, levels in zip((fit.presets[0].name, "proposed"), fit.levels):
        ious, anchors, where = best_of_all(fit.objects.boxes[mine], levels)
        missed = ious < THRESHOLDS[0]
        panels, captions = [], []
        for i, level in enumerate(levels):
            here = where == i
            parts = (fit.objects.boxes[mine][here & ~missed], fit.objects.boxes[mine][here & missed], anchors[here])
            panels.append(_panel(image, scale, level, *parts))
            note = f", {(here & missed).sum()} missed" if (here & missed).any() else ""
            captions.append(f"{level.cells[0]}x{level.cells[1]}: {counted(here.sum(), 'object')}{note}")
        grid = picture_grid(panels, columns, image.shape[:2], captions=captions)
        text = f"{title}: {missed.sum()} of {len(missed)} objects in this image without an anchor at IoU 0.5"
        rows += [legend([(None, text)], grid.shape[1]), grid]
    return np.concatenate([legend(LEGEND, rows[0].shape[1]), *rows])


def _sample(fit: Fit, scale: float) -> tuple:
    """The image, in the size of a panel and pale, so that lines stand out; and (M,) bool which of the objects are in it."""
    missed = best_of_all(fit.objects.boxes, fit.levels[0])[0] < THRESHOLDS[0]
    # If nothing is missed, the image with the most objects.
    chosen = int(np.bincount(fit.objects.images, missed + 1e-6, len(fit.dataset)).argmax())
    height, width = (round(side * scale) for side in fit.presets[0].base_size)
    image = cv2.resize(read_image(fit.dataset.records[chosen].image), (width, height), interpolation=cv2.INTER_AREA)
    return (image // 2 + 127).astype(np.uint8), fit.objects.images == chosen


def _panel(image: np.ndarray, scale: float, level: Level, covered: np.ndarray, missed: np.ndarray,
           anchors: np.ndarray) -> np.ndarray:  # fmt: skip
    """A copy of the image with boxes; these are in pixels of the network's input."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    centers = anchor_grid(level.shapes[:1], level.steps, level.offsets, level.cells)[..., :2].reshape(-1, 2)
    dot = min(level.steps) * scale >= SPARSE
    for x, y in np.round(centers * scale).tolist():
        draw.rectangle([x - dot, y - dot, x, y], fill=CENTERS)
    middle = np.array(image.shape[1::-1]) / 2 / scale
    center = centers[np.abs(centers - middle).sum(axis=1).argmin()]
    shapes = np.concatenate([center - level.shapes / 2, center + level.shapes / 2], axis=1)
    for boxes, color, width in ((anchors, MATCHED, 1), (covered, COVERED, 2), (missed, MISSED, 2), (shapes, SHAPES, 2)):
        for x1, y1, x2, y2 in np.round(boxes * scale).tolist():
            draw.rectangle([x1, y1, max(x1, x2), max(y1, y2)], outline=color, width=width)
    return np.array(picture)
