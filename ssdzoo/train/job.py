"""One fine-tuning from its arguments to its run folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

from ssdzoo.data import class_names, has_split, load_dataset
from ssdzoo.errors import CallError, DataError
from ssdzoo.registry import find_preset, get_model, read_preset, tomllib
from ssdzoo.runtime import mxnet
from ssdzoo.train.loop import Settings, Trainer
from ssdzoo.train.run import Run
from ssdzoo.weights.gluoncv import load_base
from ssdzoo.weights.transfer import load_for_classes


@dataclass
class TrainingJob:
    """The arguments of a fine-tuning; see `ssdzoo train --help`. `val_split` None is "val" where there is such a split."""

    model: str
    data: Path
    out: Path
    epochs: int = 40
    batch_size: int = 8
    lr: float | None = None
    seed: int = 0
    workers: int = 1
    split: str = "train"
    val_split: str | None = None
    eval_every: int = 5
    augment: str = "ssd"
    base_weights: Path | None = None
    weights: Path | None = None
    format: str | None = None

    def as_toml(self) -> dict:
        """The arguments as plain values, without those that are not set."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items() if v is not None}

    @classmethod
    def of_run(cls, out: Path, **changes) -> "TrainingJob":
        """The job that a run folder was made by, with some arguments changed."""
        Run(out, resume=True)
        saved = tomllib.loads((Path(out) / "args.toml").read_text("utf-8"))
        paths = {k: Path(saved[k]) for k in ("data", "base_weights", "weights") if k in saved}
        return cls(**{**saved, **paths, "out": Path(out), **changes})


def run_job(job: TrainingJob, contexts: list, progress, resume: bool = False) -> dict:
    """Trains; returns the last row of metrics.csv with `best_mAP`.

    Args:
        contexts: where to train.
        progress: shows the steps; see `ssdzoo.cli.progress.TrainingProgress`.
        resume: continues the run in `job.out`.

    Raises:
        CallError, DataError, WeightsError: before anything is written.
        SSDZooError: the loss is not finite.
    """
    if job.weights and job.base_weights:
        raise CallError("--weights fills the whole network, --base-weights its backbone: give one of them")
    run = Run(job.out, resume)
    preset = read_preset(run.folder / "model.toml") if resume else _preset(job)
    train, val = _datasets(job, list(preset.classes), progress)
    mxnet().random.seed(job.seed)
    if resume:
        last, _ = run.last_files(run.state()["epoch"])
        net, story = get_model(preset, ctx=contexts, pretrained=last), f"continued from {last}"
    else:
        net, story = _network(job, preset, contexts)
    progress.say(f"{preset.name}: {len(preset.classes)} classes ({', '.join(preset.classes)}); {story}")
    lr = job.lr or (0.001 if preset.backbone.startswith("vgg") and "_bn" not in preset.backbone else 0.005)
    settings = Settings(
        job.epochs, job.batch_size, lr, workers=job.workers, seed=job.seed, eval_every=job.eval_every, augment=job.augment
    )
    trainer = Trainer(net, preset, train, val, run, settings, progress)
    if resume:
        trainer.resume()
    else:
        run.begin(preset, {**job.as_toml(), "lr": lr})
    return trainer.fit()


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


def _network(job: TrainingJob, preset, contexts) -> tuple:
    """An initialized network, and a sentence about where its weights come from."""
    if job.weights:
        return load_for_classes(preset, job.weights, contexts)
    net = get_model(preset)
    mx = mxnet()
    # He et al. 2015; fan-in, because the fan-out of a depthwise convolution is not what its shape says.
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=contexts)
    if job.base_weights:
        load_base(net, job.base_weights)
        return net, f"backbone from {job.base_weights}"
    return net, "weights at random (--base-weights FILE trains better)"
