"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated, Optional

import typer

Model = Annotated[
    str, typer.Argument(help="A preset's name, a table (.toml), a run folder, or an exported model.", show_default=False)
]
Data = Annotated[Path, typer.Argument(help="A data set: a Pascal VOC folder.", show_default=False)]
Gpus = Annotated[Optional[str], typer.Option(help="GPUs to use, such as 0 or 0,1. Without it the CPU.", metavar="LIST")]
Weights = Annotated[Optional[Path], typer.Option(help="Parameter file of the whole network, or a run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print results as JSON on standard output.")]


def prepare(gpus) -> list:
    """The contexts of `--gpus`; on the CPU, threads and engine are set before mxnet is first imported."""
    from ssdzoo import runtime

    if not gpus:
        runtime.tune_cpu()
    return runtime.contexts(gpus)
