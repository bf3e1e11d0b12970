"""Arguments and options that several verbs share."""

import os
import sys
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, get_args

import typer

from ssdzoo.errors import CallError

if TYPE_CHECKING:
    from rich.console import Console


def option(help: str, *names: str, panel: str | None = None, **kwargs: Any) -> Any:
    """An option of typer; without `names` it is called as its argument."""
    return typer.Option(*names, help=help, rich_help_panel=panel, **kwargs)


def argument(help: str, **kwargs: Any) -> Any:
    """An argument of typer that has no default."""
    return typer.Argument(help=help, show_default=False, **kwargs)


_DATA = (
    "A data set: the folder or the file that an annotation tool exported, as Pascal VOC, COCO, YOLO, CVAT, Label Studio, "
    "LabelMe, CSV, RecordIO, SageMaker's manifest and more. Several, separated by commas, are joined."
)
MODEL = "A preset's name, a table (.toml), a run folder, or an exported model."
Model = Annotated[str, argument(MODEL)]
Data = Annotated[Path, argument(_DATA)]
_FORMATS = "Format of the data: voc, coco, yolo, csv, cvat, json, kitti, labelme, recordio, sagemaker or supervisely."
Format = Annotated[
    Optional[str],
    option(_FORMATS, show_default="recognized from the path"),
]  # fmt: skip
ImageFolder = Annotated[
    Optional[Path],
    option("Folder of the images that the data name by paths or s3:// addresses.", show_default="looked for around the data"),
]  # fmt: skip
BACKEND = "What runs the network: mxnet, onnxruntime, openvino, torch, or auto, the fastest that is installed."
_PRECISION = (
    "Number format of openvino and torch (f16: torch alone); auto is f32, but bf16 with openvino where the processor has it."
)
Precision = Annotated[str, option(_PRECISION, metavar="auto|f32|bf16|f16")]
PARTS = 'A part of a split is written "train[:80%]", the rest of it "train[80%:]".'
Gpus = Annotated[Optional[str], option("GPUs to use, such as 0 or 0,1.", metavar="LIST", show_default="the CPU")]
Weights = Annotated[Optional[Path], option("Parameter file of the whole network, or a run folder.")]
_MEAN = (
    "Mean of red, green and blue, which is subtracted from an image, for an exported model that does not state it: one number or "
    "three, in 0..1, or in pixels 0..255, such as 123,117,104."
)
_STD = "Standard deviation by which the image is then divided, in the unit of --mean; in pixels, 1 leaves it as it is."
_SUPPRESS = "Boxes that NMS compares: per-class, those of the same class, or across, those of all classes."


def numbers(text: str) -> tuple:
    """The numbers of an option such as 123,117,104; a single one is for all three channels."""
    parts = text.split(",")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise typer.BadParameter(f"{text!r}: expected a number, or three with commas in between")
    return values * 3 if len(values) == 1 else values


def separated(text: str) -> list[str]:
    """The names of an option such as cat,dog."""
    return [name.strip() for name in text.split(",")]


def class_names(text: str) -> list[str]:
    """The names of an option such as cat,dog, or those in a file with one a line."""
    from ssdzoo.class_names import read_class_names

    return read_class_names(text) if os.path.isfile(text) else separated(text)


def suppress_option(panel: str | None = None) -> Any:
    """What an NMS compares."""
    return option(_SUPPRESS, panel=panel, metavar="per-class|across", show_default="what the model says")


def number_option(help: str, panel: str | None = None) -> Any:
    """An option of numbers with commas in between."""
    return option(help, panel=panel, parser=numbers, metavar="R,G,B", show_default=False)


Mean = Annotated[Optional[Any], number_option(_MEAN)]
Std = Annotated[Optional[Any], number_option(_STD)]
Classes = Annotated[Optional[Any], option(
    "Names of the classes, separated by commas, for a model that does not name them; or a file with one name a line.",
    parser=class_names, metavar="A,B,...|FILE", show_default="classes.txt beside the model, or numbers")]  # fmt: skip
Suppress = Annotated[Optional[str], suppress_option()]
Json = Annotated[bool, option("Print the results as JSON on standard output.", "--json")]


def in_panel(shared: Any, panel: str) -> Any:
    """The option of a shared annotation, under a heading of its own."""
    option = copy(get_args(shared)[1])
    option.rich_help_panel = panel
    return option


def console(width: int | None = None) -> "Console":
    """Standard output for tables and lines."""
    from ssdzoo.report.tables import make_console

    return make_console(width=width)


def wide_console() -> "Console":
    """The same, of 120 columns where the output is no terminal."""
    return console(None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)


def refuse_code(augment: str | None) -> None:
    """An import path of an augmentation is for Python."""
    from ssdzoo.data.loading.augment.transform import is_import_path

    if is_import_path(augment):
        raise CallError(f"--augment {augment}: code is for `fine_tune` in Python; give a name or a table (.toml)")


def given_arguments(context: typer.Context) -> dict[str, Any]:
    """The arguments of a verb that the command line gives: those that are left out have their defaults."""
    return {k: v for k, v in context.params.items() if getattr(context.get_parameter_source(k), "name", "") == "COMMANDLINE"}


def check_folder(out: Path | None) -> None:
    """Before the work, not after it: whether files can be written to a folder, which need not exist yet."""
    there = next((path for path in (out, *out.parents) if path.exists()), None) if out else None
    if there is None:
        return
    if not there.is_dir():
        raise CallError(f"--out {out}{' is' if there == out else f': {there} is'} a file: name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise CallError(f"--out {out}: nothing can be written to {there}: name another folder")


FORCE = option("Replace existing files.", "--force")


def check_files(files: Iterable[Path], force: bool) -> None:
    """Refuses to replace what is there, before the work."""
    taken = [] if force else [file for file in files if file.exists()]
    if taken:
        raise CallError(f"{taken[0]} is there already: choose another folder with --out, or replace it with --force")


def prepare(gpus: str | None) -> list:
    """The contexts of `--gpus`; on the CPU, threads and engine are set before mxnet is first imported."""
    from ssdzoo import runtime

    if not gpus:
        runtime.tune_cpu()
    return runtime.contexts(gpus)


def prepare_backend(gpus: str | None, backend: str | None) -> list | None:
    """The devices of `--gpus` for a backend, None for the CPU, whose threads and engine are set then. Another runtime than mxnet
    does not need mxnet."""
    from ssdzoo import runtime

    if not gpus:
        runtime.tune_cpu()
        return None
    from ssdzoo.predict.devices import find_devices

    return find_devices(gpus, backend)
