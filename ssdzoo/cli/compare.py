"""`ssdzoo compare`: whether two models, or one with two runtimes, find the same."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from ssdzoo.cli.model_options import SideChoice, with_side
from ssdzoo.cli.options import (
    PARTS,
    Format,
    Gpus,
    ImageFolder,
    Json,
    argument,
    check_folder,
    option,
    prepare_backend,
    wide_console,
)
from ssdzoo.cli.views import with_views
from ssdzoo.errors import CallError
from ssdzoo.report.tables import PlainTable

_LIMITS = "What counts as the same"
_A = "The model to trust: a run folder, an exported model, an .onnx, or a preset's name."
_B = "The model to check, likewise; may be the same with another backend."
_TRY = (
    "Evaluate A alone on --data with each mean and std in common use, and say which one it was trained with; for an exported "
    "model that does not state it."
)
_DECIDE = "boxes and scores decide"


@with_side("a", Annotated[str, argument(_A)])
@with_side("b", Annotated[Optional[str], argument(_B)])
@with_views
def compare(
    side_a: SideChoice,
    side_b: SideChoice,
    images: Annotated[Optional[Path], option("An image, or a folder of images.", show_default=False)] = None,
    data: Annotated[Optional[Path], option("A data set with true boxes, in place of --images.", show_default=False)] = None,
    split: Annotated[str, option(f"Images of --data. {PARTS}")] = "test",
    format: Format = None,
    image_folder: ImageFolder = None,
    out: Annotated[Path, option("Folder for certificate.json and certificate.html.")] = Path("certificate"),
    try_normalizations: Annotated[bool, option(_TRY, "--try-normalizations")] = False,
    score: Annotated[float, option("Minimum score of a detection.", panel=_LIMITS, min=0, max=1)] = 0.1,
    box_tolerance: Annotated[float, option("Maximum difference of a coordinate, in pixels.", panel=_LIMITS, min=0)] = 0.05,
    score_tolerance: Annotated[float, option("Maximum difference of a score.", panel=_LIMITS, min=0)] = 1e-4,
    map_tolerance: Annotated[Optional[float], option(
        "Maximum loss of mAP from A to B, for bf16, f16 and int8; then it decides. Needs --data.", panel=_LIMITS, min=0,
        show_default=_DECIDE)] = None,
    agreement: Annotated[Optional[float], option(
        "Minimum share of the detections that both have, for bf16, f16 and int8; then it decides.", panel=_LIMITS, min=0, max=1,
        show_default=_DECIDE)] = None,
    views: Any = None,
    worst: Annotated[int, option("Number of images to show, those that differ most.", min=0)] = 6,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Run two models on the same images and certify that they find the same; exit status 1 where they don't."""
    if try_normalizations:
        if views:
            raise CallError("--try-normalizations looks at whole images: leave out tiles, --flip and --scales")
        _refuse_for_one(side_b.model, data)
        _try_normalizations(side_a, data, split, format, image_folder, gpus, as_json)
        return
    if side_b.model is None:
        raise CallError("name the model to check, too: A may be compared with itself, with another backend")
    if (images is None) == (data is None):
        raise CallError("name the images to compare on: either --images DIR, or --data DATA with true boxes")
    if map_tolerance is not None and data is None:
        raise CallError("--map-tolerance needs true boxes: name a data set with --data in place of --images")
    check_folder(out)
    devices = _devices(gpus, side_a.backend, side_b.backend), _devices(gpus, side_b.backend, side_a.backend)
    from ssdzoo.cli.progress import WorkProgress, load_data
    from ssdzoo.measure.certificate import Trial
    from ssdzoo.measure.compare import Tolerance

    left, right = (side.load(where, views) for side, where in zip((side_a, side_b), devices))
    tolerance = Tolerance(box_tolerance, score_tolerance, map_tolerance, agreement)
    if data:
        with WorkProgress() as progress:
            left = left.named_by(data, format, progress)
    records = None if data is None else load_data(data, split, left.detector.names, format, image_folder).records
    show_certificate(left, right, Trial(images, records, score, tolerance, worst), out, as_json)


def _devices(gpus: str | None, backend: str | None, other: str | None) -> list | None:
    """Those of one side. On a GPU that mxnet can't use, torch is compared with mxnet on the CPU."""
    from ssdzoo.runtime import runs_on

    on_cpu = gpus and other == "torch" and backend in (None, "mxnet") and not runs_on(gpus)
    return prepare_backend(None if on_cpu else gpus, backend)


def _refuse_for_one(b: str | None, data: Path | None) -> None:
    if b is not None:
        raise CallError(f"--try-normalizations is for one model: leave {b} out")
    if data is None:
        raise CallError("--try-normalizations needs true boxes: name a data set with --data")


def _try_normalizations(side: SideChoice, data, split, format, image_folder, gpus, as_json: bool) -> None:
    """Prints the mAP of a model with each normalization, and the options of the best one."""
    assert side.model  # A is a required argument
    devices = prepare_backend(gpus, side.backend)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.measure import normalizations
    from ssdzoo.measure.evaluate import plain

    with WorkProgress() as progress:
        tried = normalizations.try_normalizations(
            side.model, data, split, format=format, image_folder=image_folder, backend=side.backend, ctx=devices,
            suppress=side.suppress, progress=progress,
        )  # fmt: skip
    doubt, best = normalizations.verdict(tried), f"--mean {_numbers(tried[0].mean)} --std {_numbers(tried[0].std)}"
    if as_json:
        print(json.dumps({"tried": [plain(asdict(each)) for each in tried], "best": None if doubt else best}, indent=1))
        return
    table = PlainTable("mean", "std", "used by", "mAP (voc07)")
    for each in tried:
        table.add_row(_numbers(each.mean), _numbers(each.std), each.used_by, f"{each.mAP:.4f}")
    output = wide_console()
    output.print(table)
    output.print(f"not clear: {doubt}" if doubt else f"trained with: {best}", soft_wrap=True)


def _numbers(values: tuple) -> str:
    """As an option takes them."""
    return ",".join(f"{value:g}" for value in (values if len(set(values)) > 1 else values[:1]))


def show_certificate(a, b, trial, out: Path, as_json: bool) -> None:
    """Compares two sides, writes the certificate and prints it; exit status 1 where they differ."""
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.measure.certificate import certify
    from ssdzoo.report import certificate as report

    with WorkProgress() as progress:
        certificate = certify(a, b, trial, progress)
        report.write_certificate(out, certificate)
    if as_json:
        print(report.as_text(certificate.summary))
    else:
        _show(certificate.summary, out)
    if not certificate.passed:
        raise typer.Exit(1)


def _show(summary: dict, out: Path) -> None:
    from ssdzoo.report.certificate import rows, verdict

    table = PlainTable("", show_header=False)
    table.add_column(overflow="fold")
    for side in ("a", "b"):
        table.add_row(side.upper(), f"{summary[side]['model']}, {summary[side]['runtime']}")
    for row in rows(summary):
        table.add_row(*row)
    console = wide_console()
    console.print(table)
    for line in summary["notes"] + summary["failures"]:
        console.print(f"  {line}")
    console.print(f"{verdict(summary)} ({out}/certificate.html)", soft_wrap=True)
