"""Images with labeled boxes. Images are (H, W, 3) uint8 RGB; nothing here changes its arguments."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdzoo.errors import CallError
from ssdzoo.files import replacing

# Twelve colors that can be told apart on photos; a class keeps its color from picture to picture.
PALETTE = (
    (230, 60, 60), (60, 140, 240), (60, 180, 75), (255, 165, 30), (160, 80, 220), (30, 190, 200), (240, 80, 190), (150, 200, 40),
    (150, 90, 50), (90, 90, 200), (250, 210, 40), (0, 130, 110),
)  # fmt: skip


def draw_detections(image: np.ndarray, detections, scores: bool = True) -> np.ndarray:
    """The image with a box and a tag, such as "dog 0.87", for each of the Detections, the best on top."""
    side = min(image.shape[:2])
    line, font = max(1, round(side / 200)), _font(max(11, round(side / 26)))
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    found = list(zip(detections.boxes, detections.labels, detections.class_ids, detections.scores))
    for box, _, class_id, _ in reversed(found):
        draw.rectangle([round(float(v)) for v in box], outline=PALETTE[class_id % len(PALETTE)], width=line)
    for box, name, class_id, score in reversed(found):
        text = f"{name} {score:.2f}" if scores else name
        _draw_tag(draw, picture.size, box, text, PALETTE[class_id % len(PALETTE)], font)
    return np.asarray(picture)


def _font(size: int):
    return ImageFont.load_default(size)


def _draw_tag(draw, size: tuple, box, text: str, color: tuple, font) -> None:
    """A filled tag above the box, or inside of it at the image's top; moved so that the image holds it."""
    pad = max(2, font.size // 6)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(0, round(float(box[0]))), max(0, size[0] - width))
    y = round(float(box[1])) - height
    y = min(y if y >= 0 else max(0, round(float(box[1]))), max(0, size[1] - height))
    draw.rectangle([x, y, x + width, y + height], fill=color)
    dark = np.dot(color, (0.299, 0.587, 0.114)) > 150
    draw.text((x + pad - left, y + pad - top), text, font=font, fill=(0, 0, 0) if dark else (255, 255, 255))


def picture_grid(images: list, columns: int, cell: tuple = (300, 400), gap: int = 6) -> np.ndarray:
    """Images side by side on white, each made to fit a cell of (height, width) pixels without distortion."""
    rows = -(-len(images) // columns)
    height, width = cell
    grid = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        scale = min(height / image.shape[0], width / image.shape[1])
        h, w = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
        small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        y = gap + (i // columns) * (height + gap) + (height - h) // 2
        x = gap + (i % columns) * (width + gap) + (width - w) // 2
        grid[y : y + h, x : x + w] = small
    return grid


def save_image(path, image: np.ndarray) -> None:
    """Writes a .png or .jpg.

    Raises:
        CallError: another suffix.
    """
    if not str(path).lower().endswith((".png", ".jpg", ".jpeg")):
        raise CallError(f"{path}: a picture is saved as .png or .jpg")
    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
