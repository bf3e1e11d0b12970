"""A whole project on a data set of drawn shapes: draw, fine-tune, evaluate, export, reload, predict."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.data import Dataset, load_dataset
from ssdzoo.demo.shapes import write_shapes
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.export.symbol import export_model
from ssdzoo.files import write_text
from ssdzoo.measure.evaluate import evaluate
from ssdzoo.model_source import resolve
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.load import load
from ssdzoo.progress import Silent
from ssdzoo.report.pictures import draw_detections, picture_grid, save_image
from ssdzoo.train.fine_tune import fine_tune
from ssdzoo.train.run import Run

# A table as a user would write one. An input of 160 pixels is five times as fast as one of 300, and a training from scratch needs
# many steps.
TABLE = """\
backbone = "mobilenet0.25"
base_size = 160
features = ["relu10_fwd", "relu22_fwd", "relu26_fwd"]
filters = [128]
sizes = [24, 40, 64, 96, 140]
ratios = [[1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5]]
"""
PICTURES = 9


def run_quickstart(out: str | Path, epochs: int, contexts: list | None, progress: Silent) -> dict:
    """Does all of it in the folder `out`. An earlier quickstart there is replaced; one that was stopped while it trained, or
    later, goes on.

    Returns:
        {"mAP", "training_s", "picture"}.

    Raises:
        CallError: `out` holds something else.
        SSDZooError: the exported model gives other detections than the trained one.
    """
    out = Path(out)
    data, table = out / "data", out / "quickstart.toml"
    going_on = _is_stopped(out, epochs)
    if going_on:
        progress.say(f"1. {out} holds a quickstart that was stopped: it goes on")
    else:
        _clear(out)
        progress.say(f"1. drawing a data set of textured shapes in {data}")
        write_shapes(data)
        write_text(table, TABLE)
    progress.say(f"2. training a small SSD, described in {table}")
    started = time.perf_counter()
    settings: dict[str, Any] = {"epochs": epochs, "lr": 0.01, "augment": "light", "eval_every": 10, "base_weights": "none"}
    fine_tune(table, data, out / "run", ctx=contexts, progress=progress, resume=going_on, **settings)
    seconds = time.perf_counter() - started
    progress.say("3. evaluating on the test split")
    detector = load(out / "run", ctx=contexts)
    test = load_dataset(data, "test", detector.names)
    result = evaluate(detector, test, progress=progress)
    for name, value in result["AP"].items():
        progress.say(f"   {name:10s} AP {value:.3f}")
    progress.say(f"   VOC07 mAP@0.5 {result['mAP']:.3f}, after {seconds:.0f} s of training")
    progress.say(f"4. exporting to {out / 'export'} and reloading it")
    trained = resolve(out / "run")
    export_model(trained.network(contexts), trained.preset, out / "export")
    picture = _predict(detector, load(out / "export", ctx=contexts), test, out, progress)
    return {"mAP": result["mAP"], "training_s": seconds, "picture": picture}


def _is_stopped(out: Path, epochs: int) -> bool:
    """Whether `out` holds a quickstart that began to train, is not finished, and has no more epochs than are wanted."""
    run, table = Run(out / "run"), out / "quickstart.toml"
    if (out / "quickstart.png").exists() or not (run.folder / "model.toml").is_file() or not table.is_file():
        return False
    return table.read_text("utf-8") == TABLE and (not run.has_state or run.state()["epoch"] <= epochs)


def _clear(out: Path) -> None:
    ours = {"data", "run", "export", "quickstart.toml", "quickstart.png"}
    others = sorted({p.name for p in out.iterdir()} - ours) if out.is_dir() else []
    if others or out.is_file():
        raise CallError(f"{out} holds {', '.join(others) or 'a file'}, which is not a quickstart's: choose another out=")
    shutil.rmtree(out, ignore_errors=True)


def _predict(trained: Detector, exported: Detector, test: Dataset, out: Path, progress: Silent) -> Path:
    paths = [record.image for record in test.records[:PICTURES]]
    before, after = trained(paths), list(exported.stream(paths))
    for path, one, (_, other) in zip(paths, before, after):
        if len(one) != len(other) or not np.allclose(one.boxes, other.boxes, atol=0.01):
            raise SSDZooError(f"the exported model gives other detections than the trained one on {path}")
    picture = out / "quickstart.png"
    save_image(picture, picture_grid([draw_detections(image, found) for image, found in after], columns=3))
    progress.say(f"5. the exported model gives the same detections as the trained one; a picture of them: {picture}")
    return picture
