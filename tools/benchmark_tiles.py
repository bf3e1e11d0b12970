"""What tiles, flips and scales gain: python tools/benchmark_tiles.py MODEL DATA [--split test] [--metric voc07] [--gap 48]

Joins each 4 images of a data set into one of twice the width and height, in which every object is half as large to the network,
and prints the mAP of a model on the images and on the mosaics, with and without tiles, flips and scales. Where two images meet,
parts of their objects may look like one object, which no image has. --gap puts a strip of so many pixels between and around the
images, in the model's mean color: that is what the network sees beyond the border of an image, too.

Each mAP has its standard deviation over 100 draws of as many images, or mosaics, with replacement (bootstrap).
"""

import argparse
import csv
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

import ssdzoo
from ssdzoo.data import load_dataset
from ssdzoo.data.images import read_image
from ssdzoo.data.record import Dataset, Record
from ssdzoo.errors import SSDZooError
from ssdzoo.measure.evaluate import average_precision, detect_all
from ssdzoo.predict.multi_view import MultiViewDetector
from ssdzoo.predict.views import Views

# What is done with each image, and with each mosaic.
ON_IMAGES = (Views(), Views(flip=True), Views(scales=(1, 1.5)), Views(scales=(1, 1.5), flip=True), Views(tiles=(2, 2)))
ON_MOSAICS = (
    Views(),
    Views(flip=True),
    Views(scales=(1, 2)),
    Views(scales=(1, 1.5, 2)),
    Views(tiles=(2, 2)),
    Views(tiles=(2, 2), overlap=0.0),
    Views(tiles=(3, 3)),
    Views(tile_size=(640, 480)),
    Views(tile_size=(640, 480), whole=False),
    Views(tile_size=(640, 480), flip=True),
    Views(tile_size=(640, 480), whole=False, flip=True),
    Views(tile_size=(640, 480), scales=(1, 1.5)),
)
DRAWS = 100


def write_mosaics(records: list, names: list, folder: Path, gap: int = 0, color: tuple = (0, 0, 0)) -> Path:
    """Writes a mosaic of each four images, of equal sizes, and `objects.csv`; returns the path of that. What is left over of the
    last ones is left out.

    Args:
        gap: pixels of a strip between and around the images.
        color: of it, RGB 0 to 255.
    """
    rows = []
    for start in range(0, len(records) - 3, 4):
        four = records[start : start + 4]
        name, images = f"mosaic_{start // 4:03d}.png", [read_image(record.image) for record in four]
        height, width = images[0].shape[:2]
        mosaic = np.full((2 * height + 3 * gap, 2 * width + 3 * gap, 3), color, np.uint8)
        for i, (record, image) in enumerate(zip(four, images)):
            left, top = gap + i % 2 * (width + gap), gap + i // 2 * (height + gap)
            mosaic[top : top + height, left : left + width] = image
            rows += [_row(name, box + (left, top, left, top), names[k], hard) for box, k, hard in _objects(record)]
        cv2.imwrite(str(folder / name), mosaic[..., ::-1])
    with open(folder / "objects.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "xmin", "ymin", "xmax", "ymax", "class", "difficult"], *rows])
    return folder / "objects.csv"


def _objects(record: Record) -> zip:
    return zip(record.boxes, record.class_ids, record.difficult | record.crowd)


def _row(name: str, box: np.ndarray, label: str, difficult: bool) -> list:
    """Of the table: an object in a mosaic."""
    return [name, *(f"{value:g}" for value in box), label, int(difficult)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--metric", default="voc07")
    parser.add_argument("--backend")
    parser.add_argument("--gap", type=int, default=0, help="pixels between the images of a mosaic, and around them")
    parser.add_argument("--out", type=Path, help="keep the mosaics in this folder")
    given = parser.parse_args()
    detector = ssdzoo.load(given.model, given.backend)
    images = load_dataset(given.data, given.split, detector.names)
    with TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        color = tuple(round(255 * mean) for mean in detector.preset.mean)
        objects = write_mosaics(list(images.records), images.names, folder, given.gap, color)
        mosaics = load_dataset(objects, "all", detector.names)
        for what, data, chosen in (("image", images, ON_IMAGES), ("mosaic", mosaics, ON_MOSAICS)):
            for views in chosen:
                report(what, detector, data, views, given.metric)


def report(what: str, detector: ssdzoo.Detector, data: Dataset, views: Views, metric: str = "voc07") -> None:
    started = time.perf_counter()
    try:
        found = list(detect_all(MultiViewDetector(detector, views), [record.image for record in data.records], lambda x, _: x))
    except SSDZooError as error:
        print(f"{what:8}{views.to_dict()}  {error}")
        return
    seconds = (time.perf_counter() - started) / len(data)
    value = average_precision(found, data.records, detector.names, metric)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        chosen = rng.integers(0, len(found), len(found))
        some = average_precision([found[i] for i in chosen], [data.records[i] for i in chosen], detector.names, metric)
        drawn.append(some["mAP"])
    classes = "  ".join(f"{name} {ap:.3f}" for name, ap in value["AP"].items())
    print(
        f"{what:8} mAP {value['mAP']:.4f} ±{np.std(drawn):.4f}  {classes}  {1000 * seconds:6.1f} ms  {views.to_dict()}",
        flush=True,
    )


if __name__ == "__main__":
    main()
