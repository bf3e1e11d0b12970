"""What a step whose loss was not finite leaves behind, and how to repeat it.

failed/step.npz        images, boxes and class_ids of the batch; paths of its images; epoch, step, learning rate
failed/weights.params  the weights that met them
"""

from pathlib import Path

import numpy as np

from ssdzoo.errors import CallError
from ssdzoo.files import replacing
from ssdzoo.formats.params_file import write_params
from ssdzoo.train.settings import Settings


def save_failure(folder, weights: dict, batch, paths: list, epoch: int, step: int, rate: float) -> Path:
    """Writes both files; returns their folder.

    Args:
        folder: the run folder.
        weights: {attribute path: array} of the network.
        batch: a Batch; paths: of its images; epoch and step: counted from 1.
    """
    folder = Path(folder) / "failed"
    write_params(folder / "weights.params", weights)
    with replacing(folder / "step.npz") as temporary:
        np.savez_compressed(
            temporary, images=batch.images, boxes=batch.boxes, class_ids=batch.class_ids, paths=[str(p) for p in paths],
            epoch=epoch, step=step, rate=rate,
        )  # fmt: skip
    return folder


def repeat_failure(run) -> dict:
    """Computes the step's losses again: {"class_loss": (B,), "box_loss": (B,), "divisor": (B,), "paths": [str]}, by image.

    Args:
        run: a run folder that holds `failed/`.

    Raises:
        CallError: it does not.
    """
    from ssdzoo.build import get_model
    from ssdzoo.preset import read_preset, read_toml
    from ssdzoo.runtime import mxnet
    from ssdzoo.train.trainer import training_graph

    folder = Path(run) / "failed"
    if not (folder / "step.npz").is_file():
        raise CallError(f"{folder}: no step.npz, so no step of this run has failed")
    mx = mxnet()
    arguments = read_toml(Path(run) / "args.toml")
    settings = Settings(**{k: v for k, v in arguments.items() if k in Settings.names()})
    preset = read_preset(Path(run) / "model.toml")
    net = get_model(preset, pretrained=folder / "weights.params")
    with np.load(folder / "step.npz") as saved:
        batch = [mx.nd.array(saved[k], dtype=saved[k].dtype) for k in ("images", "boxes", "class_ids")]
        paths = [str(p) for p in saved["paths"]]
    with mx.autograd.record():
        losses = training_graph(net, preset, settings)(*batch)
    return {**dict(zip(("class_loss", "box_loss", "divisor"), (v.asnumpy() for v in losses))), "paths": paths}
