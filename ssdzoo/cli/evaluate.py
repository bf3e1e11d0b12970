"""`ssdzoo eval`: average precision on a data set, and the mistakes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import (
    BACKEND,
    PARTS,
    Data,
    Gpus,
    ImageFolder,
    Json,
    Precision,
    check_folder,
    console,
    option,
    prepare_backend,
)
from ssdzoo.cli.views import with_views
from ssdzoo.errors import CallError
from ssdzoo.report.tables import PlainTable, add_rows, shown_threshold

if TYPE_CHECKING:
    from rich.console import Console

_METRIC = "VOC's average precision at 11 points, or as the area under the curve, or COCO's twelve numbers."
_FORMAT = (
    "Format of the data, as for train, or coco-results, which writes detections and objects as COCO json; may be given twice."
)


@with_model("choice")
@with_views
def evaluate(
    choice: ModelChoice,
    data: Data,
    split: Annotated[str, option(f"Images to evaluate on. {PARTS}")] = "test",
    metric: Annotated[str, option(_METRIC, metavar="voc07|voc12|coco")] = "voc07",
    iou: Annotated[float, option("Minimum IoU of a hit; COCO's numbers have their own.", min=0.05, max=1)] = 0.5,
    score: Annotated[float, option("Minimum score in the confusion matrix and among the mistakes.", min=0, max=1)] = 0.5,
    out: Annotated[
        Optional[Path],
        option("Folder for report.html, eval.json and plots.", show_default="RUN/eval-SPLIT for a run, else none"),
    ] = None,
    format: Annotated[Optional[list[str]], option(_FORMAT, show_default="recognized from the path")] = None,
    image_folder: ImageFolder = None,
    backend: Annotated[Optional[str], option(BACKEND, show_default="mxnet; auto for an .onnx")] = None,
    precision: Precision = "f32",
    views: Any = None,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:
    """Print the average precision class by class; write curves, the confusion matrix and the worst mistakes."""
    from ssdzoo.measure import evaluate as evaluation

    evaluation.check_metric(metric)
    data_format, write_coco = _formats(format or [])
    out = _folder(out, choice.model, split, write_coco)
    devices = prepare_backend(gpus, backend)
    from ssdzoo.cli.progress import WorkProgress, load_data
    from ssdzoo.machine import machine_summary, versions
    from ssdzoo.measure.certificate import describe, open_side
    from ssdzoo.report.coco_results import coco_ids
    from ssdzoo.report.evaluation import PACKAGES, as_text, write_evaluation

    side = open_side(choice.resolve(), backend, devices, precision, views)
    with WorkProgress() as progress:
        side = side.named_by(data, data_format, progress)
    detector = side.detector
    dataset = load_data(data, split, detector.names, data_format, image_folder)
    ids = coco_ids(data, split, dataset)
    said = describe(side)
    about = {
        "model": choice.model, "data": str(data), "split": split, "runtime": said["runtime"], "model_files": said["files"],
        "versions": versions(PACKAGES), "machine": machine_summary(), **({"views": said["views"]} if "views" in said else {}),
    }  # fmt: skip
    if out:
        out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    with WorkProgress() as progress:
        found = evaluation.evaluate_fully(detector, dataset, metric, progress, iou, score, ids[0])
        if out:
            result = write_evaluation(out, found, about, ids if write_coco else None)
            progress.say(f"{out}: {', '.join(result['files'])}")
        else:
            result = {**about, **found.summary}
    if as_json:
        print(as_text(result))
    else:
        output = console()
        output.print(_table(result, output))


def _folder(out: Path | None, model: str, split: str, needed: bool) -> Path | None:
    """Where the files go: for a run below it, for others only where the user says so."""
    if out is None and (Path(model) / "model.toml").is_file():
        out = Path(model) / f"eval-{split}"
    if out is None and needed:
        raise CallError("--format coco-results writes files: say where with --out")
    check_folder(out)
    return out


def _formats(given: list) -> tuple:
    """The format of the data, or None, and whether COCO's results are wanted."""
    from ssdzoo.data import FORMATS

    known = [*FORMATS, "coco-results"]
    strange = [format for format in given if format not in known]
    if strange:
        raise CallError(f"no format {strange[0]!r}; there are {', '.join(known)}")
    of_data = [format for format in given if format in FORMATS]
    if len(of_data) > 1:
        raise CallError(f"--format {' and '.join(of_data)}: the data have one format")
    return (of_data or [None])[0], "coco-results" in given


def _table(result: dict, output: "Console") -> PlainTable:
    """The classes, then the whole."""
    table = PlainTable("class", "AP", "objects", "best F1", "at score")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = []
    for name, value in result["AP"].items():
        best = result["best_threshold"][name]
        shown = (_number(best["f1"]), shown_threshold(best["score"])) if best else ()
        objects = result["counts"]["by_class"][name]["objects"]
        rows.append([name, _number(value), str(objects), *shown])
    add_rows(table, rows, output, result["AP"].values())
    table.add_section()
    if "coco" in result:
        for name, value in list(result["coco"].items())[1:]:
            table.add_row(name, _number(value))
    else:
        for size, value in result["by_size"].items():
            count = sum(result["counts"]["by_size"][size].values())
            table.add_row(f"{size} objects", _number(value["mAP"]), str(count))
    table.add_row("mAP", _number(result["mAP"]), style="bold")
    return table


def _number(value: float | None) -> str:
    return "no objects" if value is None else f"{value:.4f}"
