"""`ssdzoo predict`: pictures with labeled boxes, and the boxes as JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ssdzoo.cli.options import Gpus, Json, Model, Weights, check_folder, prepare


def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Images, folders of images, or videos.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and detections.json.", show_default=False)],
    score: Annotated[float, typer.Option(min=0, max=1, help="Minimum score of a detection.")] = 0.5,
    backend: Annotated[
        str,
        typer.Option(help="What runs the network: mxnet, onnxruntime, openvino, or auto, the fastest that is installed."),
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="For openvino: f32, bf16, or auto, which is bf16 where the processor has it.")
    ] = "auto",
    mode: Annotated[str, typer.Option(help="For openvino: latency, or throughput for many images.")] = "latency",
    weights: Weights = None,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:
    """Find objects in images; write a picture of each, and detections.json."""
    check_folder(out)
    contexts = prepare(gpus, backend == "mxnet")
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.predict.load import load
    from ssdzoo.report.predictions import write_predictions

    detector = load(model, backend, contexts, weights, precision, mode)
    with WorkProgress() as progress:
        found = write_predictions(detector, images, out, score, progress.images)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        objects = sum(len(image["detections"]) for image in found)
        print(f"{objects} objects in {len(found)} images: {out}/detections.json and the pictures beside it")
