"""Images with labeled boxes. Images are (H, W, 3) uint8 RGB; nothing here changes its arguments."""

from functools import lru_cache
from importlib.util import find_spec
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

from ssdzoo.data.images import encode_image
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.files import replacing
from ssdzoo.quote import short

# Twelve colors that can be told apart on photos; a class keeps its color from picture to picture.
PALETTE = (
    (230, 60, 60), (60, 140, 240), (60, 180, 75), (255, 165, 30), (160, 80, 220), (30, 190, 200), (240, 80, 190), (150, 200, 40),
    (150, 90, 50), (90, 90, 200), (250, 210, 40), (0, 130, 110),
)  # fmt: skip


LONGEST_NAME = 100  # characters of a name that are drawn


def draw_detections(image: np.ndarray, detections: Detections, min_score: float = 0.0, *, scores: bool = True) -> np.ndarray:
    """The image with a box and a tag, such as "dog 0.87", for each of the Detections, the best on top.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: a Detections.
        min_score: minimum score of a detection that is drawn.
        scores: False leaves the scores out of the tags, for annotated objects.

    Raises:
        CallError: an argument that is not an image.
    """
    _check_image(image)
    side = min(image.shape[:2])
    line, font = max(1, round(side / 200)), _font(max(9, round(side / 28)))
    picture = Image.fromarray(np.ascontiguousarray(image))
    draw = ImageDraw.Draw(picture)
    found, tags = detections.above(min_score), []
    taken: list[tuple] = []
    corners = [_pixels(box, picture.size) for box in found.boxes]
    for box, name, score in zip(corners, found.labels, found.scores):
        text = _fit(draw, name, f" {score:.2f}" if scores else "", font, picture.size[0])
        tags.append((text, _place_tag(draw, picture.size, box, text, font, taken)))
        taken.append(tags[-1][1])
    colors = [PALETTE[i % len(PALETTE)] for i in found.class_ids]
    for box, color in reversed(list(zip(corners, colors))):
        draw.rectangle(box, outline=color, width=line)
    for (text, (x1, y1, x2, y2)), color in reversed(list(zip(tags, colors))):
        draw.rectangle([x1, y1, x2 - 1, y2 - 1], fill=color)
        draw.text((x1 + _pad(font), (y1 + y2) / 2), text, font=font, fill=text_color(color), anchor="lm")
    return np.array(picture)


def _check_image(image: Any) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        what = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise CallError(f"a picture is an (H, W, 3) uint8 RGB array with at least one pixel, not {what}")


def _pixels(box: np.ndarray, size: tuple) -> list:
    """[left, top, right, bottom], the last pixels included. A box that ends at the border keeps its line in the image."""
    x1, y1, x2, y2 = (round(float(np.clip(v, 0, limit - 1))) for v, limit in zip(box, size * 2))
    return [x1, y1, max(x1, x2), max(y1, y2)]


