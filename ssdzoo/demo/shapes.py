"""A data set of drawn, textured shapes, written as a Pascal VOC folder: it needs no download."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

from ssdzoo.boxes import iou
from ssdzoo.data.images import encode_image
from ssdzoo.errors import CallError

# Each class with its texture and its hue in degrees: a small network learns them from a few hundred images, from scratch.
SHAPES = {
    "circle": ("dots", 5),
    "cross": ("gradient", 300),
    "square": ("stripes", 215),
    "star": ("speckles", 50),
    "triangle": ("checks", 130),
}
HUE_SPREAD = 14  # degrees to either side
SIZE = (240, 320)  # (height, width) pixels of an image
SUPERSAMPLE = 3  # shapes are drawn so many times larger, for smooth edges
MIN_WIDTH, MAX_WIDTH = 0.2, 0.55  # of a shape, as a fraction of the image's height


def write_shapes(folder: str | Path, train: int = 240, val: int = 40, test: int = 80, seed: int = 0) -> Path:
    """Draws the data set; the same one for the same arguments.

    Args:
        folder: made here; must not exist yet, or be empty.
        train, val, test: images of each split.

    Raises:
        CallError: the folder holds something, or the number of images of a split is negative.
    """
    if min(train, val, test) < 0:
        raise CallError(f"train={train}, val={val}, test={test}: numbers of images can't be negative")
    return write_scenes(Path(folder), {"train": train, "val": val, "test": test}, seed, draw_scene)


def write_scenes(folder: Path, counts: dict, seed: int, draw: Callable) -> Path:
    """Writes a data set of drawn images.

    Args:
        folder: made here; must not exist yet, or be empty.
        counts: {split: number of images}; train and val among them.
        seed: each image has a random generator of this seed, its split and its number.
        draw: gives an image, boxes and names as `draw_scene` does.

    Raises:
        CallError: the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CallError(f"{folder} is there already: choose another folder")
    whole = folder.resolve()  # "." has no name
    building = whole.with_name(f".{whole.name}.{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _write_all(building, counts, seed, draw)
        building.rename(whole)  # takes the place of an empty folder
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _write_all(building: Path, counts: dict, seed: int, draw: Callable) -> None:
    for sub in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (building / sub).mkdir(parents=True)
    stems = {}
    for split, count in counts.items():
        stems[split] = [f"{split}_{i:04d}" for i in range(count)]
        for i, stem in enumerate(stems[split]):
            rng = np.random.default_rng([seed, sorted(counts).index(split), i])
            _write(building, stem, *draw(rng))
    stems["trainval"] = stems["train"] + stems["val"]
    for split, names in stems.items():
        (building / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), "utf-8")


def _write(folder: Path, stem: str, image: np.ndarray, boxes: np.ndarray, names: list[str]) -> None:
    path = folder / "JPEGImages" / f"{stem}.jpg"
    path.write_bytes(encode_image(image, ".jpg"))
    height, width = image.shape[:2]
    objects = "".join(
        f"<object><name>{escape(name)}</name><difficult>0</difficult><bndbox><xmin>{x1 + 1:g}</xmin><ymin>{y1 + 1:g}</ymin>"
        f"<xmax>{x2 + 1:g}</xmax><ymax>{y2 + 1:g}</ymax></bndbox></object>\n"
        for name, (x1, y1, x2, y2) in zip(names, boxes)
    )
    (folder / "Annotations" / f"{stem}.xml").write_text(
        f"<annotation><filename>{stem}.jpg</filename>\n<size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        f"{objects}</annotation>\n",
        "utf-8",
    )


def draw_scene(rng: np.random.Generator) -> tuple:
    """One image (H, W, 3) uint8 RGB with 1 to 4 shapes; boxes (M, 4) float32, 0-based pixels of the last row and
    column; names."""
    height, width = SIZE
    image = _background(rng)
    boxes = np.zeros((0, 4), np.float32)
    names: list[str] = []
    for _ in range(rng.integers(1, 5)):
        name = list(SHAPES)[rng.integers(len(SHAPES))]
        for _ in range(20):
            radius = rng.uniform(MIN_WIDTH, MAX_WIDTH) * height / 2
            center = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
            mask = _mask(name, center, radius, rng.uniform(0, 2 * np.pi))
            rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
            box = np.array([[columns[0], rows[0], columns[-1], rows[-1]]], np.float32)
            if iou(box, boxes).max(initial=0) < 0.05:
                break
        else:
            continue
        _paint(image, mask, box[0], *SHAPES[name], rng)
        boxes, names = np.concatenate([boxes, box]), [*names, name]
    noise = rng.standard_normal(image.shape, np.float32) * 4
    return np.clip(image + noise, 0, 255).astype(np.uint8), boxes, names


