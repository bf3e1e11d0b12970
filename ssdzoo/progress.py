"""What long work shows while it runs: nothing, or printed lines. Whatever has the methods of `Silent` can take their place."""

import time
from collections.abc import Iterable, Iterator


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 image", "1,200 images", "2 classes", "2 boxes"."""
    plural = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number:,} {noun}{plural}"


class Silent:
    """Shows nothing. The base of everything that shows something."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def step(self, epoch: int, step: int, steps: int, row: dict) -> None:
        """After an update of the weights.

        Args:
            epoch, step: counted from 0; `steps` is the number of updates of an epoch.
            row: the columns of metrics.csv for the epoch so far.
        """

    def epoch(self, row: dict, epochs: int) -> None:
        """After an epoch: its row of metrics.csv, and the number of epochs of the training."""

    def images(self, results: Iterable, count: int) -> Iterable:
        """Yields the items of an iterable, one for each of `count` images."""
        return results

    def quiet(self) -> None:
        """Shows nothing from now on: another process of the same training does."""


class Printed(Silent):
    """Prints a line for each epoch and, during long epochs and evaluations, one from time to time.

    Args:
        every: seconds between two lines within an epoch or an evaluation.
    """

    def __init__(self, every: float = 15):
        self._every, self._is_quiet = every, False
        self._last_line = time.perf_counter()

    def say(self, text: str) -> None:
        if not self._is_quiet:
            print(text, flush=True)

    def step(self, epoch: int, step: int, steps: int, row: dict) -> None:
        if self._is_due():
            self.say(f"epoch {epoch + 1}  step {step + 1}/{steps}  {step_note(row)}")

    def epoch(self, row: dict, epochs: int) -> None:
        score = "" if row["mAP"] is None else f"  mAP {row['mAP']:.3f}"
        self.say(
            f"epoch {row['epoch']}/{epochs}  lr {row['lr']:.2g}  loss {row['loss']:.3f} "
            f"(class {row['cls_loss']:.3f}, box {row['box_loss']:.3f})  {row['images_per_s']:.1f} images/s{score}"
        )
        self._last_line = time.perf_counter()

    def images(self, results: Iterable, count: int) -> Iterator:
        self._last_line = time.perf_counter()  # what came before is no part of this work
        for done, result in enumerate(results, 1):
            yield result
            if self._is_due():
                self.say(f"{done}/{count} images")

    def quiet(self) -> None:
        self._is_quiet = True

    def _is_due(self) -> bool:
        now = time.perf_counter()
        due = now - self._last_line >= self._every
        if due:
            self._last_line = now
        return due


def step_note(row: dict) -> str:
    """Loss, speed and waiting time of an epoch so far."""
    return f"loss {row['loss']:.3f}  {row['images_per_s']:.1f} images/s  waited {row['data_wait_s']:.1f} s"