def outline(image: np.ndarray, boxes: np.ndarray, color: tuple, width: int = 1) -> np.ndarray:
    """The image with the outlines of boxes (M, 4) in a color."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        draw.rectangle(_pixels(box, picture.size), outline=color, width=width)
    return np.array(picture)


def fitted(image: np.ndarray, height: float, width: float) -> np.ndarray:
    """The image at the size that fits into height and width without distortion."""
    scale = min(height / image.shape[0], width / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def column_count(count: int, widest: int) -> int:
    """Columns for `count` pictures: of those from a square to `widest`, the number that leaves the fewest places empty."""
    square = max(1, min(widest, ceil(sqrt(count))))
    return min(range(square, max(square, widest) + 1), key=lambda columns: -count % columns)


@lru_cache
def _font(size: int) -> FreeTypeFont:
    # Pillow's own font has ASCII alone; matplotlib contains one with Latin, Greek, Cyrillic, Arabic and more.
    # It is found without importing it, which takes half a second.
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    return ImageFont.truetype(str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def _pad(font: FreeTypeFont) -> int:
    return max(2, int(font.size) // 5)


def _fit(draw: ImageDraw.ImageDraw, name: str, score: str, font: FreeTypeFont, width: int) -> str:
    """Name and score; the name is shortened where the image is too narrow for both."""
    name = short(name, LONGEST_NAME)
    text, kept = name + score, len(name)
    while kept and draw.textlength(text, font=font) + 2 * _pad(font) > width:
        kept -= 1
        text = name[:kept].rstrip() + "…" + score if kept else score.strip()
    return text


def _place_tag(draw: ImageDraw.ImageDraw, size: tuple, box: list, text: str, font: FreeTypeFont, taken: list) -> tuple:
    """(x1, y1, x2, y2) of a tag within the image: above its box, inside of it or below, where it hides as little
    as possible of the tags of better detections."""
    width = min(size[0], ceil(draw.textlength(text, font=font)) + 2 * _pad(font))
    height = min(size[1], sum(font.getmetrics()) + 2)
    left, right = box[0], box[2] + 1 - width

    def hidden(place: tuple) -> int:
        x, y = place
        return sum(max(0, min(x + width, c) - max(x, a)) * max(0, min(y + height, d) - max(y, b)) for a, b, c, d in taken)

    places = [(x, y) for y in (box[1] - height, box[1], box[3] + 1, box[3] + 1 - height) for x in (left, right)]
    places = [(min(max(0, x), size[0] - width), y) for x, y in places if 0 <= y <= size[1] - height]
    x, y = min(places or [(min(max(0, left), size[0] - width), max(0, min(box[1], size[1] - height)))], key=hidden)
    return x, y, x + width, y + height


def text_color(background: tuple) -> tuple:
    """White where it has a contrast of at least 3 to the background (WCAG 2.1, success criterion 1.4.3, large text), else
    black. Colors are RGB, 0 to 255."""
    parts = np.array(background) / 255
    parts = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = parts @ (0.2126, 0.7152, 0.0722)
    return (255, 255, 255) if 1.05 / (luminance + 0.05) >= 3 else (0, 0, 0)


def picture_grid(images: list, columns: int, cell: tuple = (300, 400), gap: int = 6, captions: list | None = None) -> np.ndarray:
    """Images side by side on white, each made to fit a cell of (height, width) pixels without distortion.

    Args:
        captions: one text for each image, below its cell; None for none.

    Raises:
        CallError: an argument that is not an image, no columns, or captions of another number.
    """
    for image in images:
        _check_image(image)
    if columns < 1:
        raise CallError(f"columns={columns}: a grid needs at least one")
    if captions is not None and len(captions) != len(images):
        raise CallError(f"{len(captions)} captions for {len(images)} images: expected one for each")
    font = _font(max(10, cell[0] // 18))
    height, width = cell
    step = height + gap + (2 + sum(font.getmetrics()) if captions else 0)
    grid = np.full((-(-len(images) // columns) * step + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        small = fitted(image, height, width)
        h, w = small.shape[:2]
        y = gap + (i // columns) * step + (height - h) // 2
        x = gap + (i % columns) * (width + gap) + (width - w) // 2
        grid[y : y + h, x : x + w] = small
    if not captions:
        return grid
    picture = Image.fromarray(grid)
    draw = ImageDraw.Draw(picture)
    for i, caption in enumerate(captions):
        place = gap + (i % columns) * (width + gap) + width // 2, gap + (i // columns) * step + height + 2
        draw.text(place, _fit(draw, caption, "", font, width), font=font, fill=(0, 0, 0), anchor="ma")
    return np.array(picture)


def legend(entries: list, width: int) -> np.ndarray:
    """(H, width, 3) uint8 RGB: each (color, text) with a square of its color, none for None, in as many lines as needed."""
    font, gap = _font(20), 12
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places, x, y = [], gap, gap
    for color, text in entries:
        needed = (28 if color else 0) + int(draw.textlength(text, font=font)) + 2 * gap
        if x + needed > width and x > gap:
            x, y = gap, y + 30
        places.append((color, text, x, y))
        x += needed
    picture = Image.new("RGB", (width, y + 30), "white")
    draw = ImageDraw.Draw(picture)
    for color, text, x, y in places:
        if color:
            draw.rectangle([x, y, x + 20, y + 20], fill=color)
        draw.text((x + (28 if color else 0), y + 10), text, font=font, fill="black", anchor="lm")
    return np.array(picture)


def save_image(path: str | Path, image: np.ndarray) -> None:
    """Writes a .png or .jpg.

    Raises:
        CallError: another suffix, or an argument that is not an image.
    """
    if not str(path).lower().endswith((".png", ".jpg", ".jpeg")):
        raise CallError(f"{path}: a picture is saved as .png or .jpg")
    _check_image(image)
    data = encode_image(image, Path(path).suffix.lower())
    with replacing(path) as temporary:
        temporary.write_bytes(data)
