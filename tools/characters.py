"""Data sets of printed text: characters, for which mirrored images are wrong, because a mirrored b is a d; and lines, which are
wider than the anchors of the presets."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdzoo.boxes import iou
from ssdzoo.demo.shapes import write_scenes

CLASSES = "0123456789bd"
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
SIZE = (240, 320)  # (height, width) pixels
HEIGHTS = (28, 80)  # pixels of a font
LINE_HEIGHTS = (20, 44)  # of lines
LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"


def write_characters(folder: str | Path, train: int = 120, val: int = 40, test: int = 80, seed: int = 0) -> Path:
    """Draws the data set as a Pascal VOC folder; the same one for the same arguments.

    Args:
        folder: made here; must not exist yet, or be empty.
        train, val, test: images of each split.
        seed: of everything random.
    """
    draw = partial(draw_text, text=_character, heights=HEIGHTS)
    return write_scenes(Path(folder), {"train": train, "val": val, "test": test}, seed, draw)


def write_lines(folder: str | Path, length: int = 10, train: int = 120, val: int = 40, test: int = 80, seed: int = 0) -> Path:
    """Draws a data set of dates, prices and codes; the other arguments are those of `write_characters`.

    Args:
        length: characters of a line at most. The longer, the more lines are missed by the anchors of a preset.
    """
    draw = partial(draw_text, text=partial(_line, length=length), heights=LINE_HEIGHTS)
    return write_scenes(Path(folder), {"train": train, "val": val, "test": test}, seed, draw)


@lru_cache(maxsize=64)
def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), height)


def _character(rng: np.random.Generator) -> tuple[str, str]:
    """The class of what is printed, and its text."""
    name = CLASSES[rng.integers(len(CLASSES))]
    return name, name


def _line(rng: np.random.Generator, length: int) -> tuple[str, str]:
    letters, digits = (rng.integers(0, count, 6) for count in (len(LETTERS), 10))
    texts = {
        "date": f"{1990 + digits[0]}-0{1 + digits[1] % 9}-{1 + digits[2] % 2}{digits[3]}",
        "price": f"${digits[0]}{digits[1]}{digits[2]}.{digits[3]}{digits[4]}",
        "code": "".join(LETTERS[i] for i in letters),
    }
    name = list(texts)[rng.integers(len(texts))]
    return name, texts[name][:length]


def draw_text(rng: np.random.Generator, text: Callable, heights: tuple[int, int]) -> tuple:
    """One image (H, W, 3) uint8 RGB with 2 to 7 texts; boxes (M, 4) float32, 0-based pixels of the last row and column; names.

    Args:
        text: gives the class and the text from a random generator.
        heights: lowest and highest, in pixels, of a font.
    """
    paper = rng.uniform(90, 255, 3)
    shade = np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1), SIZE[1])[None, :, None]
    noisy = paper * shade + rng.normal(0, rng.uniform(2, 12), (*SIZE, 3))
    image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    boxes, names = np.zeros((0, 4), np.float32), []
    for _ in range(rng.integers(2, 8)):
        name, shown = text(rng)
        font = _font(FONTS[rng.integers(len(FONTS))], int(rng.integers(*heights)))
        left, top, right, bottom = font.getbbox(shown)
        for _ in range(20):
            x, y = rng.integers(0, SIZE[1] - (right - left)), rng.integers(0, SIZE[0] - (bottom - top))
            box = np.array([[x, y, x + right - left - 1, y + bottom - top - 1]], np.float32)
            if iou(box, boxes).max(initial=0) == 0:
                break
        else:
            continue
        ink = tuple(int(v) for v in rng.uniform(0, 70, 3))
        pen.text((x - left, y - top), shown, font=font, fill=ink)
        boxes, names = np.concatenate([boxes, box]), [*names, name]
    return np.asarray(image), boxes, names
