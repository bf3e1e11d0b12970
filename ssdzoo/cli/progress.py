"""The progress of a verb: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssdzoo.cli.messages import as_flags
from ssdzoo.progress import Printed, step_note
from ssdzoo.report.tables import make_console

if TYPE_CHECKING:
    from ssdzoo.data import Dataset


def load_data(data: str | Path, split: str, names: list | None = None, format: str | None = None,
              image_folder: Path | None = None) -> "Dataset":  # fmt: skip
    """A data set; what is wrong with it is printed."""
    from ssdzoo.data import load_dataset
    from ssdzoo.data.record import brief_problems

    with WorkProgress() as progress:
        dataset = load_dataset(data, split, names, format, image_folder, progress)
        for line in brief_problems(dataset.problems):
            progress.say(f"  {line}")
    return dataset


class WorkProgress(Printed):
    """Shows the steps and epochs of a training, or the images of other work, on standard error, so that `--json` stays clean."""

    def __init__(self):
        super().__init__()
        self._console = make_console(file=sys.stderr)
        self._bar = self._task = None

    def __enter__(self):
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False), TimeRemainingColumn(), console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def quiet(self) -> None:
        self._console.quiet = True
        self.__exit__()
        self._bar = None

    def say(self, text: str) -> None:
        self._console.print(as_flags(text), soft_wrap=True)

    def step(self, epoch: int, step: int, steps: int, row: dict) -> None:
        if not self._bar:
            super().step(epoch, step, steps, row)
            return
        if self._task is None:
            self._task = self._bar.add_task("training", note="")
        self._bar.update(self._task, description=f"epoch {epoch + 1}", completed=step + 1, total=steps, note=step_note(row))

    def images(self, results: Iterable, count: int) -> Iterator:
        if not self._bar:
            yield from super().images(results, count)
            return
        task = self._bar.add_task("images", total=count, note="")
        for result in results:
            yield result
            self._bar.advance(task)
        self._bar.remove_task(task)
