"""What `ssdzoo train` says at its end: the best epoch, its file, the curves, and how to go on."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ssdzoo.data import has_split

if TYPE_CHECKING:
    from ssdzoo.train.trainer import TrainingResult

CURVES = "curves.png"  # in the run folder


def say_result(result: "TrainingResult", data: str | Path, format: str | None, say: Callable[[str], None]) -> None:
    """Says what a training has reached, draws its curves, and names the next commands.

    Args:
        data, format: what was trained on.
        say: takes a line.
    """
    from ssdzoo.report.training_curves import plot_training

    folder, epochs = result.folder, len(result.rows)
    best = f"{folder / 'best.params'} holds epoch {result.best_epoch} of {epochs}"
    say(
        f"{best}, the last one: nothing was evaluated"
        if result.best_mAP is None
        else f"{best}, the best one: mAP {result.best_mAP:.3f}"
    )
    plot_training(folder / CURVES, result.rows)
    say(f"curves of loss, mAP and learning rate: {folder / CURVES}")
    run = shlex.quote(str(folder))
    if has_split(data, "test", format):
        say(f"next: ssdzoo eval {run} {shlex.quote(str(data))} --split test")
    say(f"  or: ssdzoo predict {run} PHOTOS --out found")
    say(f"  or: ssdzoo export {run} --out exported --format onnx")
