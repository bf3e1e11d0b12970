"""A data set of drawn playing cards on a table: large, turned objects, whose class is in small details.

    python tools/cards.py FOLDER [--suits] [--train 240] [--test 120] [--seed 0]

The classes are six ranks, or with `--suits` each of them in four suits: 24 classes.
"""

import argparse
from functools import lru_cache, partial
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdzoo.boxes import iou
from ssdzoo.demo.shapes import write_scenes

RANKS = {"nine": "9", "ten": "10", "jack": "J", "queen": "Q", "king": "K", "ace": "A"}
SUITS = {
    "spades": ("♠", (25, 25, 30)),
    "hearts": ("♥", (190, 20, 30)),
    "clubs": ("♣", (25, 25, 30)),
    "diamonds": ("♦", (190, 20, 30)),
}
PIPS = {  # (x, y) of the upper half and the middle; those above the middle have a counterpart below
    "nine": ((0.3, 0.17), (0.7, 0.17), (0.3, 0.39), (0.7, 0.39), (0.5, 0.5)),
    "ten": ((0.3, 0.17), (0.7, 0.17), (0.3, 0.39), (0.7, 0.39), (0.5, 0.28)),
    "ace": ((0.5, 0.5),),
}  # fmt: skip
CARD = (280, 200)  # (height, width) pixels of a card before it is laid on the table
SIZE = (360, 480)  # (height, width) pixels of an image
SMALLEST, LARGEST = 0.25, 0.6  # height of a card, as a fraction of the image's height
MAX_IOU = 0.15  # of two cards, of which one lies on the other


def write_cards(folder: str | Path, suits: bool = False, train: int = 240, val: int = 40, test: int = 120, seed: int = 0) -> Path:
    """Draws the data set as a Pascal VOC folder; the same one for the same arguments.

    Args:
        folder: made here; must not exist yet, or be empty.
        suits: whether a class is a rank of a suit (24 classes), or a rank (6).
        train, val, test: images of each split.
        seed: of everything random.
    """
    counts = {"train": train, "val": val, "test": test}
    return write_scenes(Path(folder), counts, seed, partial(draw_table, suits=suits))


@lru_cache(maxsize=32)
def _font(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), height)


