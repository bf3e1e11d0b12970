"""The rows of metrics.csv in TensorBoard, MLflow and Weights & Biases: callbacks, each a thin layer over its package.

loggers.json in the run folder holds the ids that MLflow and W&B gave the run, so that a resumed training continues there.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ssdzoo.errors import SSDZooError
from ssdzoo.files import read_whole, write_text
from ssdzoo.machine import import_package
from ssdzoo.quote import short
from ssdzoo.train.callbacks import FAILED, FINISHED, INTERRUPTED, STOPPED, Callback, TrainingEnd, TrainingStart
from ssdzoo.train.run import REPORT
from ssdzoo.train.settings import Settings


def make_loggers(settings: Settings) -> list[Callback]:
    """The loggers that the settings ask for.

    Raises:
        SSDZooError: the package of one is not installed; says how to install it.
    """
    return [_LOGGERS[name]() for name in settings.loggers()]


def _numbers(row: dict) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch" and value is not None}


class TensorBoard(Callback):
    """Writes `tensorboard/` in the run folder, by the package tensorboardX.

    Raises:
        SSDZooError: it is not installed.
    """

    def __init__(self) -> None:
        self._package, self._writer = import_package("tensorboardX", "tensorboard"), cast(Any, None)

    def on_start(self, start: TrainingStart) -> None:
        # The next epoch hides what an interrupted training wrote from it on.
        self._writer = self._package.SummaryWriter(str(start.folder / "tensorboard"), purge_step=len(start.rows) + 1)

    def on_epoch(self, row: dict) -> None:
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def on_end(self, end: TrainingEnd) -> None:
        if self._writer:
            self._writer.close()


class MLflow(Callback):
    """A run of MLflow with the arguments, the rows by epoch, and at the end the report. Where it goes is MLflow's to say, by
    MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME; within a run of the caller it is nested.

    Raises:
        SSDZooError: the package mlflow is not installed.
    """

    _STATUS = {FINISHED: "FINISHED", STOPPED: "FINISHED", INTERRUPTED: "KILLED", FAILED: "FAILED"}

    def __init__(self) -> None:
        self._mlflow, self._id = import_package("mlflow", "mlflow"), ""

    def on_start(self, start: TrainingStart) -> None:
        self._folder, known = start.folder, _ids(start.folder).get("mlflow")
        with _starting("mlflow", "MLFLOW_TRACKING_URI"):
            nested = self._mlflow.active_run() is not None
            self._id = self._mlflow.start_run(run_id=known, run_name=start.folder.resolve().name, nested=nested).info.run_id
            if self._id != known:
                _keep_id(start.folder, "mlflow", self._id)
                self._mlflow.log_params({name: value for name, value in start.arguments.items() if value is not None})

    def on_epoch(self, row: dict) -> None:
        self._mlflow.log_metrics(_numbers(row), step=row["epoch"], run_id=self._id)

    def on_end(self, end: TrainingEnd) -> None:
        if not self._id:
            return
        try:
            if end.best_mAP is not None:
                self._mlflow.log_metric("best_mAP", end.best_mAP, run_id=self._id)
            if (self._folder / REPORT).is_file():
                self._mlflow.log_artifact(str(self._folder / REPORT), run_id=self._id)
        finally:
            self._mlflow.end_run(self._STATUS[end.status])


class WandB(Callback):
    """A run of Weights & Biases with the arguments as its config and the rows by epoch. Its variables apply: WANDB_MODE=offline
    writes files alone, WANDB_PROJECT names another project than "ssdzoo", WANDB_DIR another folder than the run's.

    Raises:
        SSDZooError: the package wandb is not installed.
    """

    def __init__(self) -> None:
        self._package, self._run = import_package("wandb", "wandb"), cast(Any, None)

    def on_start(self, start: TrainingStart) -> None:
        known = _ids(start.folder).get("wandb")
        with _starting("wandb", "WANDB_MODE=offline, WANDB_API_KEY"):
            self._run = self._package.init(
                project=os.environ.get("WANDB_PROJECT", "ssdzoo"), name=start.folder.resolve().name, config=start.arguments,
                dir=os.environ.get("WANDB_DIR", str(start.folder)), id=known, resume="allow" if known else None,
            )  # fmt: skip
            self._run.define_metric("*", step_metric="epoch")
        if self._run.id != known:
            _keep_id(start.folder, "wandb", self._run.id)

    def on_epoch(self, row: dict) -> None:
        self._run.log({"epoch": row["epoch"], **_numbers(row)})

    def on_end(self, end: TrainingEnd) -> None:
        if self._run:
            self._run.summary["status"], self._run.summary["best_mAP"] = end.status, end.best_mAP
            self._run.finish(exit_code=0 if end.status in (FINISHED, STOPPED) else 1)


_LOGGERS: dict[str, Callable[[], Callback]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}


@contextmanager
def _starting(name: str, variables: str) -> Iterator[None]:
    """Turns the errors of a package into ours: nothing is trained yet, and the user can decide.

    Raises:
        SSDZooError: the run could not be started there.
    """
    try:
        yield
    except Exception as error:
        why = f"{type(error).__name__}: {short(error, 300)}"
        raise SSDZooError(
            f"log_to={name} could not start a run ({why}); see its variables, such as {variables}, and then continue with "
            "resume=True, with another log_to= or with this one"
        ) from error


def _ids(folder: Path) -> dict[str, Any]:
    """Those of the run folder; {} where there are none.

    Raises:
        SSDZooError: the file is damaged.
    """
    path = folder / "loggers.json"
    if not path.exists():
        return {}
    try:
        ids = json.loads(read_whole(path))
        if not isinstance(ids, dict) or not all(isinstance(value, str) for value in ids.values()):
            raise ValueError("expected texts by name")
        return ids
    except (OSError, ValueError, RecursionError) as error:
        raise SSDZooError(f"{path}: not the ids of loggers ({error}); remove it to log to new runs") from None


def _keep_id(folder: Path, name: str, value: str) -> None:
    write_text(folder / "loggers.json", json.dumps({**_ids(folder), name: value}))
