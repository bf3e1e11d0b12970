"""`ssdzoo compare`: whether two models, or one with two runtimes, find the same."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.markup import escape
from rich.table import Column, Table

from ssdzoo.cli.options import PARTS, Gpus, Json, check_folder, prepare, wide_console
from ssdzoo.errors import CallError

_HELP = "a run folder, an exported model, an .onnx, or a preset's name"
_PRECISION = "Of openvino: f32 or bf16."
_SIDES, _LIMITS = "The two sides", "What counts as the same"
Backend = Annotated[
    Optional[str],
    typer.Option(
        help="mxnet, onnxruntime, openvino, or auto, the fastest that is installed.",
        show_default="mxnet; auto for an .onnx",
        rich_help_panel=_SIDES,
    ),
]
Images = Annotated[Optional[Path], typer.Option(help="An image, or a folder of images.", show_default=False)]


def compare(
    a: Annotated[str, typer.Argument(help=f"The model to trust: {_HELP}.", show_default=False)],
    b: Annotated[
        str, typer.Argument(help="The model to check, likewise; may be the same with another backend.", show_default=False)
    ],
    images: Images = None,
    data: Annotated[
        Optional[Path], typer.Option(help="A data set with true boxes, in place of --images.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help=f"Images of --data. {PARTS}")] = "test",
    out: Annotated[Path, typer.Option(help="Folder for certificate.json and certificate.html.")] = Path("certificate"),
    backend_a: Backend = None,
    backend_b: Backend = None,
    precision_a: Annotated[str, typer.Option(help=_PRECISION, rich_help_panel=_SIDES)] = "f32",
    precision_b: Annotated[str, typer.Option(help=_PRECISION, rich_help_panel=_SIDES)] = "f32",
    weights_a: Annotated[
        Optional[Path], typer.Option(help="Parameter file, where A is a preset.", show_default=False, rich_help_panel=_SIDES)
    ] = None,
    weights_b: Annotated[
        Optional[Path], typer.Option(help="Parameter file, where B is a preset.", show_default=False, rich_help_panel=_SIDES)
    ] = None,
    score: Annotated[float, typer.Option(min=0, max=1, help="Minimum score of a detection.", rich_help_panel=_LIMITS)] = 0.1,
    box_tolerance: Annotated[
        float, typer.Option(min=0, help="Maximum difference of a coordinate, in pixels.", rich_help_panel=_LIMITS)
    ] = 0.05,
    score_tolerance: Annotated[float, typer.Option(min=0, help="Maximum difference of a score.", rich_help_panel=_LIMITS)] = 1e-4,
    map_tolerance: Annotated[
        Optional[float],
        typer.Option(
            min=0,
            help="Maximum loss of mAP from A to B, for bf16 and int8; then it decides. Needs --data.",
            show_default="boxes and scores decide",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    agreement: Annotated[
        Optional[float],
        typer.Option(
            min=0,
            max=1,
            help="Minimum share of the detections that both have, for bf16 and int8; then it decides.",
            show_default="boxes and scores decide",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="Images to show that differ most.")] = 6,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:
    """Run two models on the same images and certify that they find the same; exit status 1 where they don't."""
    if (images is None) == (data is None):
        raise CallError("name the images to compare on: either --images DIR, or --data DATA with true boxes")
    if map_tolerance is not None and data is None:
        raise CallError("--map-tolerance needs true boxes: name a data set with --data in place of --images")
    check_folder(out)
    named = (a, backend_a), (b, backend_b)
    contexts = prepare(gpus, any(backend in (None, "mxnet") and not model.endswith(".onnx") for model, backend in named))
    from ssdzoo.measure.certificate import Trial, open_side
    from ssdzoo.measure.compare import Tolerance

    left = open_side(a, backend_a, contexts, weights_a, precision_a)
    right = open_side(b, backend_b, contexts, weights_b, precision_b)
    tolerance = Tolerance(box_tolerance, score_tolerance, map_tolerance, agreement)
    records = None if data is None else load_records(data, split, left.detector.names)
    show_certificate(left, right, Trial(images, records, score, tolerance, worst), out, as_json)


def load_records(data: Path, split: str, names: list) -> list:
    """The records of a data set; what is wrong with it is printed."""
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.data import load_dataset

    dataset = load_dataset(data, split, names)
    with WorkProgress() as progress:
        for problem in dataset.problems:
            progress.say(f"  {problem}")
    return dataset.records


def show_certificate(a, b, trial, out: Path, as_json: bool) -> None:
    """Compares two sides, writes the certificate and prints it; exit status 1 where they differ."""
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.measure.certificate import certify
    from ssdzoo.report import certificate as report

    with WorkProgress() as progress:
        certificate = certify(a, b, trial, progress.images)
        report.write_certificate(out, certificate)
    if as_json:
        print(report.as_text(certificate.summary))
    else:
        _show(certificate.summary, out)
    if not certificate.passed:
        raise typer.Exit(1)


def _show(summary: dict, out: Path) -> None:
    from ssdzoo.report.certificate import rows, verdict

    table = Table("", Column(overflow="fold"), box=None, show_header=False)
    for side in ("a", "b"):
        table.add_row(side.upper(), escape(f"{summary[side]['model']}, {summary[side]['runtime']}"))
    for row in rows(summary):
        table.add_row(*map(escape, row))
    console = wide_console(highlight=False)
    console.print(table)
    for line in summary["notes"] + summary["failures"]:
        console.print(f"  {line}", markup=False)
    console.print(f"{verdict(summary)} ({out}/certificate.html)", markup=False, soft_wrap=True)
