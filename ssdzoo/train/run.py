"""The run folder: what a training leaves behind, and from where it continues.

model.toml    the whole preset with classes, mean, std and NMS
args.toml     the arguments of the training
heads.json    the symbol of the head outputs, of a training with torch: the run is used without mxnet
best.params   weights of the best epoch by mAP (of the last epoch where there is no validation split)
last/         weights, optimizer, moving average and progress; `state.json` is written last and names the others
metrics.csv   one row per epoch
report.html   its curves, the settings and the versions; see `ssdzoo.train.run_report`
loggers.json  ids of the run in MLflow and W&B, where it is logged there
failed/       a step whose loss was not finite, if there was one; see `ssdzoo.train.failed_step`
"""

import csv
import io
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.exported_files import HEADS
from ssdzoo.files import lock_folder, read_whole, write_text
from ssdzoo.formats.params_file import read_params, write_params
from ssdzoo.preset import Preset
from ssdzoo.quote import brief, short
from ssdzoo.toml_file import read_toml

# What `state.json` holds: {name: the types that it may have}.
_STATE: dict[str, Any] = {"epoch": int, "step": int, "rows": list, "best_map": (int, float, type(None)), "sums": dict}
REPORT = "report.html"
_OWN = {HEADS, "best.params", "metrics.csv", REPORT}  # that would be replaced
COLUMNS = ("epoch", "lr", "loss", "cls_loss", "box_loss", "images_per_s", "data_wait_s", "mAP")


class Run:
    """One training's folder. Making the object changes nothing on disk. The end of a `with` block gives up its lock.

    Args:
        folder: the folder; made when something is first written.
        keep: epochs whose weights stay in `last/`.
    """

    def __init__(self, folder: str | Path, keep: int = 1):
        self.folder, self._keep = Path(folder), keep
        self._last = self.folder / "last"
        self._descriptor: int | None = None  # of the locked folder

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @classmethod
    def new(cls, folder: str | Path, keep: int = 1) -> "Run":
        """A folder for a new training.

        Raises:
            CallError: the folder holds a training, or something else.
        """
        run = cls(folder, keep)
        run._refuse_training()
        if run.folder.is_dir() and not run._arguments_file.is_file():  # a training that was killed before it began may be there
            there = [p for p in sorted(run.folder.iterdir()) if not p.name.startswith(".")]
            other = next((p.name + "/" * p.is_dir() for p in there if p.is_dir() or p.name in _OWN), None)
            if other:
                raise CallError(f"{folder} holds something else, such as {other}: choose a new folder for out=")
        return run

    @classmethod
    def resume(cls, folder: str | Path, keep: int = 1) -> "Run":
        """The folder of a training that goes on.

        Raises:
            CallError: the folder holds no training.
        """
        run = cls(folder, keep)
        run.arguments()
        return run

    def _refuse_training(self) -> None:
        if (self.folder / "model.toml").exists():
            raise CallError(f"{self.folder} holds a training already: choose another out=, or continue it with resume=True")

    def lock(self) -> None:
        """Keeps other trainings out of the folder, and removes what a killed one was writing; see `ssdzoo.files.replacing`.

        Raises:
            CallError: a training that runs has locked it.
        """
        if os.name == "posix":  # elsewhere folders cannot be opened
            self._descriptor = lock_folder(self.folder)
            if self._descriptor is None:
                raise CallError(f"another process trains in {self.folder}: wait for its end, or choose another out=")
        for part in (self.folder, self._last):
            for path in part.glob(".*.*.*"):
                if path.suffix in (".params", ".states", ".ema", ".json", ".csv", ".toml", ".npz", ".html"):
                    path.unlink()

    @property
    def _arguments_file(self) -> Path:
        return self.folder / "args.toml"

    def arguments(self) -> dict:
        """The arguments that the training began with, plain values by name.

        Raises:
            CallError: there are none, or they cannot be read.
        """
        if not self._arguments_file.is_file():
            raise CallError(f"{self.folder}: nothing to resume, there is no args.toml of a training")
        return read_toml(self._arguments_file)

    @property
    def has_state(self) -> bool:
        """Whether anything was saved; a training that was killed before that resumes at its beginning."""
        return (self._last / "state.json").is_file()

    @property
    def best(self) -> Path:
        return self.folder / "best.params"

    def symbol(self) -> str:
        """The JSON of the head outputs, of a training with torch.

        Raises:
            SSDZooError: the file is missing or cannot be read.
        """
        try:
            return read_whole(self.folder / HEADS).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SSDZooError(f"{self.folder / HEADS}: cannot be read ({error}), so the training cannot go on") from None

    def begin(self, preset: Preset, arguments: dict, symbol: str | None = None) -> None:
        """Writes the preset, the arguments and, where there is one, the symbol of a new training.

        Raises:
            CallError: another one has begun in the folder in the meantime.
        """
        if self._descriptor is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock()
            self._refuse_training()
        if symbol:
            write_text(self.folder / HEADS, symbol)
        write_text(self._arguments_file, tomli_w.dumps({k: v for k, v in arguments.items() if v is not None}))
        write_text(self.folder / "model.toml", preset.to_toml())

    def state(self) -> dict:
        """Progress at the last saving: epoch (complete ones), step (of the next one), best_map, rows of metrics.csv, and what
        else the trainer put there.

        Raises:
            SSDZooError: the file was damaged.
        """
        try:
            state = json.loads(read_whole(self._last / "state.json"))
            wrong = next((key for key, kinds in _STATE.items() if not isinstance(state[key], kinds)), None)
            if wrong:
                raise ValueError(f"{wrong!r} is {brief(state[wrong])}")
            if any(not isinstance(row, dict) or row.keys() != set(COLUMNS) for row in state["rows"]):
                raise ValueError("its rows are not those of metrics.csv")
            return state
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise self.damaged(getattr(error, "strerror", None) or short(error, 200)) from None

    def damaged(self, why: str) -> SSDZooError:
        """The error of progress that cannot be continued."""
        return SSDZooError(
            f"{self._last / 'state.json'}: damaged ({why}), so the training cannot go on; start another one from its weights="
        )

    def last_files(self, state: dict) -> dict:
        """Paths of the files that go with a state: "params" (weights), "states" (optimizer), "ema" (moving average, if any)."""
        stem = f"{state['epoch']:04d}" + (f"-{state['step']:06d}" if state["step"] else "")
        return {kind: self._last / f"{stem}.{kind}" for kind in ("params", "states", "ema")}

    def last_arrays(self, state: dict) -> dict:
        """What `save_last` was given with a state, but for the weights: {kind: {name: numpy array}}."""
        files = self.last_files(state)
        return {kind: read_params(files[kind]) for kind in ("states", "ema") if kind == "states" or files[kind].exists()}

    def save_last(self, arrays: dict, state: dict) -> None:
        """Saves progress. What was saved before is removed once this is complete.

        Args:
            arrays: {kind of `last_files`: {name: numpy array}}.
            state: see `state`; its rows become metrics.csv.
        """
        files = self.last_files(state)
        with self._explained():
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
        with self._explained():
            write_params(self.best, weights)

    @contextmanager
    def _explained(self):
        try:
            yield
        except OSError as error:
            raise SSDZooError(
                f"{error.filename or self.folder} cannot be written: {error.strerror}; what was saved before is whole, so make "
                "room and continue with resume=True"
            ) from error

    def _write_metrics(self, rows: list) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(self.folder / "metrics.csv", text.getvalue())
