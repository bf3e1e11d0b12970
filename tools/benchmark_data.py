"""Seconds and memory until the first batch of a data set of COCO's size, which this script makes.

    python tools/benchmark_data.py FOLDER [--images 118287] [--polygons] [--check]

Makes in FOLDER, where they are missing, 118,287 links to photos, and annotations/instances_train2017.json with 860,000 boxes
(160 MB; 450 MB with --polygons, which adds outlines of COCO's length): a few minutes. Each line of the result is a process, which
loads the data set, without an index and then with it, and takes the first batch of a Loader: seconds with all imports, seconds of
the processor, and the most memory at a time. --check times the check of all images too.

On one core of a virtual machine the first load takes 8 s of the processor and 0.3 GB (with polygons 9 s and 0.3 GB), the second
2 s and 0.2 GB, and the check 2.5 minutes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

IMAGES, BOXES_PER_IMAGE, CLASSES = 118_287, 7.27, 80
SIDES = ((480, 640), (640, 480), (427, 640), (426, 640), (640, 427), (375, 500))  # height, width; COCO's most frequent ones
COLUMNS = ("seconds", "first batch", "processor", "MB", "images", "boxes")
POINTS = 22  # corners of an outline, COCO's mean


def make_photos(folder: Path, count: int) -> None:
    """`count` links to a photo of each size: files with other names, because a file has at most some ten thousand links."""
    folder.mkdir(parents=True)
    sources: list = [None] * len(SIDES)
    for i in range(count):
        kind, path = i % len(SIDES), folder / file_name(i)
        if i // len(SIDES) % 5000 == 0:
            sources[kind] = path
            cv2.imwrite(str(path), photo(SIDES[kind], kind), [cv2.IMWRITE_JPEG_QUALITY, 92])
        else:
            os.link(sources[kind], path)


def file_name(index: int) -> str:
    return f"{index:012d}.jpg"


def photo(sides: tuple, seed: int) -> np.ndarray:
    """Something with as many details as a photo."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.integers(0, 256, (s, s, 3)).astype(np.float32), sides[::-1], interpolation=cv2.INTER_CUBIC)
              for s in (4, 16, 64, 256)]  # fmt: skip
    return np.clip(sum(layer * part for layer, part in zip(layers, (0.5, 0.25, 0.15, 0.1))), 0, 255).astype(np.uint8)


def write_annotations(file: Path, count: int, polygons: bool) -> None:
    """COCO's json with all its fields, written image by image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".part")
    with open(temporary, "w") as stream:
        stream.write('{"info": {"year": 2017}, "licenses": [{"id": 1, "name": "none"}], "images": [')
        write_rows(stream, ({
            "license": 1, "file_name": file_name(i), "coco_url": f"http://images.example.org/train2017/{file_name(i)}",
            "height": SIDES[i % len(SIDES)][0], "width": SIDES[i % len(SIDES)][1], "date_captured": "2013-11-14 11:18:45",
            "flickr_url": f"http://farm9.example.org/8186/{i:010d}_3a2b9c1d7e_z.jpg", "id": 9 + 5 * i,
        } for i in range(count)))  # fmt: skip
        stream.write('], "annotations": [')
        write_rows(stream, annotations(count, polygons))
        stream.write('], "categories": [')
        write_rows(stream, ({"supercategory": "thing", "id": i + 1 + i // 10, "name": f"class {i}"} for i in range(CLASSES)))
        stream.write("]}")
    temporary.replace(file)


def write_rows(stream, rows: Iterator) -> None:
    for i, row in enumerate(rows):
        stream.write((", " if i else "") + json.dumps(row))


def annotations(count: int, polygons: bool) -> Iterator[dict]:
    rng, number = np.random.default_rng(0), 0
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) / 2 + 0.5
    for i in range(count):
        height, width = SIDES[i % len(SIDES)]
        for _ in range(rng.poisson(BOXES_PER_IMAGE)):
            sides = np.array([width, height] * 2)
            box = np.round(np.concatenate([rng.uniform(0, 0.6, 2), rng.uniform(0.02, 0.4, 2)]) * sides, 2)
            number += 1
            corners = (box[:2] + outline * box[2:]).round(2).ravel().tolist() if polygons else []
            yield {
                "segmentation": [corners] if polygons else [], "area": round(float(box[2] * box[3] * 0.7), 4), "iscrowd": 0,
                "image_id": 9 + 5 * i, "bbox": box.tolist(), "category_id": int((k := rng.integers(CLASSES)) + 1 + k // 10),
                "id": 1_000_000 + number,
            }  # fmt: skip


def work(what: str, folder: Path) -> dict:
    """What a process of its own does; its seconds begin with the imports."""
    begin = time.perf_counter()
    if what == "check":
        from ssdzoo.data.check.check_dataset import check_dataset

        report = check_dataset(folder)
        return {"seconds": time.perf_counter() - begin, "images": report.splits["train2017"]["images"]}
    from ssdzoo.data import load_dataset
    from ssdzoo.data.loading.loader import Loader

    data = load_dataset(folder, "train")
    loaded = time.perf_counter() - begin
    with Loader(data, 32, (300, 300), "ssd") as loader:
        next(loader.epoch(0))
    batch = time.perf_counter() - begin
    boxes = sum(len(record.boxes) for record in data.records)
    return {"seconds": loaded, "first batch": batch, "images": len(data), "boxes": boxes}


def fresh(what: str, folder: Path, cache: str) -> dict:
    """`work` in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--work", what]
    done = subprocess.run(command, env={**os.environ, "SSDZOO_CACHE": cache}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--polygons", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        result = work(options.work, options.folder)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({**result, "processor": used.ru_utime + used.ru_stime, "MB": used.ru_maxrss / 1024}))
        return
    root = options.folder / f"{options.images}{'_polygons' if options.polygons else ''}"
    file = root / "annotations" / "instances_train2017.json"
    if not file.is_file():
        photos = options.folder / f"{options.images}_photos"
        if not photos.is_dir():
            make_photos(photos, options.images)
        write_annotations(file, options.images, options.polygons)
        (root / "train2017").symlink_to(photos.resolve())
    print(f"{options.images} images, {file.stat().st_size / 1e6:.0f} MB of annotations")
    print(f"{'':8}" + "".join(f"{name:>14}" for name in COLUMNS))
    with tempfile.TemporaryDirectory() as cache:
        for name in ("first", "second", *(["check"] if options.check else [])):
            result = fresh("check" if name == "check" else "load", root, cache)
            print(f"{name:8}" + "".join(f"{result.get(column, 0):14,.1f}" for column in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
