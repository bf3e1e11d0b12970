"""The recipe for Ray, on a cluster of two workers of which one is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssdzoo.predict.load import load
from ssdzoo.predict.sources import list_names
from ssdzoo.report.predictions import append_predictions
from ssdzoo.report.results_file import ResultsFile
from tests.networks import small_network
from tests.report.test_predictions import PRESET
from tests.tools.scripts import load_script

RECIPE = Path(__file__).resolve().parents[2] / "tools" / "recipes" / "ray_predict.py"
COUNT = 400
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install -e '.[ray]'"),
]


def workers_of(process: int) -> list[int]:
    """The actors of Ray among the descendants of a process."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
        except (OSError, IndexError):  # it has ended
            continue
    found, waiting = set(), [process]
    while waiting:
        parent = waiting.pop()
        children = [child for child, of in parents.items() if of == parent]
        waiting += children
        found.update(child for child in children if names[child].startswith(b"ray::") and b"Predictor" in names[child])
    return sorted(found)


def test_a_killed_worker_loses_and_doubles_nothing(tmp_path):
    photos, run, out = tmp_path / "photos", tmp_path / "run", tmp_path / "out.jsonl"
    photos.mkdir()
    run.mkdir()
    for number in range(COUNT):
        cv2.imwrite(str(photos / f"{number:04d}.png"), np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8))
    for number in (3, 333):
        (photos / f"{number:04d}.png").write_bytes(b"no image")
    (run / "model.toml").write_text(PRESET.to_toml())
    small_network().save_parameters(str(run / "best.params"))
    command = [sys.executable, str(RECIPE), str(run), str(photos), "--out", str(out), "--workers", "2", "--score", "0.1"]
    command += ["--parquet", str(tmp_path / "out.parquet")]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([*command, "--backend", "onnxruntime"], stdout=log, stderr=log)
        killed = None
        while process.poll() is None and not killed:
            time.sleep(0.05)
            if out.exists() and 0 < out.read_bytes().count(b"\n") < COUNT // 2:
                first, _ = workers_of(process.pid)
                os.kill(first, signal.SIGKILL)
                killed = first
        assert process.wait(900) == 1 and killed, (tmp_path / "log").read_text()[-3000:]
    assert f"2 of {COUNT} images could not be read" in (tmp_path / "log").read_text()
    with ResultsFile(tmp_path / "alone.jsonl", {}) as file:
        append_predictions(load(run, "onnxruntime"), list_names([photos]), file, 0.1)
    lines, alone = ([json.loads(line) for line in path.read_text().splitlines()] for path in (out, tmp_path / "alone.jsonl"))
    assert len(lines) == COUNT
    lines, alone = ({line["image"]: line for line in both} for both in (lines, alone))
    assert lines.keys() == alone.keys() and len(alone) == COUNT
    for name, line in lines.items():
        assert line.get("error") == alone[name].get("error")
        scores, expected = ([d["score"] for d in entry.get("detections", ())] for entry in (line, alone[name]))
        assert scores == pytest.approx(expected, abs=1e-5)
    assert {row["image"]: row for row in read_rows(tmp_path / "out.parquet")} == lines


def read_rows(path: Path) -> list[dict]:
    """The rows of a Parquet file as lines of JSON have them."""
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def test_parquet(tmp_path):
    box = {"class": "a", "class_id": 0, "score": 0.654321, "box": [1.01, 2.0, 30.25, 40.99]}
    rows = [
        {"image": "none é.jpg", "width": 5, "height": 4, "detections": []},
        {"image": "no image.jpg", "error": "no image: no image.jpg"},
        {"image": "video.mp4", "frame": 7, "width": 640, "height": 480, "detections": [box, box]},
    ]
    bad_name = {"image": "\udcff.jpg", "width": 1, "height": 1, "detections": []}  # a byte that is not UTF-8
    lines, table = tmp_path / "found.jsonl", tmp_path / "found.parquet"
    lines.write_text("".join(json.dumps(row) + "\n" for row in [*rows, bad_name]))
    script = load_script("recipes/ray_predict")
    for size in (10_000, 2):
        script._ROWS = size
        script.write_parquet(lines, table)
        assert read_rows(table) == [*rows, {**bad_name, "image": "\\xff.jpg"}]
    assert sorted(tmp_path.iterdir()) == [lines, table]
