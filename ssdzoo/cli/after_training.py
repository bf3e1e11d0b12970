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
    if not (folder / "best.params").is_file():  # of several machines, one keeps the run folder
        return
    best = "the last one: nothing was evaluated" if result.best_mAP is None else f"the best one: mAP {result.best_mAP:.3f}"
    say(f"{folder / 'best.params'} holds epoch {result.best_epoch} of {epochs}, {best}")
    plot_training(folder / CURVES, result.rows)
    say(f"curves of loss, mAP and learning rate: {folder / CURVES}")
    run, same = shlex.quote(str(folder)), f" --format {format}" if format else ""
    evaluation = [f"ssdzoo eval {run} {shlex.quote(str(data))} --split test{same}"] if has_split(data, "test", format) else []
    others = [f"ssdzoo predict {run} PHOTOS --out found", f"ssdzoo export {run} --out exported --format onnx"]
    for beginning, command in zip(("next", "  or", "  or"), evaluation + others):
        say(f"{beginning}: {command}")
