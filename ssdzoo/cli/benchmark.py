"""`ssdzoo benchmark`: images per second of a model with each runtime."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from ssdzoo.cli.options import Json, Model, Weights, wide_console
from ssdzoo.errors import CallError


def benchmark(
    model: Model,
    images: Annotated[Optional[Path], typer.Option(help="Folder with JPEG files.", show_default="drawn, 640x480")] = None,
    backends: Annotated[
        Optional[str],
        typer.Option(
            help="Runtimes, with commas in between: mxnet, onnxruntime, openvino, onnxruntime-int8, openvino-int8.",
            show_default="all that are installed",
        ),
    ] = None,
    batch: Annotated[str, typer.Option(help="Images per call of the network, with commas in between.")] = "1",
    count: Annotated[int, typer.Option(min=1, help="Images per measurement.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each runtime, in turns.")] = 2,
    gluoncv: Annotated[bool, typer.Option(help="Measure GluonCV too, as its users run it, where it is installed.")] = True,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure a model from the file to its detections, with each runtime in turns; a preset's name alone has random weights."""
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.export.pair import find_pair
    from ssdzoo.predict import benchmark as measure
    from ssdzoo.predict.load import BACKENDS, available, check_installed
    from ssdzoo.predict.timings import remember

    is_onnx = model.endswith(".onnx")
    known, installed = measure.runtimes(BACKENDS[1:]), available()
    if is_onnx:
        known.remove("mxnet")
        installed = [name for name in installed if name != "mxnet"]
    # What was exported is measured as it is, unless the user asks for int8.
    chosen = installed if is_onnx or find_pair(model) else measure.runtimes(installed)
    if backends:
        chosen = [name.strip() for name in backends.split(",")]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise CallError(f"no backend {unknown[0]!r}{' for an .onnx' * is_onnx}; there are {', '.join(known)}")
    lacking = [name for name in chosen if name.removesuffix(measure.INT8) not in installed]
    if lacking:
        check_installed(lacking[0].removesuffix(measure.INT8))
    try:
        batches = [int(number) for number in batch.split(",")]
    except ValueError:
        batches = [0]
    if min(batches) < 1:
        raise CallError(f"--batch {batch}: expected numbers such as 1,8,32")
    with tempfile.TemporaryDirectory() as folder, WorkProgress() as progress:
        subject = measure.find_subject(model, folder, weights)
        paths = measure.list_jpegs(images, count, folder)
        rows = measure.benchmark(subject, paths, chosen, batches, rounds, gluoncv, progress.say)
        if subject.weights:  # what was exported does not say its architecture
            remember(subject.model, rows)
    if as_json:
        print(json.dumps({"model": model, "count": count, "rounds": rounds, "rows": rows}, indent=1))
    else:
        wide_console().print(_table(rows))


def _table(rows: list) -> Table:
    caption = "ms: 50th, 90th and 99th percentile; an image is measured from its file to its detections"
    base = next((row["image_ms"]["p50"] for row in rows if row["runtime"] == "gluoncv"), None)
    if base:
        caption += "; x: times as fast as GluonCV, by the 50th of an image"
    table = Table("runtime", "batch", "network ms", "image ms", "images/s", box=None, pad_edge=False, header_style="bold")
    table.caption, table.caption_justify = caption, "left"
    if base:
        table.add_column("x")
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        times = [" ".join(_short(row[kind][p]) for p in ("p50", "p90", "p99")) for kind in ("net_ms", "image_ms")]
        ratio = [f"{base / row['image_ms']['p50']:.2f}"] if base else []
        name = row["version"].removesuffix(" latency")  # the only mode that is measured
        table.add_row(name, str(row["batch"]), *times, f"{row['images_per_s']:.1f}", *ratio)
    return table


def _short(ms: float) -> str:
    return f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"