@lru_cache(maxsize=24)
def _card(rank: str, suit: str) -> np.ndarray:
    """(280, 200, 3) uint8 RGB: corners with rank and suit, and pips or a court in between."""
    height, width = CARD
    symbol, ink = SUITS[suit]
    half = Image.new("RGB", (width, height), (250, 248, 242))
    pen = ImageDraw.Draw(half)
    pen.text((22, 26), RANKS[rank], font=_font(30 if rank == "ten" else 36), fill=ink, anchor="mm")
    pen.text((22, 60), symbol, font=_font(32), fill=ink, anchor="mm")
    if rank in PIPS:
        for x, y in PIPS[rank]:
            pen.text((x * width, y * height), symbol, font=_font(110 if rank == "ace" else 44), fill=ink, anchor="mm")
    else:
        _draw_court(pen, rank, ink)
    upper = np.asarray(half)
    card = upper.copy()
    card[height // 2 :] = upper[::-1, ::-1][height // 2 :]  # the same from both sides
    if (0.5, 0.5) in PIPS.get(rank, ()):
        side = width // 8 if rank == "nine" else width // 2
        middle = slice(height // 4, 3 * height // 4), slice(width // 2 - side, width // 2 + side)
        card[middle] = upper[middle]
    return card


def _draw_court(pen: ImageDraw.ImageDraw, rank: str, ink: tuple) -> None:
    """A frame with a head, its hat and a striped coat, in the upper half of a card."""
    height, width = CARD
    pen.rectangle((44, 24, width - 44, height), outline=(40, 60, 140), width=2)
    coat = {"jack": (60, 90, 180), "queen": (190, 50, 60), "king": (200, 160, 40)}[rank]
    for k, y in enumerate(range(96, height // 2, 11)):
        pen.rectangle((52, y, width - 52, y + 10), fill=coat if k % 2 else (230, 200, 90))
    pen.ellipse((78, 54, 122, 104), fill=(240, 210, 180), outline=ink, width=2)
    if rank == "jack":
        pen.polygon(((74, 62), (126, 62), (136, 44), (84, 40)), fill=coat)
    elif rank == "queen":
        pen.ellipse((70, 48, 84, 112), fill=(90, 50, 20))
        pen.ellipse((116, 48, 130, 112), fill=(90, 50, 20))
        pen.polygon(((78, 60), (122, 60), (130, 40), (112, 50), (100, 36), (88, 50), (70, 40)), fill=(220, 180, 40))
    else:
        pen.polygon(((84, 92), (116, 92), (108, 124), (92, 124)), fill=(120, 110, 100))
        pen.polygon(((76, 62), (124, 62), (128, 34), (113, 46), (100, 30), (87, 46), (72, 34)), fill=(220, 180, 40))


def draw_table(rng: np.random.Generator, suits: bool = False) -> tuple:
    """One image (H, W, 3) uint8 RGB with 1 to 4 cards; boxes (M, 4) float32, 0-based pixels of the last row and column; names."""
    image = _table(rng)
    boxes, names = np.zeros((0, 4), np.float32), []
    for _ in range(rng.integers(1, 5)):
        rank, suit = list(RANKS)[rng.integers(len(RANKS))], list(SUITS)[rng.integers(len(SUITS))]
        for _ in range(30):
            corners = _corners(rng)
            box = np.array([[*corners.min(axis=0), *corners.max(axis=0)]], np.float32).round()
            inside = (corners >= 0).all() and (corners < SIZE[::-1]).all()
            if inside and iou(box, boxes).max(initial=0) <= MAX_IOU:
                break
        else:
            continue
        _lay(image, _card(rank, suit), corners, rng)
        boxes, names = np.concatenate([boxes, box]), [*names, f"{rank} of {suit}" if suits else rank]
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.1)) * _light(rng)
    return (image + rng.normal(0, rng.uniform(2, 8), image.shape)).clip(0, 255).astype(np.uint8), boxes, names


def _table(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: a color with a grain along one direction."""
    grain = cv2.GaussianBlur(rng.normal(0, 1, SIZE).astype(np.float32), (0, 0), rng.uniform(1, 12), sigmaY=rng.uniform(1, 12))
    grain /= grain.std()
    return np.clip(rng.uniform(30, 200, 3) + grain[..., None] * rng.uniform(3, 22), 0, 255).astype(np.float32)


def _light(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) factors: a lamp of some color on one side."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / max(SIZE)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = 1 + rng.uniform(0, 0.6) * ((x - 0.5) * np.cos(angle) + (y - 0.4) * np.sin(angle))
    return ramp[..., None] * rng.uniform(0.55, 1.1) * rng.uniform(0.88, 1.1, 3)


def _corners(rng: np.random.Generator) -> np.ndarray:
    """(4, 2) x, y of a card's corners in an image, seen from somewhat aside."""
    high = rng.uniform(SMALLEST, LARGEST) * SIZE[0]
    wide = high * CARD[1] / CARD[0]
    corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]]) / 2
    turn = rng.choice([0, np.pi]) + rng.normal(0, 0.5)
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners[:, 1] *= rng.uniform(0.7, 1)  # the table is not seen from above
    corners *= 1 + corners[:, 1:] / SIZE[0] * rng.uniform(0, 0.5)  # what is nearer is larger
    return corners + rng.uniform(high / 2, np.array(SIZE[::-1]) - high / 2)


def _lay(image: np.ndarray, card: np.ndarray, corners: np.ndarray, rng: np.random.Generator) -> None:
    """Puts a card into the image, and its shadow."""
    height, width = card.shape[:2]
    flat = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    matrix = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
    drawn = cv2.warpPerspective(card, matrix, SIZE[::-1], flags=cv2.INTER_AREA).astype(np.float32)
    mask = cv2.warpPerspective(np.ones(card.shape[:2], np.float32), matrix, SIZE[::-1])[..., None]
    shift = np.array([[1, 0, rng.uniform(-5, 5)], [0, 1, rng.uniform(1, 5)]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(mask[..., 0], shift, SIZE[::-1]), (0, 0), 3)[..., None] * 0.45
    image[:] = image * (1 - shadow) * (1 - mask) + drawn * mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suits", action="store_true")
    parser.add_argument("--train", type=int, default=240)
    parser.add_argument("--test", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(write_cards(given.folder, given.suits, train=given.train, test=given.test, seed=given.seed))


if __name__ == "__main__":
    main()
