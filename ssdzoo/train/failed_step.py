"""What a step whose loss was not finite leaves in the run folder, and how to repeat it.

failed/step.npz        images, boxes and class_ids of the batch; paths of its images; epoch, step, learning rate
failed/weights.params  the weights before that step
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssdzoo.data.loading.loader import Batch
from ssdzoo.errors import CallError
from ssdzoo.files import DAMAGED_ARCHIVE, open_file, replacing
from ssdzoo.formats.params_file import write_params
from ssdzoo.quote import short


@dataclass(frozen=True)
class FailedStep:
    """A batch that gave a loss which is not finite.

    Attributes:
        batch: the batch; `paths`: of its images.
        epoch, step: counted from 1.
        rate: the learning rate.
        weights: {attribute path: array} of the network.
    """

    batch: Batch
    paths: list
    epoch: int
    step: int
    rate: float
    weights: dict[str, np.ndarray]

    def save(self, run: str | Path) -> Path:
        """Writes both files into a run folder; returns their folder."""
        folder, batch = Path(run) / "failed", self.batch
        write_params(folder / "weights.params", self.weights)
        with replacing(folder / "step.npz") as temporary:
            np.savez_compressed(
                temporary, images=batch.images, boxes=batch.boxes, class_ids=batch.class_ids, paths=list(map(str, self.paths)),
                epoch=self.epoch, step=self.step, rate=self.rate,
            )  # fmt: skip
        return folder


def repeat_failed_step(run: str | Path) -> dict:
    """Computes the losses of a failed step again, image by image.

    Args:
        run: a run folder that holds `failed/`.

    Returns:
        {"class_loss": (B,), "box_loss": (B,), "divisor": (B,), "paths": [str]}; see `ssdzoo.train.mxnet.loss.MultiBoxLoss`.

    Raises:
        CallError: no step of the run has failed, or what it left is damaged.
    """
    from ssdzoo.preset import read_preset
    from ssdzoo.train.frameworks import framework
    from ssdzoo.train.run import Run
    from ssdzoo.train.settings import Arguments

    folder = Path(run) / "failed"
    if not (folder / "step.npz").is_file():
        raise CallError(f"{folder}: no step.npz, so no step of this run has failed")
    settings = Arguments.of(Run(run).arguments()).settings
    preset = read_preset(Path(run) / "model.toml")
    try:
        with open_file(folder / "step.npz") as opened, np.load(opened) as saved:
            images, boxes, ids, names = (saved[k] for k in ("images", "boxes", "class_ids", "paths"))
    except (*DAMAGED_ARCHIVE, OSError, LookupError) as error:
        raise CallError(f"{folder / 'step.npz'}: not what a failed step leaves, or damaged ({short(error, 100)})") from None
    batch = Batch(images, boxes, ids, np.arange(len(images)))
    losses = framework(settings.engine).image_losses(Run(run), preset, settings, batch, folder / "weights.params")
    return {**losses, "paths": list(map(str, names))}
