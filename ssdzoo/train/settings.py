"""What a training may vary, in one place: the command line, `args.toml` and the loop all mean these fields."""

import difflib
from dataclasses import dataclass, fields

from ssdzoo.data.loading.transforms import AUGMENTATIONS
from ssdzoo.errors import CallError

CHOICES = {
    "augment": tuple(AUGMENTATIONS),
    "optimizer": ("sgd", "adam"),
    "schedule": ("step", "cosine", "poly"),
    "class_loss": (None, "ohem", "focal"),
    "box_loss": ("smooth_l1", "giou", "diou"),
    "kvstore": (None, "dist_sync"),
}


@dataclass(frozen=True)
class Settings:
    """Settings of a training.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step of one process, over all its contexts.
        lr: learning rate after the warm-up; None is 0.001 for a VGG without batch norm, else 0.005 (Adam: a tenth of it).
        seed: everything random derives from it.
        workers: processes that prepare images.
        eval_every: epochs between two evaluations.
        augment: a name of `ssdzoo.data.loading.transforms.AUGMENTATIONS`.
        optimizer: "sgd" with `momentum`, or "adam".
        weight_decay: of all weights, or without those of biases and norms (`bias_decay` False).
        schedule: "step", "cosine" or "poly"; see `ssdzoo.train.schedule`.
        warmup_epochs: epochs in which the rate rises linearly.
        clip_norm: largest L2 norm of all gradients together; None for any.
        accumulate: batches per update of the weights.
        ema: decay per update of the moving average of the weights that is evaluated and kept as the best; None for none.
        freeze: first stages of the backbone that stay as they are; see `ssdzoo.train.freeze`.
        freeze_norm: whether all batch norms of the backbone keep their statistics, factors and shifts.
        class_loss: "ohem" or "focal"; None is the preset's.
        box_loss, min_negatives, box_weight: see `ssdzoo.train.loss.MultiBoxLoss`.
        amp: half precision, on GPUs.
        checkpoint_every: steps between two savings within an epoch; None saves at the end of epochs alone.
        patience: evaluations without a better mAP after which the training ends; None for any.
        keep: epochs whose weights stay in `last/`.
        tensorboard: also writes `tensorboard/` in the run folder.
        cache: folder for smaller copies of large photos; None for none.
        kvstore: "dist_sync" trains with other processes; see `ssdzoo launch`.
    """

    epochs: int = 40
    batch_size: int = 8
    lr: float | None = None
    seed: int = 0
    workers: int = 1
    eval_every: int = 5
    augment: str = "ssd"
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_decay: bool = True
    schedule: str = "step"
    warmup_epochs: float = 1.0
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    freeze: int = 0
    freeze_norm: bool = False
    class_loss: str | None = None
    box_loss: str = "smooth_l1"
    min_negatives: int = 3
    box_weight: float = 1.0
    amp: bool = False
    checkpoint_every: int | None = None
    patience: int | None = None
    keep: int = 1
    tensorboard: bool = False
    cache: str | None = None
    kvstore: str | None = None

    def __post_init__(self):
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                near = difflib.get_close_matches(str(value), [k for k in known if k], 1)
                hint = f"; do you mean {near[0]!r}?" if near else ""
                raise CallError(f"{_option(name)} {value}: there are {', '.join(k for k in known if k)}{hint}")
        least = {"epochs": 1, "batch_size": 1, "accumulate": 1, "eval_every": 1, "keep": 1, "checkpoint_every": 1, "patience": 1,
                 "workers": 0, "freeze": 0, "min_negatives": 0, "warmup_epochs": 0, "weight_decay": 0, "momentum": 0,
                 "box_weight": 0, "seed": 0}  # fmt: skip
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not value >= lowest:  # NaN is refused too
                raise CallError(f"{_option(name)} {value}: expected {lowest} or more")
        for name, highest in (("ema", 1), ("momentum", 1)):
            value = getattr(self, name)
            if value is not None and not 0 <= value < highest:
                raise CallError(f"{_option(name)} {value}: expected 0 or more and less than {highest}")
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise CallError(f"{_option(name)} {value}: expected a number above 0")

    @classmethod
    def names(cls) -> list:
        return [f.name for f in fields(cls)]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
