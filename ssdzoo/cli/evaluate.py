"""`ssdzoo eval`: average precision on a data set."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ssdzoo.cli.options import PARTS, Data, Format, Gpus, Json, Model, Weights, prepare
from ssdzoo.errors import CallError


def evaluate(
    model: Model,
    data: Data,
    split: Annotated[str, typer.Option(help=f"Images to evaluate on. {PARTS}")] = "test",
    metric: Annotated[str, typer.Option(help="voc07 (11 points) or voc12 (area under the curve).")] = "voc07",
    weights: Weights = None,
    format: Format = None,
    gpus: Gpus = None,
    as_json: Json = False,
) -> None:
    """Print the average precision at IoU 0.5, class by class."""
    if metric not in ("voc07", "voc12"):
        raise CallError(f"no metric {metric!r}; there are voc07 and voc12")
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import TrainingProgress
    from ssdzoo.data import load_dataset
    from ssdzoo.predict import evaluate as evaluation
    from ssdzoo.predict.load import load

    detector = load(model, ctx=contexts, weights=weights)
    dataset = load_dataset(data, split, detector.names, format)
    with TrainingProgress() as progress:
        for problem in dataset.problems:
            progress.say(f"  {problem}")
        result = evaluation.evaluate(detector, dataset, metric, progress.images)
    if as_json:
        print(json.dumps({"model": model, "data": str(data), "split": split, "metric": metric, **_plain(result)}, indent=1))
        return
    table = Table("class", "AP", box=None, header_style="bold")
    for name, value in result["AP"].items():
        table.add_row(name, _number(value))
    table.add_row("mAP", _number(result["mAP"]), style="bold")
    Console().print(table)


def _number(value: float) -> str:
    return "no objects" if value != value else f"{value:.4f}"


def _plain(value):
    """NaN, for a class without objects, is null in JSON."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return None if value != value else value
