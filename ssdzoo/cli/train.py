"""`ssdzoo train`: fine-tune a model on a data set. The options of a training are the fields of its `Settings`."""

import inspect
import time
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, get_type_hints

import typer

from ssdzoo.cli.options import (
    PARTS,
    Data,
    Format,
    Gpus,
    ImageFolder,
    Weights,
    argument,
    check_folder,
    given_arguments,
    in_panel,
    option,
    refuse_code,
)  # fmt: skip
from ssdzoo.runtime import tune_cpu
from ssdzoo.train.settings import Settings

if TYPE_CHECKING:
    from ssdzoo.cli.progress import WorkProgress

_WEIGHTS, _VAL_SPLIT = "Weights to start from", "val, or else held-out"
_VAL = "Images that choose the best epoch: a split; held-out, which sets 15 % of the training images aside; or none."
_MODEL = (
    "A preset's name, such as ssd_300_mobilenet0.25_custom, a table (.toml), or auto, which chooses for the data and says why."
)
_MINUTES = "For auto: minutes for choosing and training together. An option that is given is not chosen."
_BASE_WEIGHTS = "Weights of the backbone: a file, the name of one that `ssdzoo models --weights` lists, or none for random ones."


def _parameter(setting: Field, kind: Any) -> inspect.Parameter:
    """The option of a field of Settings."""
    about = setting.metadata
    metavar = "|".join(about["choices"]) if "choices" in about else about.get("written")
    kind = Optional[str] if kind is Any else kind  # what Python takes more of
    shown = option(about["help"], panel=about["panel"], show_default=about.get("unset", True), metavar=metavar)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(setting.name, keyword, default=setting.default, annotation=Annotated[kind, shown])


def with_settings(function: Any) -> Any:
    """Gives a function the fields of Settings for arguments, in the place of its `**settings`."""
    kinds = get_type_hints(Settings)
    settings = [_parameter(setting, kinds[setting.name]) for setting in fields(Settings)]
    own = [p for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
    function.__signature__ = inspect.Signature([*own, *settings])
    return function


@with_settings
def train(
    context: typer.Context,
    model: Annotated[str, argument(_MODEL)],
    data: Data,
    out: Annotated[Path, option("Folder of the run. It must not hold one yet, except for --resume.", show_default=False)],
    gpus: Gpus = None,
    minutes: Annotated[Optional[float], option(_MINUTES, min=0, show_default="20")] = None,
    resume: Annotated[bool, option("Continue the run in --out, with its options where none are given.", "--resume")] = False,
    split: Annotated[str, option(f"Images to train on. {PARTS}", panel="Data")] = "train",
    val_split: Annotated[Optional[str], option(_VAL, panel="Data", show_default=_VAL_SPLIT)] = None,
    format: Annotated[Optional[str], in_panel(Format, "Data")] = None,
    image_folder: Annotated[Optional[Path], in_panel(ImageFolder, "Data")] = None,
    base_weights: Annotated[
        Optional[Path], option(_BASE_WEIGHTS, panel=_WEIGHTS, show_default="ImageNet's, downloaded once")
    ] = None,
    weights: Annotated[Optional[Path], in_panel(Weights, _WEIGHTS)] = None,
    **settings: Any,
) -> None:
    """Fine-tune a model on a data set and keep the best epoch in a run folder."""
    check_folder(out)
    refuse_code(settings["augment"])
    if not gpus:
        tune_cpu()
    from ssdzoo.cli.after_training import say_result
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.train.fine_tune import fine_tune

    # Only what the command line says, so that a run that is resumed keeps the rest.
    said = given_arguments(context)
    said.pop("gpus", None)
    begun, chooses = time.perf_counter(), model == "auto" and not resume
    with WorkProgress() as progress:
        if chooses:
            said = _planned(said, gpus, progress)
        result = fine_tune(**said, ctx=gpus, progress=progress)
        if chooses:
            progress.say(f"choosing and training took {(time.perf_counter() - begun) / 60:.1f} minutes")
        say_result(result, data, format, progress.say)


def _planned(said: dict, gpus: str | None, progress: "WorkProgress") -> dict:
    """The arguments with what auto chooses, and the command that trains the same again."""
    from ssdzoo.cli.train_command import train_command
    from ssdzoo.train.auto import plan_training

    given = {name: value for name, value in said.items() if name not in ("model", "minutes")}
    planned = plan_training(given, said.get("minutes"), gpus, progress)
    again = {**planned, "out": f"{planned['out']}-again", "gpus": gpus}
    progress.say(f"the same without auto: {train_command(again)}")
    return planned
