"""How long a training takes on this machine: a few of its steps, and a few images of its evaluation."""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from ssdzoo.data.loading.loader import Batch, Loader
from ssdzoo.data.record import Dataset
from ssdzoo.errors import CallError
from ssdzoo.measure.evaluate import evaluate
from ssdzoo.preset import Preset
from ssdzoo.progress import counted
from ssdzoo.train.auto_rules import Choice
from ssdzoo.train.frameworks import framework
from ssdzoo.train.settings import RANDOM, Arguments
from ssdzoo.train.trainer import TrainingData, training_loader

WARM_UP = 2  # steps that are slower than those after them
FEW, MANY = 3, 400  # steps that are timed, at least and at most
VAL_IMAGES = 16  # of the timed evaluation
MAX_EPOCHS = 200  # more learn the images of a small set by heart
FEW_EPOCHS = 10  # below, a larger budget is worth more than any setting
EVALUATIONS = 10  # during a training, where their share of the time allows it
EVALUATION_SHARE = 0.1
SURE = 0.95  # of the budget that is planned with: saving takes time too, and no machine is always equally fast


@dataclass(frozen=True)
class Timing:
    """
    Attributes:
        start: seconds until the first step.
        image: seconds for an image of a step.
        val_image: seconds for an image of an evaluation.
        shown: how often an image is shown in an epoch on average: more than once where rare classes are repeated.
    """

    start: float
    image: float
    val_image: float
    shown: float = 1.0


def time_training(arguments: Arguments, preset: Preset, place: Any, data: TrainingData, seconds: float) -> Timing:
    """Trains a network with random weights for a few steps, and forgets it.

    Args:
        arguments: Arguments, whose settings are completed.
        preset: the Preset, with classes.
        place: of the framework's `join`.
        data: the images.
        seconds: after which the steps end.
    """
    settings, begun = arguments.settings, time.perf_counter()
    # The values of the weights do not matter.
    random = replace(arguments, model=preset.name, base_weights=Path(RANDOM), weights=None)
    engine, _ = framework(settings.engine).start_engine(random, preset, place)
    with training_loader(data.train, preset.base_size, settings) as loader:
        batches = _without_end(loader)
        for _ in range(WARM_UP):
            engine.step([next(batches)], 0.0)
        started, images, steps = time.perf_counter(), 0, 0
        while steps < FEW or (steps < MANY and time.perf_counter() - started < seconds):
            images += engine.step([next(batches)], 0.0).images
            steps += 1
        image = (time.perf_counter() - started) / images
        batches.close()
    with engine.detector() as detector:
        val_image = _time_evaluation(detector, data.val) if data.val else 0.0
    return Timing(started - begun, image, val_image, loader.images / len(data.train))


def _without_end(loader: Loader) -> Generator[Batch, None, None]:
    for epoch in count():
        yield from loader.epoch(epoch)


def _time_evaluation(detector: Any, val: Dataset) -> float:
    part = Dataset(val.names, [val[i] for i in range(min(VAL_IMAGES, len(val)))], [])
    evaluate(detector, Dataset(val.names, part.records[:1], []))  # the first image takes longer
    started = time.perf_counter()
    evaluate(detector, part)
    return (time.perf_counter() - started) / len(part)


def epoch_count(timing: Timing, seconds: float, images: int, val_images: int) -> int:
    """How many epochs fit into a time, with their evaluations; 0 for none.

    Args:
        seconds: that are left, the start of the training included.
        images, val_images: numbers of images to train on and of an evaluation.
    """
    left = seconds - timing.start
    times = evaluations(timing, left, val_images)
    return max(0, int((left - times * val_images * timing.val_image) / (images * timing.shown * timing.image)))


def evaluations(timing: Timing, seconds: float, val_images: int) -> int:
    """How many evaluations a training of that time has: EVALUATIONS, fewer where they would take more than their share, one at
    least."""
    each = val_images * timing.val_image
    return EVALUATIONS if not each else max(1, min(EVALUATIONS, int(EVALUATION_SHARE * seconds / each)))


def choose_epochs(timing: Timing, seconds: float, minutes: float, data: TrainingData) -> list[Choice]:
    """Epochs, and epochs between two evaluations.

    Args:
        seconds: that are left of the budget; planned with `SURE` of them.
        minutes: the whole budget.

    Raises:
        CallError: not even one epoch fits; says how many minutes it takes.
    """
    images, val_images = len(data.train), len(data.val) if data.val else 0
    seconds *= SURE
    fitting = epoch_count(timing, seconds, images, val_images)
    each = images * timing.shown * timing.image
    if not fitting:
        needed = minutes + (timing.start + each + val_images * timing.val_image - seconds) / 60
        raise CallError(
            f"minutes={minutes:g} is too short for one epoch: {counted(images, 'image')} at {1 / timing.image:.1f} a second take "
            f"{_minutes(each)}; give minutes={10 * needed:.2g} for about ten epochs, or a part of the images (split=)"
        )
    epochs = min(fitting, MAX_EPOCHS)
    reason = f"as many as fit into minutes={minutes:g}, at {1 / timing.image:.1f} images a second and {_minutes(each)} an epoch"
    if epochs < fitting:
        reason = f"enough for {counted(images, 'image')}: they take about {_minutes(epochs * each)} of minutes={minutes:g}"
    elif epochs < FEW_EPOCHS:
        reason += f"; few: more minutes= give a better model, {10 * minutes / epochs:.2g} about ten epochs"
    times = min(epochs, evaluations(timing, seconds - timing.start, val_images))
    every = -(-epochs // times)
    return [
        Choice("epochs", epochs, reason),
        Choice("eval_every", every, f"an evaluation takes {val_images * timing.val_image:.1f} s"),
    ]


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
