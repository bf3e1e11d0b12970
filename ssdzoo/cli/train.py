"""`ssdzoo train`: fine-tune a model on a data set. The options of a training are the fields of its `Settings`."""

import inspect
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, Optional, get_type_hints

import typer

from ssdzoo.cli.options import PARTS, Data, Format, Gpus, Weights, check_folder, in_panel, prepare
from ssdzoo.train.settings import Settings

_WEIGHTS = "Weights to start from"


def _option(help: str, panel: str | None = None, **kwargs: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=panel, **kwargs)


def _parameter(setting: Field, kind: Any) -> inspect.Parameter:
    """The option of a field of Settings."""
    about = setting.metadata
    option = _option(
        about["help"],
        about["panel"],
        show_default=about.get("unset", True),
        metavar="|".join(about["choices"]) if "choices" in about else None,
    )
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=setting.default, annotation=Annotated[kind, option]
    )


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
    model: Annotated[str, typer.Argument(help="A preset's name, such as ssd_300_mobilenet0.25_custom, or a table (.toml).")],
    data: Data,
    out: Annotated[Path, _option("Folder of the run; must not hold one yet.", show_default=False)],
    gpus: Gpus = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, with its arguments where none are given.")
    ] = False,
    split: Annotated[str, _option(f"Images to train on. {PARTS}", "Data")] = "train",
    val_split: Annotated[
        Optional[str],
        _option("Images that choose the best epoch; 'none' for none.", "Data", show_default="val, if there is one"),
    ] = None,
    format: Annotated[Optional[str], in_panel(Format, "Data")] = None,
    base_weights: Annotated[
        Optional[Path], _option("Weights of the backbone: .params, .pth, .safetensors or .h5.", _WEIGHTS)
    ] = None,
    weights: Annotated[Optional[Path], in_panel(Weights, _WEIGHTS)] = None,
    **settings: Any,
) -> None:
    """Fine-tune a model on a data set and keep the best epoch in a run folder."""
    check_folder(out)
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.train.fine_tune import fine_tune

    # Only what the command line says, so that a run that is resumed keeps the rest.
    said = {k: v for k, v in context.params.items() if getattr(context.get_parameter_source(k), "name", None) == "COMMANDLINE"}
    with WorkProgress() as progress:
        fine_tune(**{k: v for k, v in said.items() if k != "gpus"}, ctx=contexts, progress=progress)
