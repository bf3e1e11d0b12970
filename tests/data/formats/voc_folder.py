"""Small Pascal VOC folders for tests."""

import cv2
import numpy as np


def xml(objects, size=(100, 80), extra=""):
    """An annotation: objects are (name, xmin, ymin, xmax, ymax) in the file's own 1-based coordinates; size is
    (width, height)."""
    parts = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, x1, y1, x2, y2 in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{parts}{extra}</annotation>"


def write_voc(root, annotations, splits=None, size=(100, 80), suffix=".jpg"):
    """A VOC folder of noise images; `annotations` maps stems to xml texts, `splits` maps splits to stems."""
    (root / "Annotations").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    rng = np.random.default_rng(0)
    for stem, text in annotations.items():
        (root / "Annotations" / f"{stem}.xml").write_text(text, "utf-8")
        cv2.imwrite(str(root / "JPEGImages" / f"{stem}{suffix}"), rng.integers(0, 256, (size[1], size[0], 3)))
    if splits is not None:
        (root / "ImageSets" / "Main").mkdir(parents=True)
        for split, stems in splits.items():
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{s}\n" for s in stems))
    return root
