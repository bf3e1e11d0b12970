"""Photos and checks for data sets that are laid out as other programs write them."""

import cv2
import numpy as np

from ssdzoo.data import load_dataset
from ssdzoo.data.check.check_dataset import check_dataset

WIDTH, HEIGHT = 100, 80
BOX = [20, 30, 80, 70]  # of one object, in pixels from 0
ROW = "0.5 0.625 0.6 0.5"  # the same for YOLO


def write_files(root, files):
    """Writes {path: text, or a seed that makes a photo}."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            pixels = np.random.default_rng(content).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return root


def check_export(path, splits, names=("dog",), **kwargs):
    """Each split is {image: class}, with None for an image without objects; all others have BOX."""
    for split, images in splits.items():
        data = load_dataset(path, split, **kwargs)
        assert data.names == list(names) and [str(p) for p in data.problems] == []
        assert [record.image.name for record in data.records] == list(images)
        for record, name in zip(data.records, images.values()):
            assert record.boxes.tolist() == ([BOX] if name else [])
            assert [data.names[i] for i in record.class_ids] == ([name] if name else [])
    report = check_dataset(path, ["all"] if "all" in splits else None, workers=0, **kwargs)
    assert [str(p) for p in report.problems if p.severity == "error"] == [] and set(report.splits) == set(splits)
