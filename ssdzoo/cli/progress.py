"""What a long piece of work shows: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 15  # seconds between two plain lines


class WorkProgress:
    """Shows the steps and epochs of a training, or the images of other work, on standard error, so that `--json` stays clean."""

    def __init__(self):
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar = self._task = None
        self._last_line = time.perf_counter()

    def __enter__(self):
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(), console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def quiet(self) -> None:
        """Says nothing from now on: another process of the same training does."""
        self._console.quiet = True
        if self._bar:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(text, soft_wrap=True, markup=False)

    def step(self, epoch: int, step: int, steps: int, row: dict) -> None:
        """After a step: `epoch` and `step` count from 0, `row` holds the epoch's means so far."""
        note = f"loss {row['loss']:.3f}  {row['images_per_s']:.1f} images/s  waited {row['data_wait_s']:.1f} s"
        if self._bar:
            if self._task is None:
                self._task = self._bar.add_task("training", note="")
            self._bar.update(self._task, description=f"epoch {epoch + 1}", completed=step + 1, total=steps, note=note)
        elif time.perf_counter() - self._last_line > LINE_EVERY:
            self._last_line = time.perf_counter()
            self.say(f"epoch {epoch + 1}  step {step + 1}/{steps}  {note}")

    def epoch(self, row: dict, epochs: int) -> None:
        """After an epoch: its row of metrics.csv."""
        score = "" if row["mAP"] is None else f"  mAP {row['mAP']:.3f}"
        self.say(
            f"epoch {row['epoch']}/{epochs}  lr {row['lr']:.2g}  loss {row['loss']:.3f} "
            f"(class {row['cls_loss']:.3f}, box {row['box_loss']:.3f})  {row['images_per_s']:.1f} images/s{score}"
        )
        self._last_line = time.perf_counter()

    def images(self, results, count: int):
        """Wraps an iterable of `count` images, showing how many are done."""
        if not self._bar:
            yield from results
            return
        task = self._bar.add_task("images", total=count, note="")
        for result in results:
            yield result
            self._bar.advance(task)
        self._bar.remove_task(task)
