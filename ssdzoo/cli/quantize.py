"""`ssdzoo quantize`: a model in int8, and the certificate that says what it costs."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from ssdzoo.cli.compare import _contexts, run
from ssdzoo.cli.options import PARTS, Json, Model, Weights


def quantize(
    model: Model,
    images: Annotated[Path, typer.Option(help="Folder of images like those of later use, to calibrate on.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for NAME-int8.onnx and the certificate.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, help="Images to calibrate on, evenly spread over the folder.")] = 100,
    data: Annotated[
        Optional[Path],
        typer.Option(
            help="A data set with known boxes, to certify on; its mAP decides.", show_default="the images; nothing decides"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help=f"Images of --data. {PARTS}")] = "test",
    map_tolerance: Annotated[float, typer.Option(min=0, help="Largest loss of mAP.")] = 0.01,
    score: Annotated[float, typer.Option(min=0, max=1, help="Least score of a detection in the certificate.")] = 0.5,
    float_first: Annotated[bool, typer.Option("--float-first", help="Leave the first convolution in float.")] = False,
    float_heads: Annotated[bool, typer.Option("--float-heads", help="Leave the convolutions of the heads in float.")] = False,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Write an int8 ONNX model calibrated on images, and compare it with the float one; exit status 1 where it loses too much."""
    contexts = _contexts(None, ((model, "auto"),))
    from ssdzoo.export.quantize import quantize_onnx
    from ssdzoo.predict.certify import open_side
    from ssdzoo.predict.compare import Tolerance

    side = open_side(model, "onnxruntime", contexts, weights)
    path = out / f"{side.detector.preset.name}-int8.onnx"
    chosen = _spread(images, count)
    batches = (side.detector._read(image)[1][None] for image in chosen)
    done = quantize_onnx(side.detector._backend.path, path, batches, float_first, float_heads)
    sizes = [Path(p).stat().st_size / 1e6 for p in (side.detector._backend.path, path)]
    said = f"{done['quantized']} of {done['convolutions']} convolutions in int8, calibrated on {len(chosen)} images"
    print(f"{path}: {said}, {sizes[0]:.2f} MB before, {sizes[1]:.2f} MB now", file=sys.stderr)
    tolerance = Tolerance(map=map_tolerance) if data else Tolerance(judged=False)
    sides = [side, open_side(path, "onnxruntime")]
    certificate = run(sides, None if data else chosen, data, split, score, tolerance, 6, out, as_json)
    if not certificate.passed:
        raise typer.Exit(1)


def _spread(images, count: int) -> list:
    """At most `count` of the images, the same ones each time."""
    from ssdzoo.predict.certify import list_stills

    found = list_stills(images)
    step = max(1.0, len(found) / count)
    return [found[int(i * step)] for i in range(min(count, len(found)))]
