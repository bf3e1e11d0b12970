"""What a training may vary, in one place: the command line, `args.toml` and the trainer all mean these fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from ssdzoo.augmentation.named import NAMES
from ssdzoo.augmentation.table import FLIPS, Augmentation
from ssdzoo.data.loading.augment.transform import Transform, as_augmentation
from ssdzoo.data.loading.class_balance import ClassBalance
from ssdzoo.errors import CallError
from ssdzoo.preset import Preset
from ssdzoo.quote import short
from ssdzoo.suggest import did_you_mean

RANDOM = "none"  # of base_weights
LOGGERS = ("tensorboard", "mlflow", "wandb")
NO_VAL, HELD_OUT = "none", "held-out"  # of val_split
_DATA, _OPTIMIZER, _LOSS, _SAVING = "Data", "Optimizer", "Loss", "Saving and reporting"


def _setting(default: Any, help: str, panel: str | None = None, **shown_or_allowed: Any) -> Any:
    """A field of `Settings`. Its metadata are what the command line shows and what is allowed.

    Args:
        help: one sentence.
        panel: the heading of the options among which it is shown.
        shown_or_allowed: `unset`: what None stands for; `choices`: all values; `minimum`: the lowest one; `above`, `below`:
            bounds that are not allowed themselves; `check`: raises where a value is not allowed; `written`: how the command line
            writes a value.
    """
    return field(default=default, metadata={"help": help, "panel": panel, **shown_or_allowed})


@dataclass(frozen=True)
class Settings:
    """How a model is trained.

    Raises:
        CallError: a value that is not allowed.
    """

    epochs: int = _setting(40, "Passes over the training images.", minimum=1)
    batch_size: int = _setting(8, "Images per step of one process, over all its GPUs.", minimum=1)
    lr: float | None = _setting(
        None, "Learning rate after the warm-up.", above=0,
        unset="0.001 for a VGG without batch norm, else 0.005; a tenth for adam",
    )  # fmt: skip
    seed: int = _setting(0, "Seed of everything random.", minimum=0)
    workers: int = _setting(1, "Processes that prepare images; 0 prepares them in this one.", minimum=0)
    threads: int | None = _setting(
        None, "Threads of the network on the CPU. Their number changes how sums are rounded.", minimum=1,
        unset="OMP_NUM_THREADS, or the cores that other programs leave free at the start",
    )  # fmt: skip
    engine: str = _setting(
        "mxnet",
        "What trains: mxnet, which is faster on CPUs, or torch, for GPUs that mxnet has no code for.",
        choices=("mxnet", "torch"),
    )
    eval_every: int = _setting(5, "Epochs between two evaluations.", minimum=1)
    augment: Any = _setting(  # noqa: RUF009 - the rule knows the other types
        None, "Augmentation: that of the SSD paper (ssd), a milder one (light), none, or a table of operations.", _DATA,
        check=as_augmentation, written="|".join((*NAMES, "FILE.toml")), unset="the model's; else light; ssd from random weights",
    )  # fmt: skip
    flip: str = _setting(
        "horizontal", "Mirror images at random (horizontal), or not (none), for characters and whatever else has a side.", _DATA,
        choices=FLIPS,
    )  # fmt: skip
    class_balance: str | None = _setting(
        None, "Show images of rare classes more often: by the square root of how much rarer a class is than the mean, or than a "
        "fraction T of the images.", _DATA, check=ClassBalance.of, written="sqrt|sqrt:T",
    )  # fmt: skip
    cache: Path | None = _setting(None, "Folder for smaller copies of large photos, which later epochs read.", _DATA)  # noqa: RUF009
    optimizer: str = _setting("sgd", "SGD with momentum, or Adam.", _OPTIMIZER, choices=("sgd", "adam"))
    momentum: float = _setting(0.9, "SGD momentum.", _OPTIMIZER, minimum=0, below=1)
    weight_decay: float = _setting(5e-4, "Weight decay (L2).", _OPTIMIZER, minimum=0)
    bias_decay: bool = _setting(True, "Weight decay of biases and norms too.", _OPTIMIZER)
    schedule: str | None = _setting(
        None, "How the learning rate falls after the warm-up: divided by 10 at 70 and 90 % of the training (step), or to 0.",
        _OPTIMIZER, choices=("step", "cosine", "poly"), unset="cosine; step from random weights",
    )  # fmt: skip
    warmup_epochs: float = _setting(1.0, "Epochs in which the learning rate rises linearly.", _OPTIMIZER, minimum=0)
    clip_norm: float | None = _setting(None, "Maximum L2 norm of all gradients together.", _OPTIMIZER, above=0)
    accumulate: int = _setting(1, "Batches per update of the weights.", _OPTIMIZER, minimum=1)
    ema: float | None = _setting(
        None, "Decay of a moving average of the weights, such as 0.998. The average is evaluated and kept as the best.",
        _OPTIMIZER, minimum=0, below=1,
    )  # fmt: skip
    freeze: int = _setting(0, "Number of first stages of the backbone that do not learn.", _OPTIMIZER, minimum=0)
    freeze_norm: bool = _setting(False, "Freeze the statistics, scales and shifts of the backbone's batch norms.", _OPTIMIZER)
    amp: bool = _setting(
        False, "Half precision on GPUs; with torch on CPUs too, and as bfloat16 where there is that.", _OPTIMIZER
    )
    compile: bool = _setting(False, "Compile the network with torch.compile.", _OPTIMIZER)
    kvstore: str | None = _setting(None, "Train with other processes; see ssdzoo launch.", _OPTIMIZER, choices=("dist_sync",))
    class_loss: str | None = _setting(
        None, "Cross-entropy with the hardest negatives, as in the paper (ohem), or the focal loss.", _LOSS,
        choices=("ohem", "focal"), unset="the model's: focal on FPNs",
    )  # fmt: skip
    box_loss: str = _setting(
        "smooth_l1", "Loss of the boxes; smooth_l1 is the paper's.", _LOSS, choices=("smooth_l1", "giou", "diou")
    )
    min_negatives: int = _setting(3, "Minimum number of hard negatives in an image; 0 is the paper's.", _LOSS, minimum=0)
    box_weight: float = _setting(1.0, "Factor of the box loss.", _LOSS, minimum=0)
    checkpoint_every: int | None = _setting(None, "Steps between two checkpoints within an epoch.", _SAVING, minimum=1)
    patience: int | None = _setting(None, "Evaluations without a better mAP, after which the training stops.", _SAVING, minimum=1)
    keep: int = _setting(1, "Number of last epochs whose weights stay in the run folder.", _SAVING, minimum=1)
    tensorboard: bool = _setting(False, "Write curves for TensorBoard too.", _SAVING)
    log_to: str | None = _setting(None, f"Log the epochs to {', '.join(LOGGERS)} too; several separated by commas.", _SAVING)

    def __post_init__(self):
        for setting in fields(self):
            value = getattr(self, setting.name)
            if value is None and setting.default is None:
                continue
            kind = _kind(setting)
            expected = (kind in _KINDS and _wrong_type(value, kind)) or _refusal(value, setting.metadata)
            if expected:
                raise CallError(f"{setting.name}={short(value)}: {expected}")
            if "check" in setting.metadata:
                setting.metadata["check"](value)
        if self.engine == "mxnet" and self.compile:
            raise CallError("compile=True is for engine=torch")
        if self.engine == "torch" and self.kvstore:
            raise CallError("kvstore= is for engine=mxnet: torchrun starts the processes of engine=torch")
        strange = next((name for name in self.loggers() if name not in LOGGERS), None)
        if strange is not None:
            nearest = did_you_mean(strange, LOGGERS)
            raise CallError(f"log_to={short(self.log_to)}: there are {', '.join(LOGGERS)}{nearest}")

    def loggers(self) -> list[str]:
        """Names of LOGGERS, each once."""
        asked = [name.strip() for name in self.log_to.split(",")] if self.log_to is not None else []
        return list(dict.fromkeys(["tensorboard"] * self.tensorboard + asked))

    @classmethod
    def names(cls) -> list[str]:
        return [f.name for f in fields(cls)]

    def completed(self, preset: Preset, from_scratch: bool = False) -> "Settings":
        """With what the model and its first weights ask for, where nothing is set; files are read.

        Args:
            from_scratch: whether all weights are random at the beginning. A fine-tuning learns more in the same time from a mild
                augmentation and a learning rate that falls to 0; docs/training.md has the measurements.

        Raises:
            CallError: an augmentation that cannot be imported.
        """
        rate = 0.001 if preset.backbone.startswith("vgg") and "_bn" not in preset.backbone else 0.005
        rate = rate / 10 if self.optimizer == "adam" else rate
        usual, schedule = ("ssd", "step") if from_scratch else ("light", "cosine")
        augment = self.augment
        if augment is None:
            augment = usual if preset.augment is None else preset.augment
        if augment not in NAMES:
            augment = as_augmentation(augment)
        if isinstance(augment, Transform):
            augment.function  # noqa: B018 - imported now, not in the first epoch
        return replace(
            self, lr=rate if self.lr is None else self.lr, class_loss=self.class_loss or preset.class_loss, augment=augment,
            schedule=self.schedule or schedule,
        )  # fmt: skip


# What a value may be, by the type of its field, and the words for the message.
_KINDS: dict[str, tuple[Any, str]] = {
    "int": (Integral, "a whole number"), "float": (Real, "a number"), "bool": (bool, "true or false"), "str": (str, "a text"),
    "Path": ((str, Path), "a path"),
}  # fmt: skip


def _kind(field: Any) -> str:
    """The name of the type of a field whose value is set."""
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return kind.removesuffix(" | None").rpartition(".")[2]


def _wrong_type(value: Any, kind: str) -> str | None:
    """What is expected in place of a value of another type than `kind`, one of `_KINDS`; None where it is of that type."""
    allowed, words = _KINDS[kind]
    fits = isinstance(value, allowed) and (kind == "bool" or not isinstance(value, bool))
    return None if fits else f"expected {words}"


def _refusal(value: Any, allowed: Mapping) -> str | None:
    """What is expected in place of a value that is not allowed; None for one that is. NaN is within no bounds."""
    if "choices" in allowed and value not in allowed["choices"]:
        return f"there are {', '.join(allowed['choices'])}{did_you_mean(str(value), allowed['choices'])}"
    below = allowed.get("below", float("inf"))
    if "above" in allowed and not allowed["above"] < value < below:
        return f"expected a number above {allowed['above']}"
    if "minimum" in allowed and not allowed["minimum"] <= value < below:
        less = f" and less than {below}" if "below" in allowed else ""
        return f"expected {allowed['minimum']} or more{less}"
    return None


def _plain(value: Any) -> Any:
    """A value as TOML can hold it; of an augmentation in Python only its import path."""
    if isinstance(value, Augmentation):
        return value.to_table()
    if isinstance(value, Transform) or callable(value):
        return value.path if isinstance(value, Transform) else Transform(value).path
    return str(value) if isinstance(value, Path) else value


def _is_utf8(text: str) -> bool:
    """False for a path that holds other bytes, which Python keeps as surrogates."""
    return text == text.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class Arguments:
    """All arguments of a training, as `args.toml` in its run folder holds them.

    Attributes:
        model: a preset's name, or the path of a table.
        data: a data set; see `ssdzoo.data.load_dataset`.
        out: the run folder.
        split: images to train on.
        val_split: images to evaluate on; None is "val" where there is such a split, or else "held-out": a part of those to train
            on; "none" for none.
        weights: parameter file of the whole network, or a run folder.
        base_weights: file of the backbone, or "none" for random weights; None is the published file of the backbone.
        format: of the data; None recognizes it.
        image_folder: where the images lie that the data name by paths or addresses; None looks around the data.
        settings: the rest.

    Raises:
        CallError: both kinds of weights.
    """

    model: str
    data: Path
    out: Path
    split: str = "train"
    val_split: str | None = None
    weights: Path | None = None
    base_weights: Path | None = None
    format: str | None = None
    image_folder: Path | None = None
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self):
        if self.weights and self.base_weights and str(self.base_weights) != RANDOM:
            raise CallError("weights= fills the whole network, base_weights= its backbone: give one of them")

    @classmethod
    def of(cls, arguments: dict) -> "Arguments":
        """From plain values by name, settings among them.

        Raises:
            CallError: an unknown name, or a value that is not allowed.
        """
        own = [f.name for f in fields(cls) if f.name != "settings"]
        unknown = next((name for name in arguments if name not in own + Settings.names()), None)
        if unknown:
            raise CallError(f"no setting {unknown!r}{did_you_mean(unknown, own + Settings.names())}")
        kinds = {field.name: _kind(field) for field in (*fields(cls), *fields(Settings))}
        values = dict(arguments)
        for name, value in values.items():
            expected = _wrong_type(value, kinds[name]) if name in own and value is not None else None
            if expected:
                raise CallError(f"{name}={short(value)}: {expected}")
            if isinstance(value, (str, Path)) and not str(value).isascii() and not _is_utf8(str(value)):
                raise CallError(f"{name}={short(value)}: not UTF-8, which args.toml is written in; choose another name")
            values[name] = Path(value) if kinds[name] == "Path" and isinstance(value, str) else value
        settings = Settings(**{k: v for k, v in values.items() if k not in own})
        return cls(**{k: v for k, v in values.items() if k in own}, settings=settings)

    def as_toml(self) -> dict:
        """Plain values by name, without those that are not set."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "settings"}
        settings = {name: getattr(self.settings, name) for name in Settings.names()}
        return {k: _plain(v) for k, v in {**own, **settings}.items() if v is not None}
