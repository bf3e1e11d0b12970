"""The run folder: what a training leaves behind, and from where it continues.

model.toml    the whole preset with classes, mean, std and suppression
args.toml     the arguments of the training
best.params   weights of the best epoch by mAP (of the last epoch where there is no validation split)
last/         weights, optimizer and progress of the last epoch; `state.json` is written last and names the others
metrics.csv   one row per epoch
"""

import csv
import io
import json
from pathlib import Path

import tomli_w

from ssdzoo.errors import CallError
from ssdzoo.files import replacing, write_text

COLUMNS = ("epoch", "lr", "loss", "cls_loss", "box_loss", "images_per_s", "data_wait_s", "mAP")


class Run:
    """One training's folder.

    Args:
        folder: made where it is missing.
        resume: continues a training that is there; otherwise such a folder is refused.

    Raises:
        CallError: the folder holds a training already, or none to resume.
    """

    def __init__(self, folder, resume: bool = False):
        self.folder = Path(folder)
        self._state_file = self.folder / "last" / "state.json"
        if resume and not self._state_file.is_file():
            raise CallError(f"{self.folder}: nothing to resume, there is no last/state.json")
        if not resume and (self.folder / "model.toml").exists():
            raise CallError(f"{self.folder} holds a training already: choose another --out, or continue it with --resume")

    @property
    def best(self) -> Path:
        return self.folder / "best.params"

    def begin(self, preset, arguments: dict) -> None:
        """Writes the preset and the arguments of a new training."""
        write_text(self.folder / "args.toml", tomli_w.dumps({k: v for k, v in arguments.items() if v is not None}))
        write_text(self.folder / "model.toml", preset.to_toml())

    def state(self) -> dict:
        """Progress at the end of the last complete epoch: epoch, step, best_map, rows of metrics.csv."""
        return json.loads(self._state_file.read_text("utf-8"))

    def last_files(self, epoch: int) -> tuple:
        """Weights and optimizer state at the end of an epoch."""
        return tuple(self.folder / "last" / f"{epoch:04d}.{kind}" for kind in ("params", "states"))

    def save_last(self, net, trainer, state: dict) -> None:
        """Saves the end of an epoch; the epoch before is removed once this one is complete."""
        weights, optimizer = self.last_files(state["epoch"])
        with replacing(weights) as temporary:
            net.save_parameters(str(temporary))
        with replacing(optimizer) as temporary:
            trainer.save_states(str(temporary))
        self._write_metrics(state["rows"])
        write_text(self._state_file, json.dumps(state))
        for old in self._state_file.parent.glob("[0-9]*.*"):
            if old not in (weights, optimizer):
                old.unlink()

    def save_best(self, net) -> None:
        with replacing(self.best) as temporary:
            net.save_parameters(str(temporary))

    def _write_metrics(self, rows: list) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(self.folder / "metrics.csv", text.getvalue())