def _background(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: soft blobs between two muted colors, and a few thin lines that look like edges of shapes."""
    height, width = SIZE
    cells = rng.integers(3, 8), rng.integers(4, 10)
    cloud = cv2.resize(rng.random(cells, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    a, b = (_color(rng.uniform(0, 360), rng.uniform(0, 0.3), rng.uniform(0.25, 0.9)) for _ in range(2))
    image = (a + np.clip(cloud, 0, 1)[..., None] * (b - a)).astype(np.uint8)
    for _ in range(rng.integers(2, 7)):
        p, q = (tuple(int(v) for v in rng.integers(0, (width, height))) for _ in range(2))
        color = _color(rng.uniform(0, 360), rng.uniform(0, 0.4), rng.uniform(0.1, 1))
        cv2.line(image, p, q, color.tolist(), int(rng.integers(1, 3)), cv2.LINE_AA)
    return image.astype(np.float32)


def _color(hue: float, saturation: float, value: float) -> np.ndarray:
    """(3,) float32 RGB, 0 to 255, of a hue in degrees, and a saturation and a value from 0 to 1."""
    return cv2.cvtColor(np.array([[[hue % 360, saturation, value]]], np.float32), cv2.COLOR_HSV2RGB)[0, 0] * 255


def _outline(name: str) -> np.ndarray:
    """(K, 2) corners of a shape within the unit circle."""
    if name == "cross":
        arm = 0.3
        quarter = np.array([[arm, arm], [arm, 0.95], [-arm, 0.95]])
        turn = np.array([[0, 1], [-1, 0]])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    count = {"circle": 72, "square": 4, "triangle": 3, "star": 10}[name]
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = np.resize([1, 0.42 if name == "star" else 1], count)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1) * radii[:, None]


def _mask(name: str, center: tuple, radius: float, angle: float) -> np.ndarray:
    """(H, W) float32 coverage of each pixel, 0 to 1."""
    height, width = SIZE
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (_outline(name) @ turn.T * radius + center) * SUPERSAMPLE
    large = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE), np.uint8)
    cv2.fillPoly(large, [np.round(corners).astype(np.int32)], (255,))
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def _paint(image: np.ndarray, mask: np.ndarray, box: np.ndarray, texture: str, hue: float, rng: np.random.Generator) -> None:
    """Puts a textured shape into the image, and a soft shadow below it."""
    margin = 14  # of the shadow
    left, top = np.maximum(box[:2].astype(int) - margin, 0)
    right, bottom = box[2:].astype(int) + 1 + margin
    part, mask = image[top:bottom, left:right], mask[top:bottom, left:right]
    hue += rng.uniform(-HUE_SPREAD, HUE_SPREAD)
    light = _color(hue, rng.uniform(0.55, 0.8), rng.uniform(0.85, 1))
    dark = _color(hue + rng.uniform(-15, 15), rng.uniform(0.75, 1), rng.uniform(0.35, 0.6))
    colors = dark + _texture(texture, mask.shape, rng)[..., None] * (light - dark)
    shifted = cv2.warpAffine(mask, np.array([[1, 0, 4], [0, 1, 4]], np.float32), mask.shape[::-1])
    shadow = cv2.GaussianBlur(shifted, (0, 0), 3)[..., None] * 0.4
    part[:] = part * (1 - shadow) * (1 - mask[..., None]) + colors * mask[..., None]


def _texture(kind: str, shape: tuple, rng: np.random.Generator) -> np.ndarray:
    """`shape` float32, 0 (dark) to 1 (light), at a random angle and period."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 16)
    along = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    across = np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
    if kind == "speckles":
        pattern = cv2.GaussianBlur(rng.normal(0, 4, shape).astype(np.float32), (0, 0), 1.6)
    else:
        pattern = {
            "stripes": along * 3,
            "dots": (along + across) * 3 - 2.5,
            "checks": along * across * 6,
            "gradient": ((x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)) / max(shape) * 3,
        }[kind]
    return np.clip(pattern / 2 + 0.5, 0, 1)


def draw_jpegs(folder: str | Path, count: int = 8) -> Path:
    """Writes that many scenes of 640x480 pixels as JPEG files, and returns their folder."""
    for i in range(count):
        picture = draw_scene(np.random.default_rng(i))[0]
        large = cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC)
        Path(folder, f"{i}.jpg").write_bytes(encode_image(large, ".jpg", 95))
    return Path(folder)
