"""Learning rate over the course of a training."""

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class StepSchedule:
    """Linear warm-up, then a constant rate that drops at given points.

    Attributes:
        base: learning rate after the warm-up.
        total_steps: steps of the whole training.
        warmup_steps: steps in which the rate rises linearly from base / warmup_steps.
        drops: points, as parts of the training, at which the rate is multiplied by `factor`.
    """

    base: float
    total_steps: int
    warmup_steps: int = 0
    drops: tuple = (0.7, 0.9)
    factor: float = 0.1

    def __call__(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.base * (step + 1) / self.warmup_steps
        passed = bisect_right([d * self.total_steps for d in self.drops], step)
        return self.base * self.factor**passed
