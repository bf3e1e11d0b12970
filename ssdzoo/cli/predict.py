"""`ssdzoo predict`: pictures with labeled boxes, and the boxes as JSON."""

import json
from pathlib import Path
from typing import Annotated

from ssdzoo.cli.options import (
    BACKEND,
    Classes,
    Flip,
    Gpus,
    Json,
    Mean,
    Model,
    Overlap,
    Precision,
    Scales,
    Std,
    Suppress,
    Tiles,
    TileSize,
    Weights,
    argument,
    check_folder,
    chosen_views,
    option,
    prepare_backend,
)
from ssdzoo.errors import DataError
from ssdzoo.progress import counted


def predict(
    model: Model,
    images: Annotated[list[Path], argument("Images, folders of images, or videos.")],
    out: Annotated[Path, option("Folder for the pictures and detections.json.", show_default=False)],
    score: Annotated[float, option("Minimum score of a detection.", min=0, max=1)] = 0.5,
    backend: Annotated[str, option(BACKEND)] = "auto",
    precision: Precision = "auto",
    mode: Annotated[str, option("For openvino: latency, or throughput for many images.")] = "latency",
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    classes: Classes = None,
    suppress: Suppress = None,
    tiles: Tiles = None,
    tile_size: TileSize = None,
    overlap: Overlap = None,
    flip: Flip = False,
    scales: Scales = None,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:
    """Find objects in images; write a picture of each, and detections.json. Exits with 1 if an image cannot be read."""
    check_folder(out)
    views = chosen_views(tiles, tile_size, overlap, flip, scales)
    devices = prepare_backend(gpus, backend)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.predict.load import load
    from ssdzoo.report.predictions import write_predictions

    detector = load(model, backend, devices, weights, precision, mode, mean, std, classes, suppress, views)
    failed = []
    with WorkProgress() as progress:

        def report(item, error) -> None:
            progress.say(f"ssdzoo: {error}")
            failed.append(item)

        found = write_predictions(detector, images, out, score, progress, report)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        objects = sum(len(image["detections"]) for image in found)
        print(f"{counted(objects, 'object')} in {counted(len(found), 'image')}: {out}/detections.json and the pictures beside it")
    if failed:
        share = f"{len(failed)} of {counted(len(found) + len(failed), 'image')}"
        raise DataError(f"{share} could not be read; {out}/detections.json has the others")
