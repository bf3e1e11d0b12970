"""`ssdzoo quickstart`: a whole project on a data set that it draws itself."""

from pathlib import Path
from typing import Annotated

import typer

from ssdzoo.cli.options import Gpus, prepare


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for all files; an earlier quickstart there is replaced.")] = Path(
        "quickstart"
    ),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 64,
    gpus: Gpus = None,
) -> None:
    """Draw a data set, fine-tune a detector on it, evaluate, export, reload, predict: about three minutes."""
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.demo.quickstart import run_quickstart

    with WorkProgress() as progress:
        run_quickstart(out, epochs, contexts, progress)
