"""`ssdzoo compare`: whether two models, or one with two runtimes, find the same."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from ssdzoo.cli.options import (
    PARTS,
    Format,
    Gpus,
    ImageFolder,
    Json,
    argument,
    check_folder,
    number_option,
    option,
    prepare_backend,
    wide_console,
)  # fmt: skip
from ssdzoo.errors import CallError
from ssdzoo.report.tables import PlainTable

_HELP = "a run folder, an exported model, an .onnx, or a preset's name"
_SIDES, _LIMITS = "The two sides", "What counts as the same"
_BACKEND = "mxnet, onnxruntime, openvino, torch, or auto, the fastest that is installed."
_MEAN = "Mean of RGB in 0..1 or of pixels 0..255, where {} is an exported model that does not say it."
_STD = "Std in the unit of the mean, likewise."
_DECIDE = "boxes and scores decide"
Backend = Annotated[Optional[str], option(_BACKEND, panel=_SIDES, show_default="mxnet; auto for an .onnx")]
Precision = Annotated[str, option("Of openvino and torch: f32 or bf16.", panel=_SIDES)]


def compare(
    a: Annotated[str, argument(f"The model to trust: {_HELP}.")],
    b: Annotated[str, argument("The model to check, likewise; may be the same with another backend.")],
    images: Annotated[Optional[Path], option("An image, or a folder of images.", show_default=False)] = None,
    data: Annotated[Optional[Path], option("A data set with true boxes, in place of --images.", show_default=False)] = None,
    split: Annotated[str, option(f"Images of --data. {PARTS}")] = "test",
    format: Format = None,
    image_folder: ImageFolder = None,
    out: Annotated[Path, option("Folder for certificate.json and certificate.html.")] = Path("certificate"),
    backend_a: Backend = None,
    backend_b: Backend = None,
    precision_a: Precision = "f32",
    precision_b: Precision = "f32",
    weights_a: Annotated[Optional[Path], option("Parameter file, where A is a preset.", panel=_SIDES, show_default=False)] = None,
    weights_b: Annotated[Optional[Path], option("Parameter file, where B is a preset.", panel=_SIDES, show_default=False)] = None,
    mean_a: Annotated[Optional[Any], number_option(_MEAN.format("A"), _SIDES)] = None,
    std_a: Annotated[Optional[Any], number_option(_STD, _SIDES)] = None,
    mean_b: Annotated[Optional[Any], number_option(_MEAN.format("B"), _SIDES)] = None,
    std_b: Annotated[Optional[Any], number_option(_STD, _SIDES)] = None,
    score: Annotated[float, option("Minimum score of a detection.", panel=_LIMITS, min=0, max=1)] = 0.1,
    box_tolerance: Annotated[float, option("Maximum difference of a coordinate, in pixels.", panel=_LIMITS, min=0)] = 0.05,
    score_tolerance: Annotated[float, option("Maximum difference of a score.", panel=_LIMITS, min=0)] = 1e-4,
    map_tolerance: Annotated[Optional[float], option(
        "Maximum loss of mAP from A to B, for bf16 and int8; then it decides. Needs --data.", panel=_LIMITS, min=0,
        show_default=_DECIDE)] = None,
    agreement: Annotated[Optional[float], option(
        "Minimum share of the detections that both have, for bf16 and int8; then it decides.", panel=_LIMITS, min=0, max=1,
        show_default=_DECIDE)] = None,
    worst: Annotated[int, option("Images to show that differ most.", min=0)] = 6,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Run two models on the same images and certify that they find the same; exit status 1 where they don't."""
    if (images is None) == (data is None):
        raise CallError("name the images to compare on: either --images DIR, or --data DATA with true boxes")
    if map_tolerance is not None and data is None:
        raise CallError("--map-tolerance needs true boxes: name a data set with --data in place of --images")
    check_folder(out)
    devices = _devices(gpus, backend_a, backend_b), _devices(gpus, backend_b, backend_a)
    from ssdzoo.cli.progress import load_data
    from ssdzoo.measure.certificate import Trial, open_side
    from ssdzoo.measure.compare import Tolerance

    left = open_side(a, backend_a, devices[0], weights_a, precision_a, mean_a, std_a)
    right = open_side(b, backend_b, devices[1], weights_b, precision_b, mean_b, std_b)
    tolerance = Tolerance(box_tolerance, score_tolerance, map_tolerance, agreement)
    records = None if data is None else load_data(data, split, left.detector.names, format, image_folder).records
    show_certificate(left, right, Trial(images, records, score, tolerance, worst), out, as_json)


def _devices(gpus: str | None, backend: str | None, other: str | None) -> list | None:
    """Those of one side. On a GPU that mxnet can't use, torch is compared with mxnet on the CPU."""
    from ssdzoo.runtime import runs_on

    on_cpu = gpus and other == "torch" and backend in (None, "mxnet") and not runs_on(gpus)
    return prepare_backend(None if on_cpu else gpus, backend)


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
