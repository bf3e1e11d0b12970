"""Detections and objects in COCO's json layout (cocodataset.org, "Data Format" and "Results Format"), for other tools."""

import json
import os
from pathlib import Path

from ssdzoo import boxes as geometry
from ssdzoo.data.formats.text_files import read_text
from ssdzoo.data.images import FilePart
from ssdzoo.data.record import Dataset
from ssdzoo.files import write_text
from ssdzoo.measure.evaluate import Evaluation
from ssdzoo.metrics.coco import as_rows, xywh


def coco_ids(data: str | Path | list, split: str, dataset: Dataset) -> tuple:
    """Ids of the images and of the categories: those of the COCO json that the data come from, otherwise 1, 2, ... in order.

    Args:
        data: path of the data set, or a list of paths.
        split: its split that was read.
        dataset: the Dataset that was read.
    """
    counted = list(range(1, len(dataset) + 1)), list(range(1, len(dataset.names) + 1))
    path = _annotations(data, split)
    if path is None:
        return counted
    try:
        whole = json.loads(read_text(path))
        images = {Path(image["file_name"]).as_posix(): image["id"] for image in whole["images"]}
        categories = {category["name"]: category["id"] for category in whole["categories"]}
    except (ValueError, LookupError, TypeError, RecursionError):  # another kind of json: the data come from other files beside it
        return counted
    image_ids = [_by_tail(images, Path(str(record.image))) for record in dataset.records]
    category_ids = [categories.get(name) for name in dataset.names]
    integers = all(type(i) is int for i in image_ids + category_ids)  # not None, and nothing that COCO's tools refuse
    different = len(set(image_ids)) == len(image_ids) and len(set(category_ids)) == len(category_ids)
    return (image_ids, category_ids) if integers and different else counted


def _annotations(data: str | Path | list, split: str) -> Path | None:
    """The one json file that all of the data come from, if there is one."""
    paths = [data] if isinstance(data, (str, Path)) else list(data)
    folder = Path(paths[0])
    places = folder, folder / "annotations" / f"instances_{split}.json", folder / split / "_annotations.coco.json"
    found = [path for path in places if path.suffix == ".json" and os.path.isfile(path)]
    return found[0] if found and len(paths) == 1 else None


def _by_tail(images: dict, path: Path) -> int | None:
    """The id of the image whose file name is the longest end of a path."""
    tails = ("/".join(path.parts[k:]) for k in range(len(path.parts)))
    return next((images[tail] for tail in tails if tail in images), None)


def write_coco(folder: str | Path, evaluation: Evaluation, image_ids: list, category_ids: list) -> list:
    """Writes `coco_results.json` and, for tools that evaluate it, the objects as `coco_annotations.json`; returns both names.

    A box is [xmin, ymin, width, height] in pixels. Objects marked difficult have "iscrowd" 1 like crowds, because that is
    what COCO's tools ignore; "ignore" is 1 too.
    """
    results, images, annotations = [], [], []
    for image_id, record, found in zip(image_ids, evaluation.records, evaluation.found):
        images.append({"id": image_id, "file_name": _name(record.image), "height": record.height, "width": record.width})
        found_ids, real_ids = ([category_ids[i] for i in ids] for ids in (found.class_ids, record.class_ids))
        results += as_rows(image_id, category_id=found_ids, bbox=_short(xywh(found.boxes)), score=_short(found.scores))
        boxes, areas = _short(xywh(record.boxes)), _short(geometry.area(record.boxes))
        flags = (record.difficult | record.crowd).astype(int)
        annotations += as_rows(image_id, category_id=real_ids, bbox=boxes, area=areas, iscrowd=flags, ignore=flags)
    whole = {
        "images": images,
        "annotations": [{"id": i, **annotation} for i, annotation in enumerate(annotations, 1)],
        "categories": [{"id": i, "name": name} for i, name in zip(category_ids, evaluation.names)],
    }
    write_text(Path(folder) / "coco_results.json", json.dumps(results))
    write_text(Path(folder) / "coco_annotations.json", json.dumps(whole))
    return ["coco_results.json", "coco_annotations.json"]


def _name(image: Path | FilePart) -> str:
    return image.name if isinstance(image, Path) else image.stem


def _short(values):
    """float32 values as their shortest decimals."""
    return [_short(row) for row in values] if values.ndim > 1 else [float(str(value)) for value in values]
