"""One fine-tuning from its arguments to its run folder."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssdzoo.data import class_names, has_split
from ssdzoo.data.loading.augment.transform import is_import_path
from ssdzoo.errors import CallError, DataError
from ssdzoo.formats.detection_graph import suppression
from ssdzoo.formats.graph_detection import read_rule
from ssdzoo.formats.graph_heads import STDS
from ssdzoo.model_source import SymbolSource, resolve
from ssdzoo.preset import Preset, read_preset
from ssdzoo.progress import Silent, counted
from ssdzoo.train.auto import AUTO, plan_training
from ssdzoo.train.backbone_file import check_backbone_file
from ssdzoo.train.callbacks import Callback, Callbacks, check_callbacks
from ssdzoo.train.frameworks import framework
from ssdzoo.train.loggers import make_loggers
from ssdzoo.train.run import Run
from ssdzoo.train.run_report import RunReport
from ssdzoo.train.settings import HELD_OUT, NO_VAL, RANDOM, Arguments, Settings
from ssdzoo.train.threads import with_threads
from ssdzoo.train.trainer import Trainer, TrainingResult
from ssdzoo.train.training_data import load_split, load_training_data
from ssdzoo.weights.published import sources_of
from ssdzoo.zoo import find_preset


def fine_tune(model: str | Path, data: str | Path, out: str | Path, *, split: str | None = None, val_split: str | None = None,
              weights: str | Path | None = None, base_weights: str | Path | None = None, format: str | None = None,
              image_folder: str | Path | None = None, minutes: float | None = None, ctx: Any = None, resume: bool = False,
              progress: Silent | None = None, callbacks: Iterable[Callback] = (), **settings: Any) -> TrainingResult:  # fmt: skip
    """Trains a model on a data set and keeps the best epoch in a run folder.

    Args:
        model: a preset's name (see `ssdzoo.list_models`) or the path of a table (`.toml`); with engine="torch" also an exported
            model, which starts from its own weights and needs no mxnet. "auto" chooses a model, and the settings that are not
            given, for the data, and says why; see `ssdzoo.train.auto.plan_training`.
        data: the folder or the file that an annotation tool exported; see `ssdzoo.data.load_dataset`. Several with commas in
            between are joined.
        out: the run folder, which must not hold a training yet.
        split: images to train on, such as "train" (the default) or "train[:80%]".
        val_split: images that choose the best epoch; by default "val" if there is such a split, or else "held-out": 15 % of those
            to train on, chosen by the hash of their names; "none" for none.
        weights: parameter file of a whole network to start from, or a run folder. Where the classes differ, those with equal
            names keep their weights.
        base_weights: where the backbone starts from: a file (`ssdzoo.weights.backbone.read_backbone`), the name of a file that
            `ssdzoo models --weights` lists, or "none" for random weights. By default the published file of the backbone, which is
            downloaded once.
        format: of the data: "voc", "coco", "yolo", "recordio", "csv", "labelme" or "sagemaker"; recognized by default.
        image_folder: where the images lie that the data name by paths or addresses; by default, around the data.
        minutes: that model="auto" takes for choosing and training; 20 by default.
        ctx: an mxnet context or a list of them, over which each batch is divided; with engine="torch" a device of torch, such as
            "cuda:0"; or GPUs by their numbers, such as "0,1". By default the CPU.
        resume: continues the run in `out`, after any kind of end. Arguments that are not given are as they were.
        progress: shows the work: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.
        callbacks: are told of steps and epochs, and may end the training; see `ssdzoo.train.callbacks.Callback`.
        settings: fields of `ssdzoo.train.settings.Settings`, such as `epochs`, `batch_size`, `lr`. `augment` may also be a table
            ({"base": "light", "mosaic": 0.5}), or a function, such as an Albumentations' transform, or its import path
            ("module:name"); see `ssdzoo.data.loading.augment.transform`.

    Returns:
        The run folder, the best mAP and the losses of each epoch. `ssdzoo.load(result.folder)` loads the best epoch.

    Raises:
        CallError, DataError, WeightsError: before anything is written.
        SSDZooError: the loss is not finite, or a file cannot be written.

    Example:
        >>> import ssdzoo
        >>> from ssdzoo.progress import Printed
        >>> result = ssdzoo.fine_tune(
        ...     "ssd_300_mobilenet0.25_custom", "data/cells", "runs/cells", epochs=20, lr=0.005, progress=Printed()
        ... )
        >>> result.best_mAP
        >>> ssdzoo.load(result.folder)("photo.jpg")
    """
    progress = progress or Silent()
    own = {
        "split": split, "val_split": val_split, "weights": weights, "base_weights": base_weights, "format": format,
        "image_folder": image_folder,
    }  # fmt: skip
    given = {"model": str(model), "data": data, "out": out, **{k: v for k, v in own.items() if v is not None}, **settings}
    callbacks = check_callbacks(callbacks)
    given = _planned(given, minutes, ctx, resume, progress)
    arguments = resumed_arguments(given) if resume else Arguments.of(given)
    loggers = make_loggers(arguments.settings)
    with (Run.resume if resume else Run.new)(arguments.out, arguments.settings.keep) as run:
        return _train(arguments, run, ctx, resume, progress, [*loggers, *callbacks])


def _train(arguments: Arguments, run: Run, ctx: Any, resume: bool, progress: Silent, callbacks: list) -> TrainingResult:
    start = framework(arguments.settings.engine)
    place = start.join(arguments.settings, ctx)
    if place.rank:
        progress.quiet()
    elif resume:
        run.lock()
    going_on = resume and run.has_state
    preset = read_preset(run.folder / "model.toml") if going_on else _preset(arguments)
    names = list(preset.classes or ())
    if arguments.base_weights and not going_on:
        check_backbone_file(arguments.base_weights)
    arguments = _completed(arguments, preset, going_on)
    if not has_split(arguments.data, arguments.split, arguments.format):
        load_split(arguments, arguments.split, names, progress)  # raises, and says which splits there are
    saved = run.last_files(run.state())["params"] if going_on else None
    # Before the images are read, which takes longer than to find that weights are missing.
    engine, story = start.start_engine(arguments, preset, place, saved)
    datasets = load_training_data(arguments, names, progress)
    arguments = replace(arguments, settings=with_threads(arguments.settings, progress))
    start.set_threads(arguments.settings.threads)
    progress.say(f"{preset.name}: {counted(len(names), 'class')} ({', '.join(names)}); {story}")
    # The report comes first: loggers may keep it.
    called = Callbacks([RunReport(), *callbacks])
    trainer = Trainer(engine, datasets, run, arguments.settings, progress, called, arguments.as_toml())
    if going_on:
        trainer.resume()
    elif engine.rank == 0:
        run.begin(preset, arguments.as_toml(), engine.symbol)
    return trainer.fit()


def _planned(given: dict, minutes: float | None, ctx: Any, resume: bool, progress: Silent) -> dict:
    """The arguments with what auto chooses, where it is to; a run that goes on keeps what it chose."""
    if given["model"] != AUTO:
        if minutes is not None:
            raise CallError("minutes= is for the model auto: epochs= says how long others are trained")
        return given
    if not resume:
        return plan_training({k: v for k, v in given.items() if k != "model"}, minutes, ctx, progress)
    progress.say(f"{given['out']} goes on with the model and the settings that were chosen when it began")
    return {k: v for k, v in given.items() if k != "model"}


def resumed_arguments(given: dict) -> Arguments:
    """The arguments that the run in `given["out"]` began with, and the given ones in the place of theirs.

    Raises:
        CallError: there is no such run, its arguments are damaged, or a given one is not allowed.
    """
    saved = {**Run(given["out"]).arguments(), "out": given["out"]}
    try:
        Arguments.of(saved)
    except (TypeError, CallError) as error:
        raise CallError(
            f"{given['out']}/args.toml: not the arguments of a training ({error}); start from scratch with another out="
        ) from None
    if is_import_path(saved.get("augment")) and "augment" not in given:
        raise CallError(f"{given['out']} was trained with code, augment={saved['augment']}, which no file starts: give it again")
    engine, wanted = (values.get("engine", Settings.engine) for values in (saved, {**saved, **given}))
    if engine != wanted:
        raise CallError(
            f"{given['out']} was trained with engine={engine}, whose state engine={wanted} cannot continue: resume with "
            f"engine={engine}, or start another run from its weights={given['out']}"
        )
    return Arguments.of({**saved, **given})


def _preset(arguments: Arguments) -> Preset:
    source = resolve(arguments.model)
    if not isinstance(source, SymbolSource):
        preset = find_preset(arguments.model)
    elif arguments.settings.engine == "torch":
        preset = _exported_preset(source)
    else:
        raise CallError(
            f"{arguments.model} is an exported model: engine=torch trains it, engine=mxnet does not; if GluonCV or ssdzoo "
            "exported it, name its preset, and its .params with weights="
        )
    names = class_names(arguments.data, arguments.format)
    if not names:
        raise DataError(f"{arguments.data}: no objects in its annotations, so there is nothing to learn")
    return preset.with_classes(names)


def _exported_preset(source: SymbolSource) -> Preset:
    """The table beside an exported model, or else what its symbol says, with the limits of its NMS.

    Raises:
        CallError: offsets in other units than those of the loss.
        ExportError: detections of no known form.
    """
    preset = source.preset
    if preset.sizes or suppression(source.graph) is None:
        return preset
    rule = read_rule(source.graph)
    if rule.stds != STDS:
        raise CallError(f"{source.symbol}: its box offsets are in units of {rule.stds}, and a training has {STDS}")
    return replace(preset, nms_thresh=rule.thresh, nms_topk=rule.topk, post_nms=rule.post)


def _completed(arguments: Arguments, preset: Preset, going_on: bool) -> Arguments:
    """With the settings that the model and its first weights ask for, and images to evaluate on, where nothing is given."""
    arguments = replace(arguments, settings=arguments.settings.completed(preset, _from_scratch(arguments, preset)))
    if arguments.val_split is None and not has_split(arguments.data, "val", arguments.format):
        # Before images were held out, a training without a val split had none to evaluate on: such a run goes on as it began.
        return replace(arguments, val_split=NO_VAL if going_on else HELD_OUT)
    return arguments


def _from_scratch(arguments: Arguments, preset: Preset) -> bool:
    """Whether all weights are random at the beginning."""
    if arguments.weights or isinstance(resolve(arguments.model), SymbolSource):
        return False
    return str(arguments.base_weights) == RANDOM if arguments.base_weights else not sources_of(preset.backbone)
