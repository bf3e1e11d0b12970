"""Repeat-factor sampling (Gupta et al. 2019, LVIS, section 4.1): images with rare classes are shown more than once in an epoch.

A class in the part f_c of the images gets the factor r_c = max(1, sqrt(t / f_c)), an image the largest factor of its classes. The
threshold t is the mean of all f_c where none is given. So it needs no setting for a data set of any size and number of classes, a
set whose classes are equally frequent stays as it is, and an epoch grows by a quarter of the number of classes in an image at
most: a class adds f_c (r_c - 1) = sqrt(t f_c) - f_c <= t / 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.quote import brief

if TYPE_CHECKING:
    from ssdzoo.data.record import Dataset, Record

_EPOCH_ENDS = 1 << 32  # no index of a record: sets the draws of an epoch apart from those of its images


@dataclass(frozen=True)
class ClassBalance:
    """How often images are shown.

    Attributes:
        threshold: t, a part of the images; None is the mean of the classes' parts.
    """

    threshold: float | None = None

    @classmethod
    def of(cls, text: str) -> "ClassBalance":
        """From "sqrt", or "sqrt:0.1" with a threshold.

        Raises:
            CallError: something else.
        """
        kind, colon, number = text.partition(":")
        try:
            threshold = float(number) if colon else None
        except ValueError:
            threshold = math.nan
        if kind != "sqrt" or (threshold is not None and not 0 < threshold <= 1):
            raise CallError(f"class_balance={brief(text)}: expected sqrt, or sqrt:T with a part T of the images (sqrt:0.1)")
        return cls(threshold)

    def repeats(self, dataset: "Dataset") -> "Repeats":
        """How often the images of a data set are shown in an epoch."""
        present = _present(dataset.records, len(dataset.names))
        parts = present.mean(axis=0) if len(present) else np.zeros(len(dataset.names))
        some = parts > 0
        threshold = self.threshold if self.threshold is not None else float(parts[some].mean()) if some.any() else 1.0
        classes = np.ones(len(parts))
        classes[some] = np.maximum(1, np.sqrt(threshold / parts[some]))
        return Repeats(np.where(present, classes, 1).max(axis=1, initial=1), classes, parts, threshold)


def _present(records: "Sequence[Record]", classes: int) -> np.ndarray:
    """(N, C) bool: the image has an object of the class to train on."""
    present = np.zeros((len(records), classes), bool)
    for i, record in enumerate(records):
        present[i, record.class_ids[~record.crowd]] = True
    return present


@dataclass(frozen=True)
class Repeats:
    """How often images are shown in an epoch, on average.

    Attributes:
        images: (N,) float64, at least 1.
        classes: (C,) float64, the factors of the classes; parts: (C,) float64, of the images that have them.
        threshold: t.
    """

    images: np.ndarray
    classes: np.ndarray
    parts: np.ndarray
    threshold: float

    @property
    def _more(self) -> tuple:
        """The part of each factor after its point, made a little smaller so that the sum of all is whole; and that sum. So each
        epoch has as many images."""
        more = self.images % 1
        total = math.floor(more.sum() + 1e-9)
        return more * (total / more.sum() if more.sum() else 0), total

    def __len__(self) -> int:
        """Images in an epoch."""
        return int(self.images.astype(np.int64).sum()) + self._more[1]

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """(len(self),) int64, not shuffled: the n-th showing of image i, counted from 0, is i + n * N.

        An image is shown as often as its factor says, rounded down or up. Systematic sampling (Madow 1944) decides which are
        rounded up: with the probability of what is after the point, from one number of (seed, epoch) and the image's index.
        """
        rng = np.random.default_rng([seed, epoch, _EPOCH_ENDS])
        more, _ = self._more
        places = rng.permutation(len(more))  # or neighbors would never be rounded up together
        ends = np.floor(np.cumsum(more[places]) + rng.uniform(0, 1 - 1e-6) + 1e-9)
        up = np.zeros(len(more), np.int64)
        up[places] = np.diff(ends, prepend=0)
        counts = self.images.astype(np.int64) + up
        count = len(counts)
        return np.concatenate([np.flatnonzero(counts > n) + n * count for n in range(counts.max(initial=0))])

    def story(self, names: Sequence[str]) -> str:
        """What a training says of it."""
        rare = [i for i in np.argsort(-self.classes, kind="stable") if self.classes[i] > 1]
        shown = ", ".join(f"{names[i]} x{self.classes[i]:.2f} ({self.parts[i]:.1%} of the images)" for i in rare[:5])
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        growth = f"{len(self):,} images in an epoch in the place of {len(self.images):,}"
        return f"class balance, threshold {self.threshold:.3g}: {growth}; {shown + more if rare else 'no class is rarer'}"
