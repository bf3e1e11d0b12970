"""`ssdzoo benchmark`: images per second of a model with each runtime."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Optional

from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import Json, option, separated, wide_console
from ssdzoo.errors import CallError
from ssdzoo.report.tables import PlainTable

_RUNTIMES = "Runtimes, separated by commas: mxnet, onnxruntime, openvino, torch, onnxruntime-int8, openvino-int8."


@with_model("choice")
def benchmark(
    choice: ModelChoice,
    images: Annotated[Optional[Path], option("Folder with JPEG files.", show_default="drawn ones of 640x480")] = None,
    backends: Annotated[Optional[str], option(_RUNTIMES, show_default="all that are installed")] = None,
    batch: Annotated[str, option("Images per call of the network; several numbers separated by commas.")] = "1",
    count: Annotated[int, option("Images per measurement.", min=1)] = 20,
    rounds: Annotated[int, option("Measurements of each runtime, taken in turn.", min=1)] = 2,
    gluoncv: Annotated[bool, option("Measure GluonCV too, as its users run it, where it is installed.")] = True,
    as_json: Json = False,
) -> None:
    """Measure the time from an image file to its detections with each runtime; a preset without weights has random ones."""
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.demo.shapes import draw_jpegs
    from ssdzoo.measure import benchmark as measure
    from ssdzoo.measure.timings import remember

    chosen, batches = _runtimes(choice.resolve(), backends), _batches(batch)
    with tempfile.TemporaryDirectory() as folder, WorkProgress() as progress:
        subject = measure.find_subject(choice.model, folder, **choice.given)
        paths = measure.list_jpegs(images or draw_jpegs(folder), count)
        rows = measure.benchmark(subject, paths, chosen, batches, rounds, gluoncv, progress.say)
        if subject.weights:  # what was exported does not say its architecture
            remember(subject.model, rows)
    if as_json:
        print(json.dumps({"model": choice.model, "count": count, "rounds": rounds, "rows": rows}, indent=1))
    else:
        wide_console().print(_table(rows))


def _runtimes(source, given: str | None) -> list:
    """Those that the user names, or all that are installed; what was exported is measured as it is, unless int8 is named."""
    from ssdzoo.measure.benchmark import INT8, runtimes
    from ssdzoo.model_source import BACKENDS, NetworkSource, OnnxSource, installed_backends
    from ssdzoo.predict.load import check_installed

    is_onnx = isinstance(source, OnnxSource)
    able = [name for name in BACKENDS[1:] if not (is_onnx and name in ("mxnet", "torch"))]
    if given is None:
        installed = [name for name in installed_backends() if name in able]
        return runtimes(installed) if isinstance(source, NetworkSource) else installed
    chosen = separated(given)
    for name in chosen:
        if name not in runtimes(able):
            raise CallError(f"no backend {name!r}{' for an .onnx' * is_onnx}; there are {', '.join(runtimes(able))}")
        check_installed(name.removesuffix(INT8))
    return chosen


def _batches(given: str) -> list:
    numbers = given.split(",")
    if not all(number.strip().isdecimal() and int(number) for number in numbers):
        raise CallError(f"--batch {given}: expected numbers such as 1,8,32")
    return [int(number) for number in numbers]


def _table(rows: list) -> PlainTable:
    caption = "ms: 50th, 90th and 99th percentile; an image is measured from its file to its detections"
    base = next((row["image_ms"]["p50"] for row in rows if row["runtime"] == "gluoncv"), None)
    if base:
        caption += "; x: times as fast as GluonCV, by the 50th of an image"
    table = PlainTable("runtime", "batch", "network ms", "image ms", "images/s", pad_edge=False)
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
