"""The run folder: what a training leaves behind, and from where it continues.

model.toml    the whole preset with classes, mean, std and suppression
args.toml     the arguments of the training
best.params   weights of the best epoch by mAP (of the last epoch where there is no validation split)
last/         weights, optimizer, moving average and progress; `state.json` is written last and names the others
metrics.csv   one row per epoch
"""

import csv
import io
import json
from contextlib import contextmanager
from pathlib import Path

import tomli_w

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.files import write_text
from ssdzoo.formats.params_file import write_params

COLUMNS = ("epoch", "lr", "loss", "cls_loss", "box_loss", "images_per_s", "data_wait_s", "mAP")


class Run:
    """One training's folder.

    Args:
        folder: made where it is missing.
        resume: continues a training that is there; otherwise such a folder is refused.
        keep: epochs whose weights stay in `last/`.

    Raises:
        CallError: the folder holds a training already, or none to resume.
    """

    def __init__(self, folder, resume: bool = False, keep: int = 1):
        self.folder, self._keep = Path(folder), keep
        self._last = self.folder / "last"
        if resume and not (self.folder / "args.toml").is_file():
            raise CallError(f"{self.folder}: nothing to resume, there is no args.toml of a training")
        if not resume and (self.folder / "model.toml").exists():
            raise CallError(f"{self.folder} holds a training already: choose another --out, or continue it with --resume")
        if resume:
            self._remove_unfinished()
        else:
            self._refuse_others()

    def _refuse_others(self) -> None:
        """A folder with folders in it, but for a run's own, belongs to something else, such as a data set."""
        if not self.folder.is_dir() or (self.folder / "args.toml").is_file():
            return
        other = next((p for p in sorted(self.folder.iterdir()) if p.is_dir() and not p.name.startswith(".")), None)
        if other:
            raise CallError(f"{self.folder} holds something else, such as {other.name}/: choose a new folder for --out")

    def _remove_unfinished(self) -> None:
        """What a killed process was writing; see `ssdzoo.files.replacing`."""
        for folder in (self.folder, self._last):
            for path in folder.glob(".*.*.*"):
                if path.suffix in (".params", ".states", ".ema", ".json", ".csv", ".toml", ".npz"):
                    path.unlink()

    @property
    def has_state(self) -> bool:
        """Whether anything was saved; a training that was killed before that resumes at its beginning."""
        return (self._last / "state.json").is_file()

    @property
    def best(self) -> Path:
        return self.folder / "best.params"

    def begin(self, preset, arguments: dict) -> None:
        """Writes the preset and the arguments of a new training."""
        write_text(self.folder / "args.toml", tomli_w.dumps({k: v for k, v in arguments.items() if v is not None}))
        write_text(self.folder / "model.toml", preset.to_toml())

    def state(self) -> dict:
        """Progress at the last saving: epoch (complete ones), step (of the next one), best_map, rows of metrics.csv, and what
        else the loop put there.

        Raises:
            SSDZooError: the file was damaged.
        """
        path = self._last / "state.json"
        try:
            state = json.loads(path.read_text("utf-8"))
            return {**state, "epoch": int(state["epoch"]), "step": int(state["step"])}
        except (ValueError, KeyError, TypeError) as error:
            raise SSDZooError(f"{path}: damaged ({error}), so the training cannot go on; begin anew with --weights") from None

    def last_files(self, state: dict) -> dict:
        """Paths of the files that go with a state: "params", "states" and "ema" (which exists where there is one)."""
        stem = f"{state['epoch']:04d}" + (f"-{state['step']:06d}" if state["step"] else "")
        return {kind: self._last / f"{stem}.{kind}" for kind in ("params", "states", "ema")}

    def save_last(self, arrays: dict, state: dict) -> None:
        """Saves progress. What was saved before is removed once this is complete.

        Args:
            arrays: {kind of `last_files`: {name: numpy array}}.
            state: see `state`; its rows become metrics.csv.
        """
        files = self.last_files(state)
        with self._telling():
            for kind, content in arrays.items():
                write_params(files[kind], content)
            if state["step"] == 0:
                self._write_metrics(state["rows"])
            write_text(self._last / "state.json", json.dumps(state))
        kept = {files[kind] for kind in arrays}
        complete = sorted(p for p in self._last.glob("*.params") if "-" not in p.stem)
        kept.update(complete[-self._keep :])
        for old in self._last.iterdir():
            if old.suffix in (".params", ".states", ".ema") and old not in kept:
                old.unlink()

    def save_best(self, weights: dict) -> None:
        with self._telling():
            write_params(self.best, weights)

    @contextmanager
    def _telling(self):
        try:
            yield
        except OSError as error:
            raise SSDZooError(
                f"{error.filename or self.folder} cannot be written: {error.strerror}; what was saved before is whole, so make "
                "room and continue with --resume"
            ) from error

    def _write_metrics(self, rows: list) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(self.folder / "metrics.csv", text.getvalue())
