"""`ssdzoo check-data`: finds what is wrong with a data set before it is trained on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ssdzoo.cli.messages import as_flags
from ssdzoo.cli.options import PARTS, Data, Format, ImageFolder, Json, Weights, check_folder, option, refuse_code, wide_console
from ssdzoo.errors import CallError

if TYPE_CHECKING:
    from ssdzoo.augmentation.table import Augmentation
    from ssdzoo.data.check.check_dataset import DataCheck
    from ssdzoo.data.check.statistics import ModelAnchors

_SPLIT = f"Only this split; may be given several times. {PARTS}"
_AUGMENT = "the model's, or else light"
_MODEL = "Compare the objects with the anchors of this preset, table (.toml) or run folder."


def check_data(
    data: Data,
    split: Annotated[Optional[list[str]], option(_SPLIT, show_default="all")] = None,
    format: Format = None,
    image_folder: ImageFolder = None,
    model: Annotated[Optional[str], option(_MODEL)] = None,
    weights: Weights = None,
    show: Annotated[int, option("Number of augmented samples to draw with their boxes in one picture.", min=0)] = 0,
    out: Annotated[Optional[Path], option("Folder for the picture, samples.png.")] = None,
    augment: Annotated[
        Optional[str], option("Augmentation of the samples: ssd (the paper's), light, none, or a table.", show_default=_AUGMENT)
    ] = None,
    seed: Annotated[int, option("Seed of the samples.", min=0)] = 0,
    workers: Annotated[Optional[int], option("Processes that decode images.", min=0, show_default="one for each core")] = None,
    as_json: Json = False,
) -> None:
    """Look for what is wrong with a data set: images, boxes, classes, splits. Exits with 1 if a training would fail or learn
    something wrong."""
    if weights and not model:
        raise CallError("--weights belongs to --model: name the model of the weights")
    check_folder(out)
    refuse_code(augment)
    if bool(show) != bool(out):
        raise CallError("--show N and --out DIR belong together: the number of samples, and the folder to write to")
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.data.check.check_dataset import check_dataset
    from ssdzoo.data.loading.augment.transform import as_augmentation
    from ssdzoo.report.data_check import print_check

    anchors, own_augment = _model(model, weights) if model else (None, None)
    chosen = augment or own_augment or "light"
    if show:
        as_augmentation(chosen)  # before the images are read
    with WorkProgress() as progress:
        report = check_dataset(data, split, format, anchors, workers, progress, image_folder)
    report.problems = [replace(problem, message=as_flags(problem.message)) for problem in report.problems]
    picture = _samples(report, show, out, anchors.size if anchors else (300, 300), chosen, seed) if show and out else None
    command = None if split else _next_command(report, data, model, weights, format=format, image_folder=image_folder)
    if as_json:
        print(json.dumps({**report.to_dict(), "picture": picture and str(picture), "next": command}, indent=1))
    else:
        print_check(report, wide_console())
        if picture:
            print(f"{show} augmented samples: {picture}")
        if command:
            print(f"next: {command}")
    if report.errors:
        raise typer.Exit(1)


def _next_command(report: "DataCheck", data: Path, model: str | None, weights: Path | None, **given: object) -> str | None:
    """The `ssdzoo train` that fits the data; auto's where the anchors of its model would have to be fitted first. None where a
    training would fail, or has no images."""
    from ssdzoo.cli.train_command import run_folder, train_command
    from ssdzoo.data import Dataset
    from ssdzoo.data.formats.splits import split_word
    from ssdzoo.train.auto_rules import choose_flip, fitting_model
    from ssdzoo.zoo import list_models

    records = next((found for name, found in report.records.items() if split_word(name) == "train"), None)
    if report.errors or not records:
        return None
    if model and (Path(model) / "model.toml").is_file():  # a run goes on with other data
        model, weights = str(Path(model) / "model.toml"), weights or Path(model)
    elif not (model and (model.endswith(".toml") or model in list_models())):
        model, weights = fitting_model(Dataset(report.names, records, [])) or "auto", None
    flip = choose_flip(report.names).value
    chosen = {"model": model, "data": data, "out": run_folder(data), "flip": None if flip == "horizontal" else flip}
    return train_command({**chosen, "weights": weights, **given})


def _model(model: str, weights: Path | None) -> "tuple[ModelAnchors, Augmentation | None]":
    """What a model says of its anchors, and the augmentation of its table."""
    from ssdzoo import runtime

    runtime.tune_cpu()
    from ssdzoo.data.check.statistics import ModelAnchors
    from ssdzoo.model_source import resolve

    source = resolve(model, weights)
    preset = source.preset
    name, classes = (model, list(preset.classes or ())) if source.has_weights else (preset.name, None)
    return ModelAnchors(name, preset.base_size, source.levels(), classes, preset.post_nms), preset.augment


def _samples(report: "DataCheck", count: int, out: Path, size: tuple, augment: Any, seed: int) -> Path:
    from ssdzoo.report.pictures import save_image
    from ssdzoo.report.samples import sample_grid

    split, records = next(iter(report.records.items()))
    if not records:
        raise CallError(f"--show: no image of {split} can be used")
    save_image(out / "samples.png", sample_grid(records, report.names, count, size, augment, seed))
    return out / "samples.png"
