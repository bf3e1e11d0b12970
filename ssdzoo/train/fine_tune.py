"""One fine-tuning from its arguments to its run folder."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ssdzoo.build import get_model
from ssdzoo.data import class_names, has_split, load_dataset
from ssdzoo.errors import CallError, DataError
from ssdzoo.preset import read_preset, read_toml
from ssdzoo.runtime import mxnet
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Settings
from ssdzoo.train.starting_weights import load_for_classes
from ssdzoo.train.trainer import Trainer
from ssdzoo.train.update import check_amp
from ssdzoo.weights.matching import load_backbone
from ssdzoo.zoo import find_preset


@dataclass
class TrainingJob:
    """What is trained, on what, from where and how; see `ssdzoo train --help`. `val_split` None is "val" where there is such a
    split."""

    model: str
    data: Path
    out: Path
    split: str = "train"
    val_split: str | None = None
    base_weights: Path | None = None
    weights: Path | None = None
    format: str | None = None
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def of(cls, **arguments) -> "TrainingJob":
        """The job of arguments that may be its own or its settings'."""
        settings = {k: arguments.pop(k) for k in Settings.names() if k in arguments}
        return cls(**arguments, settings=Settings(**settings))

    def as_toml(self) -> dict:
        """The arguments as plain values, without those that are not set."""
        own = {k: v for k, v in asdict(self).items() if k != "settings"}
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in {**own, **asdict(self.settings)}.items()}
        return {k: v for k, v in plain.items() if v is not None}

    @classmethod
    def of_run(cls, out: Path, **changes) -> "TrainingJob":
        """The job that a run folder was made by, with some arguments changed."""
        Run(out, resume=True)
        saved = read_toml(Path(out) / "args.toml")
        paths = {k: Path(saved[k]) for k in ("data", "base_weights", "weights") if k in saved}
        try:
            return cls.of(**{**saved, **paths, "out": Path(out), **changes})
        except TypeError as error:
            raise CallError(
                f"{out}/args.toml: not the arguments of a training ({error}); begin anew with another --out"
            ) from None


def run_job(job: TrainingJob, contexts: list, progress, resume: bool = False) -> dict:
    """Trains; returns the last row of metrics.csv with `best_mAP`.

    Args:
        contexts: where to train.
        progress: shows the steps; see `ssdzoo.cli.progress.WorkProgress`.
        resume: continues the run in `job.out`.

    Raises:
        CallError, DataError, WeightsError: before anything is written.
        SSDZooError: the loss is not finite.
    """
    if job.weights and job.base_weights:
        raise CallError("--weights fills the whole network, --base-weights its backbone: give one of them")
    run = Run(job.out, resume, job.settings.keep)
    resume = resume and run.has_state
    if job.settings.amp:
        check_amp(contexts)
    store = _store(job.settings)
    if store and store.rank:
        progress.quiet()
    preset = read_preset(run.folder / "model.toml") if resume else _preset(job)
    settings = _with_defaults(job.settings, preset)
    train, val = _datasets(job, list(preset.classes), progress)
    mxnet().random.seed(settings.seed)
    if resume:
        last = run.last_files(run.state())["params"]
        net, story = get_model(preset, ctx=contexts, pretrained=last), f"continued from {last}"
    else:
        net, story = _network(job, preset, settings, contexts)
    progress.say(f"{preset.name}: {len(preset.classes)} classes ({', '.join(preset.classes)}); {story}")
    trainer = Trainer(net, preset, train, val, run, settings, progress, store)
    if resume:
        trainer.resume()
    elif trainer.rank == 0:
        run.begin(preset, replace(job, settings=settings).as_toml())
    return trainer.fit()


def _store(settings: Settings):
    if settings.kvstore is None:
        return None
    from ssdzoo.train.distributed import connect

    return connect(settings.kvstore)


def _with_defaults(settings: Settings, preset) -> Settings:
    """The settings with a learning rate and a class loss."""
    settings = replace(settings, class_loss=settings.class_loss or preset.class_loss)
    if settings.lr is not None:
        return settings
    rate = 0.001 if preset.backbone.startswith("vgg") and "_bn" not in preset.backbone else 0.005
    return replace(settings, lr=rate / 10 if settings.optimizer == "adam" else rate)


def _preset(job: TrainingJob):
    preset = find_preset(job.model)
    names = class_names(job.data, job.format)
    if not names:
        raise DataError(f"{job.data}: no objects in its annotations, so there is nothing to learn")
    return preset.with_classes(names)


def _datasets(job: TrainingJob, names: list, progress) -> tuple:
    """The images to train on, and those to evaluate on, or None."""
    val_split = job.val_split
    if val_split is None and has_split(job.data, "val", job.format):
        val_split = "val"
    train = _told(job, job.split, names, progress)
    if val_split in (None, "none"):
        progress.say("no images to evaluate on (--val-split): the last epoch will be taken for the best one")
        return train, None
    return train, _told(job, val_split, names, progress)


def _told(job: TrainingJob, split: str, names: list, progress):
    dataset = load_dataset(job.data, split, names, job.format)
    objects = sum(len(record.boxes) for record in dataset.records)
    progress.say(f"{job.data}, split {split}: {len(dataset)} images, {objects} objects")
    for problem in dataset.problems:
        progress.say(f"  {problem}")
    return dataset


def _network(job: TrainingJob, preset, settings: Settings, contexts) -> tuple:
    """An initialized network, and a sentence about where its weights come from."""
    if job.weights:
        return load_for_classes(preset, job.weights, contexts)
    net = get_model(preset)
    mx = mxnet()
    # He et al. 2015; fan-in, because the fan-out of a depthwise convolution is not what its shape says.
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=contexts)
    if settings.class_loss == "focal":
        _expect_background(net)
    if job.base_weights:
        load_backbone(net, job.base_weights)
        return net, f"backbone from {job.base_weights}"
    return net, "weights at random (--base-weights FILE trains better)"


def _expect_background(net, share: float = 0.99) -> None:
    """Lets fresh class heads begin with that probability of the background (Lin et al. 2017, section 4.1), as nearly all
    anchors are."""
    from math import log

    mx = mxnet()
    for head in net.class_predictors:
        bias = head.predictor.bias
        start = mx.nd.zeros(bias.shape)
        start[:: net.num_classes + 1] = log(net.num_classes * share / (1 - share))
        bias.set_data(start)
