"""What tiles, flips and scales gain: python tools/benchmark_tiles.py MODEL DATA [--split test] [--metric voc07] [--out DIR]

Joins each 4 images of a data set into one of twice the width and height, in which every object is half as large to the network,
and prints the mAP of a model on the images and on the mosaics, with and without tiles, flips and scales.
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
from ssdzoo.measure.evaluate import evaluate
from ssdzoo.predict.multi_view import MultiViewDetector
from ssdzoo.predict.views import Views

# What is done with each image, and with each mosaic.
ON_IMAGES = (Views(), Views(flip=True), Views(scales=(1, 1.5)), Views(scales=(1, 1.5), flip=True), Views(tiles=(2, 2)))
ON_MOSAICS = (
    Views(),
    Views(flip=True),
    Views(scales=(1, 2)),
    Views(tiles=(2, 2)),
    Views(tiles=(2, 2), overlap=0.0),
    Views(tiles=(3, 3)),
    Views(tile_size=(640, 480)),
    Views(tile_size=(640, 480), flip=True),
)


def write_mosaics(records: list, names: list, folder: Path) -> Path:
    """Writes a mosaic of each four images, of equal sizes, and `objects.csv`; returns the path of that. What is left over of the
    last ones is left out."""
    rows = []
    for start in range(0, len(records) - 3, 4):
        four = records[start : start + 4]
        first, second, third, fourth = (read_image(record.image) for record in four)
        mosaic = np.concatenate([np.concatenate([first, second], 1), np.concatenate([third, fourth], 1)])
        name = f"mosaic_{start // 4:03d}.png"
        cv2.imwrite(str(folder / name), mosaic[..., ::-1])
        for i, record in enumerate(four):
            rows += [_row(name, box, names[k], hard, i, first.shape) for box, k, hard in _objects(record)]
    with open(folder / "objects.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "xmin", "ymin", "xmax", "ymax", "class", "difficult"], *rows])
    return folder / "objects.csv"


def _objects(record: Record) -> zip:
    return zip(record.boxes, record.class_ids, record.difficult | record.crowd)


def _row(name: str, box: np.ndarray, label: str, difficult: bool, place: int, shape: tuple) -> list:
    """Of the table: an object of the image in that place of a mosaic, 0 to 3."""
    moved = box + np.array([place % 2 * shape[1], place // 2 * shape[0]] * 2, np.float32)
    return [name, *(f"{value:g}" for value in moved), label, int(difficult)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--metric", default="voc07")
    parser.add_argument("--backend")
    parser.add_argument("--out", type=Path, help="keep the mosaics in this folder")
    given = parser.parse_args()
    detector = ssdzoo.load(given.model, given.backend)
    images = load_dataset(given.data, given.split, detector.names)
    with TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        mosaics = load_dataset(write_mosaics(list(images.records), images.names, folder), "all", detector.names)
        for what, data, chosen in (("image", images, ON_IMAGES), ("mosaic", mosaics, ON_MOSAICS)):
            for views in chosen:
                report(what, detector, data, views, given.metric)


def report(what: str, detector: ssdzoo.Detector, data: Dataset, views: Views, metric: str = "voc07") -> None:
    started = time.perf_counter()
    try:
        value = evaluate(MultiViewDetector(detector, views), data, metric=metric)
    except SSDZooError as error:
        print(f"{what:8}{views.to_dict()}  {error}")
        return
    seconds = (time.perf_counter() - started) / len(data)
    classes = "  ".join(f"{name} {ap:.3f}" for name, ap in value["AP"].items())
    print(f"{what:8} mAP {value['mAP']:.4f}  {classes}  {1000 * seconds:6.1f} ms  {views.to_dict()}", flush=True)


if __name__ == "__main__":
    main()
