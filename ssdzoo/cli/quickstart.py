"""`ssdzoo quickstart`: a whole project on a data set that it draws itself."""

from pathlib import Path
from typing import Annotated

from ssdzoo.cli.options import Gpus, option, prepare

_OUT = "Folder for all files; an earlier quickstart there is replaced, or goes on where it was stopped."


def quickstart(
    out: Annotated[Path, option(_OUT)] = Path("quickstart"),
    epochs: Annotated[int, option("Passes over the training images.", min=1)] = 64,
    gpus: Gpus = None,
) -> None:
    """Draw a data set, fine-tune a detector on it, evaluate, export, reload, predict: about three minutes."""
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.demo.quickstart import run_quickstart

    try:
        with WorkProgress() as progress:
            run_quickstart(out, epochs, contexts, progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on where it stopped") from None
