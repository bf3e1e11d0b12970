"""`ssdzoo.fine_tune("auto", ...)`: looks at a data set and chooses model, anchors and settings for it, and says why.

`auto_rules` holds the rules about numbers of the data set, `auto_weights` finds the backbones that have weights, `auto_timing`
counts the epochs that fit into the time. What comes out are the arguments of an ordinary training.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssdzoo.anchors.objects import collect_objects
from ssdzoo.anchors.recall import recall_table
from ssdzoo.anchors.table import commented
from ssdzoo.costs import find_cost, training_bytes
from ssdzoo.data import Dataset, class_names, has_split
from ssdzoo.errors import CallError, DataError, WeightsError
from ssdzoo.files import write_text
from ssdzoo.machine import memory
from ssdzoo.measure.anchor_fit import fit_anchors
from ssdzoo.preset import Preset
from ssdzoo.progress import Silent, counted
from ssdzoo.train.auto_rules import (
    Choice,
    choose_anchors,
    choose_batch_size,
    choose_flip,
    choose_input,
    choose_rate,
    grid_levels,
    look_at,
    model_name,
)
from ssdzoo.train.auto_timing import FEW_EPOCHS, Timing, choose_epochs, epoch_count, time_training
from ssdzoo.train.auto_weights import fitting_presets, start_weights
from ssdzoo.train.frameworks import framework
from ssdzoo.train.run import Run
from ssdzoo.train.settings import HELD_OUT, RANDOM, Arguments
from ssdzoo.train.threads import with_threads
from ssdzoo.train.trainer import TrainingData
from ssdzoo.train.training_data import load_training_data
from ssdzoo.zoo import find_preset

AUTO = "auto"
MINUTES = 20.0
TABLE = "auto.toml"  # in the run folder
BACKBONES = ("mobilenet1.0", "mobilenet0.5", "mobilenet0.25")  # the best first
ENOUGH_EPOCHS = 30  # with which a larger backbone is worth its time
TIMED = 0.03  # of the budget that goes into timing
FITTED = 1000  # objects that anchors are fitted to; more hardly change them


def plan_training(given: dict, minutes: float | None = None, ctx: Any = None, progress: Silent | None = None) -> dict:
    """Chooses how to train on a data set, and says each choice with its reason.

    Args:
        given: arguments of `ssdzoo.fine_tune` by name, `data` and `out` among them; what is given is not chosen.
        minutes: that planning and training may take together; 20 by default.
        ctx: where to train; see `ssdzoo.fine_tune`.
        progress: where to say it.

    Returns:
        All arguments of `ssdzoo.fine_tune` for the training. Their model is a table that was written to the run folder.

    Raises:
        CallError: too few minutes for one epoch; arguments that belong to a model.
        DataError: nothing to learn.
        WeightsError: `base_weights` that fit none of the models.
    """
    begun, progress = time.perf_counter(), progress or Silent()
    minutes = MINUTES if minutes is None else minutes
    _check(given, minutes)
    arguments = Arguments.of({**given, "model": AUTO})
    Run.new(arguments.out)
    data, load_s = _load(arguments, progress)
    plan = _Plan(given, data, minutes, begun - load_s, ctx, progress)  # the training loads them once more
    plan.choose()
    return {**given, **plan.chosen}


def _check(given: dict, minutes: float) -> None:
    if not minutes > 0:
        raise CallError(f"minutes={minutes}: expected a number above 0")
    if given.get("weights"):
        raise CallError("weights= belongs to a model: name the table or the preset of these weights in the place of auto")
    if given.get("kvstore"):
        raise CallError(
            "auto times the training in one process: start several with the model and the settings that it chose there"
        )


def _load(arguments: Arguments, progress: Silent) -> tuple[TrainingData, float]:
    """The images, and the seconds that it took to load them."""
    started = time.perf_counter()
    names = class_names(arguments.data, arguments.format)
    if not names:
        raise DataError(f"{arguments.data}: no objects in its annotations, so there is nothing to learn")
    data = load_training_data(arguments, names, progress)
    return data, time.perf_counter() - started


class _Plan:
    """The choices of a training, one after the other.

    Attributes:
        chosen: arguments of `ssdzoo.fine_tune` by name.
        choices: what was said.
    """

    def __init__(self, given: dict, data: TrainingData, minutes: float, begun: float, ctx: Any, progress: Silent):
        self.given, self.arguments = set(given), Arguments.of({**given, "model": AUTO})
        self.data, self.minutes, self.begun, self.progress = data, minutes, begun, progress
        self.chosen: dict[str, Any] = {}
        self.choices: list[Choice] = []
        self.timed: Preset | None = None
        self.look = look_at(data.train)
        settings = with_threads(self.arguments.settings, progress)  # those that are timed are those that train
        self.arguments = replace(self.arguments, settings=settings)
        if settings.threads:
            self.chosen["threads"] = settings.threads
        start = framework(settings.engine)
        self.place = start.join(settings, ctx)
        start.set_threads(settings.threads)

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.begun + 60 * self.minutes - time.perf_counter()

    def say(self, choice: Choice) -> None:
        self.choices.append(choice)
        self.progress.say(f"  {choice}")

    def choose(self) -> None:
        seen = f"{counted(self.look.images, 'image')}, {counted(self.look.objects, 'object')}"
        time_frame = "" if "epochs" in self.given else f"; choosing and training take about minutes={self.minutes:g}"
        self.progress.say(f"auto: {seen}{time_frame}")
        self._settle(choose_flip(self.look.names))
        self._settle_val()
        preset = self._fit(self._choose_preset())
        settings = self._settings(preset)
        self._settle(choose_rate(settings.lr, settings.batch_size))
        if "epochs" in self.given:  # then the time does not count
            self.progress.say(f"  epochs={settings.epochs}: as given")
        else:
            for choice in choose_epochs(self._time(preset), self.left, self.minutes, self.data):
                self._settle(choice)
        start = "random weights" if self._from_scratch else "trained weights"
        self.progress.say(f"  augment={settings.augment}, schedule={settings.schedule}: the usual ones from {start}")
        self._write(preset)

    def _settle(self, choice: Choice) -> None:
        """Takes a choice, unless the user has made it."""
        own = self.arguments.settings
        if choice.name in self.given:
            self.progress.say(f"  {choice.name}={getattr(own, choice.name)}: as given")
            return
        self.chosen[choice.name] = choice.value
        self.say(choice)
        self.arguments = replace(self.arguments, settings=replace(own, **{choice.name: choice.value}))

    def _settle_val(self) -> None:
        if self.arguments.val_split is None and not has_split(self.arguments.data, "val", self.arguments.format):
            self.chosen["val_split"] = HELD_OUT

    def _choose_preset(self) -> Preset:
        """The largest backbone that gets enough epochs and has weights."""
        shape = choose_input(self.look)
        candidates = fitting_presets(
            [find_preset(model_name(b, shape.value)).with_classes(self.look.names) for b in BACKBONES],
            self.arguments.base_weights,
        )
        smallest = candidates[-1]
        self._settle(choose_batch_size(self.look, training_bytes(smallest), self._memory()))
        timing = self._time(smallest)
        epochs = {preset.backbone: self._epochs(timing, smallest, preset) for preset in candidates}
        why_not = {name: f"{name} would have about {counted(n, 'epoch')}" for name, n in epochs.items() if n < ENOUGH_EPOCHS}
        first = [preset for preset in candidates if preset.backbone not in why_not or preset is smallest]
        # Few epochs from trained weights are better than many from random ones.
        second = [preset for preset in candidates[::-1] if preset not in first and epochs[preset.backbone] >= FEW_EPOCHS]
        for preset in first + second:
            try:
                story = start_weights(preset, self.arguments.base_weights)
            except WeightsError as error:
                why_not[preset.backbone] = f"there are no weights of {preset.backbone}"
                for line in str(error).splitlines()[:-1]:
                    self.progress.say(f"  {line}")
                continue
            return self._take(preset, candidates, shape.reason, why_not, story)
        self.chosen["base_weights"] = RANDOM
        self.arguments = replace(self.arguments, base_weights=Path(RANDOM))
        self.progress.say(
            f"  base_weights={RANDOM}: no backbone has weights on this machine, and none could be downloaded; a file with them "
            "(base_weights=) gives a much better model in the same time"
        )
        return self._take(smallest, candidates, shape.reason, why_not, "random weights")

    def _epochs(self, timing: Timing, smallest: Preset, preset: Preset) -> int:
        """About how many epochs a preset would have, by its multiply-accumulates and the time of the smallest one."""
        costs = [find_cost(replace(each, classes=None)).macs for each in (preset, smallest)]
        guess = replace(timing, image=timing.image * costs[0] / costs[1])
        return epoch_count(guess, self.left, self.look.images, len(self.data.val or ()))

    def _take(self, preset: Preset, candidates: list, reason: str, why_not: dict, story: str) -> Preset:
        better = [why_not[each.backbone] for each in candidates[: candidates.index(preset)] if each.backbone in why_not]
        self.say(Choice("model", preset.name, "; ".join([reason, *better, story])))
        return preset

    def _memory(self) -> float | None:
        """Half of the machine's: the loader and other programs have the rest. A GPU's own memory is not asked."""
        known = memory()
        return None if known is None else known / 2

    def _settings(self, preset: Preset) -> Any:
        return self.arguments.settings.completed(preset, self._from_scratch)

    @property
    def _from_scratch(self) -> bool:
        return str(self.arguments.base_weights) == RANDOM

    def _time(self, preset: Preset) -> Timing:
        if preset != self.timed:
            arguments = replace(self.arguments, settings=self._settings(preset))
            self.timing = time_training(arguments, preset, self.place, self.data, TIMED * 60 * self.minutes)
            self.timed = preset
        return self.timing

    def _fit(self, preset: Preset) -> Preset:
        """The preset, or with anchors that fit the objects where its own miss too many."""
        levels = grid_levels(preset)
        objects = collect_objects(self.data.train.records, preset.base_size)
        choice = choose_anchors(recall_table(objects, list(self.look.names), levels), preset)
        if choice.value == "preset":
            self.say(choice)
            return preset
        part = Dataset(list(self.look.names), _some(self.data.train, FITTED), [])
        fit = fit_anchors(part, preset, levels)
        before, after = (table["all"]["0.5"] for table in fit.tables)
        self.say(Choice("anchors", "fitted", f"{choice.reason}; {after:.0%} of all objects have one now, {before:.0%} before"))
        return fit.presets[1].with_classes(self.look.names)

    def _write(self, preset: Preset) -> None:
        comments = [f"chosen for {self.arguments.data}, split {self.arguments.split}:", *map(str, self.choices)]
        path = Path(self.arguments.out) / TABLE
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, commented(comments) + preset.to_toml())
        self.chosen["model"] = str(path)
        self.progress.say(f"  the table of the model, with these reasons: {path}")


def _some(dataset: Dataset, objects: int) -> list:
    """Records with about that many objects, spread over all of them."""
    found, count = [], 0
    for i in sorted(range(len(dataset)), key=lambda i: i * 0.6180339887498949 % 1):  # any beginning of this order is spread
        found.append(dataset[i])
        count += len(found[-1].boxes)
        if count >= objects:
            break
    return found
