"""`ssdzoo quickstart`: the main job from end to end on a data set that it draws itself."""

from pathlib import Path
from typing import Annotated

import typer

from ssdzoo.cli.options import Gpus, prepare


def quickstart(
    out: Annotated[
        Path, typer.Option(help="Folder for everything that it makes; what an earlier one made there is replaced.")
    ] = Path("quickstart"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 64,
    gpus: Gpus = None,
) -> None:
    """Draw a data set, fine-tune a detector on it, evaluate, export, reload, predict: about three minutes."""
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.demo.quickstart import run_quickstart

    with WorkProgress() as progress:
        run_quickstart(out, epochs, contexts, progress)
