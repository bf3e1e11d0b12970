"""A data set of textured shapes, drawn on the spot and written as a Pascal VOC folder: real work without a download."""

import shutil
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

from ssdzoo.boxes import iou
from ssdzoo.errors import CallError

SHAPES = ("circle", "cross", "square", "star", "triangle")
SIZE = (240, 320)  # (height, width) pixels of an image
SUPERSAMPLE = 3  # shapes are drawn so many times larger, for smooth edges
SMALLEST, LARGEST = 0.2, 0.55  # width of a shape, as a part of the image's height


def write_shapes(folder, train: int = 240, val: int = 40, test: int = 80, seed: int = 0) -> Path:
    """Draws the data set; the same one for the same arguments.

    Args:
        folder: made here; must not exist yet, or be empty.
        train, val, test: images of each split.

    Raises:
        CallError: the folder holds something.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CallError(f"{folder} is there already: choose another folder")
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    for sub in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (building / sub).mkdir(parents=True)
    stems = {}
    for split, count in (("train", train), ("val", val), ("test", test)):
        stems[split] = [f"{split}_{i:04d}" for i in range(count)]
        for i, stem in enumerate(stems[split]):
            rng = np.random.default_rng([seed, sorted(("test", "train", "val")).index(split), i])
            _write(building, stem, *draw_scene(rng))
    stems["trainval"] = stems["train"] + stems["val"]
    for split, names in stems.items():
        (building / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), "utf-8")
    if folder.exists():
        folder.rmdir()
    building.rename(folder)
    return folder


def _write(folder: Path, stem: str, image, boxes, names) -> None:
    cv2.imwrite(str(folder / "JPEGImages" / f"{stem}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
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


def draw_scene(rng) -> tuple:
    """One image (H, W, 3) uint8 RGB with 1 to 4 shapes; boxes (M, 4) float32, 0-based pixels of the last row and column; names."""
    height, width = SIZE
    image = _background(rng)
    boxes, names = np.zeros((0, 4), np.float32), []
    for _ in range(rng.integers(1, 5)):
        name = SHAPES[rng.integers(len(SHAPES))]
        for _ in range(20):
            radius = rng.uniform(SMALLEST, LARGEST) * height / 2
            center = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
            mask = _mask(name, center, radius, rng.uniform(0, 2 * np.pi))
            rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
            box = np.array([[columns[0], rows[0], columns[-1], rows[-1]]], np.float32)
            if iou(box, boxes).max(initial=0) < 0.05:
                break
        else:
            continue
        image = _paint(image, mask, rng)
        boxes, names = np.concatenate([boxes, box]), [*names, name]
    noise = rng.normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), boxes, names


def _background(rng) -> np.ndarray:
    """(H, W, 3) float64: soft blobs of two colors, and a few thin lines that look like edges of shapes."""
    height, width = SIZE
    cloud = cv2.resize(rng.random((rng.integers(3, 8), rng.integers(4, 10))), (width, height), interpolation=cv2.INTER_CUBIC)
    a, b = rng.uniform(30, 225, (2, 3))
    image = a + np.clip(cloud, 0, 1)[..., None] * (b - a)
    lines = image.astype(np.uint8)
    for _ in range(rng.integers(2, 7)):
        p, q = (tuple(int(v) for v in rng.integers(0, (width, height))) for _ in range(2))
        cv2.line(lines, p, q, [int(v) for v in rng.integers(0, 256, 3)], int(rng.integers(1, 3)), cv2.LINE_AA)
    return lines.astype(np.float64)


def _outline(name: str) -> np.ndarray:
    """(K, 2) corners of a shape within the unit circle."""
    if name == "circle":
        turns, radii = np.linspace(0, 2 * np.pi, 72, endpoint=False), 1
    elif name in ("square", "triangle"):
        turns, radii = np.linspace(0, 2 * np.pi, 4 if name == "square" else 3, endpoint=False), 1
    elif name == "star":
        turns, radii = np.linspace(0, 2 * np.pi, 10, endpoint=False), np.tile([1, 0.42], 5)
    else:
        arm = 0.3
        quarter = np.array([[arm, arm], [arm, 0.95], [-arm, 0.95]])
        turn = np.array([[0, 1], [-1, 0]])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    return np.stack([np.cos(turns), np.sin(turns)], axis=1) * np.reshape(radii, (-1, 1))


def _mask(name: str, center, radius: float, angle: float) -> np.ndarray:
    """(H, W) float64 coverage of each pixel, 0 to 1."""
    height, width = SIZE
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (_outline(name) @ turn.T * radius + center) * SUPERSAMPLE
    large = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE), np.uint8)
    cv2.fillPoly(large, [np.round(corners).astype(np.int32)], 255)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA) / 255.0


def _paint(image, mask, rng) -> np.ndarray:
    """The image with a textured shape on it, and a soft shadow below."""
    height, width = SIZE
    y, x = np.mgrid[:height, :width]
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 16)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    kind = rng.integers(4)
    if kind == 0:  # stripes
        pattern = np.sin(2 * np.pi * along / period)
    elif kind == 1:  # dots
        pattern = np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period) * 1.6
    elif kind == 2:  # a gradient
        pattern = (along - along.mean()) / 60
    else:  # speckles
        pattern = cv2.GaussianBlur(rng.normal(0, 3, (height, width)), (0, 0), 1.5)
    base = rng.uniform(20, 235, 3)
    behind = image[mask > 0.5].mean(axis=0)
    if np.abs(base - behind).max() < 70:  # keep it visible
        base = (behind + 128) % 256
    colors = base + np.clip(pattern, -1, 1)[..., None] * rng.uniform(15, 55, 3)
    shadow = cv2.GaussianBlur(np.roll(mask, (4, 4), (0, 1)), (0, 0), 3)[..., None] * 0.35
    shaded = image * (1 - shadow)
    return shaded * (1 - mask[..., None]) + colors * mask[..., None]
