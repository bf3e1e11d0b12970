"""Learning rate over the course of a training."""

from bisect import bisect_right
from dataclasses import dataclass
from math import cos, pi


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then a learning rate that falls.

    Attributes:
        kind: "step" multiplies the learning rate by `factor` at each of `drops`; "cosine" is half a cosine wave to 0
            (Loshchilov and Hutter 2017, equation 5, without restarts); "poly" is base * (1 - t)^power, where t goes from 0 to 1
            after the warm-up.
        base: learning rate after the warm-up.
        total_steps: updates of the whole training.
        warmup_steps: updates in which the learning rate rises linearly from base / warmup_steps.
        drops: fractions of the training.
    """

    kind: str
    base: float
    total_steps: int
    warmup_steps: int = 0
    drops: tuple = (0.7, 0.9)
    factor: float = 0.1
    power: float = 0.9

    def __call__(self, step: int) -> float:
        """The learning rate of an update, counted from 0."""
        if step < self.warmup_steps:
            return self.base * (step + 1) / self.warmup_steps
        if self.kind == "step":
            return self.base * self.factor ** bisect_right([d * self.total_steps for d in self.drops], step)
        done = min(1, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        return self.base * ((1 + cos(pi * done)) / 2 if self.kind == "cosine" else (1 - done) ** self.power)
