"""The run folder by itself: what it refuses, keeps and removes."""

import numpy as np
import pytest

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.preset import check_preset
from ssdzoo.train.run import Run

PRESET = check_preset({
    "name": "small", "backbone": "mobilenet0.25", "base_size": 64, "features": ["relu10_fwd"], "filters": [], "sizes": [12, 24],
    "ratios": [[1, 2, 0.5]], "classes": ["a"],
}, "test")  # fmt: skip


def begun(folder, keep=1):
    with Run.new(folder, keep) as run:
        run.begin(PRESET, {"model": "small", "lr": 0.1, "ema": None})
    return run


def test_two_trainings_at_once_do_not_share_a_folder(tmp_path):
    ours = "another process trains in .*run: wait for its end, or choose another out="
    late = Run.new(tmp_path / "run")
    with Run.new(tmp_path / "run") as run:
        run.begin(PRESET, {"model": "small"})
        writing = run.folder / ".best.77.params"
        writing.write_text("half")
        for call in (lambda: late.begin(PRESET, {"model": "large"}), Run.resume(run.folder).lock):
            with pytest.raises(CallError, match=ours):
                call()
        assert writing.exists() and run.arguments() == {"model": "small"}
    with late, pytest.raises(CallError, match="holds a training already"):
        late.begin(PRESET, {"model": "large"})
    with Run.resume(run.folder) as run:
        run.lock()
    assert not writing.exists() and run.arguments() == {"model": "small"}


def test_files_of_others_are_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Run.new(tmp_path)
    (tmp_path / "best.params").write_text("mine")
    with pytest.raises(CallError, match="holds something else, such as best.params: choose a new folder for out="):
        Run.new(tmp_path)


def test_only_resuming_removes_what_a_killed_process_was_writing(tmp_path):
    run = begun(tmp_path / "run")
    run.save_last({"params": {"w": np.zeros(1)}, "states": {}}, {"epoch": 1, "step": 0, "rows": []})
    left = [run.folder / ".best.77.params", run.folder / "last" / ".0002.77.ema"]
    for path in left:
        path.write_text("half")
    Run(run.folder)
    with pytest.raises(CallError, match="holds a training already: choose another out=, or continue it with resume=True"):
        Run.new(run.folder)
    assert all(path.exists() for path in left)
    with Run.resume(run.folder) as run:
        assert run.arguments() == {"model": "small", "lr": 0.1}
        run.lock()
    assert not any(path.exists() for path in left)


def test_nothing_is_written_before_a_training_begins(tmp_path):
    Run.new(tmp_path / "run")
    with pytest.raises(CallError, match="nothing to resume"):
        Run.resume(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_saved_last_and_the_last_epochs(tmp_path):
    run = begun(tmp_path / "run", keep=2)
    for epoch in (1, 2, 3):
        arrays = {"params": {"w": np.full(1, epoch)}, "states": {"w:0": np.full(2, epoch)}, "ema": {"w": np.full(1, -epoch)}}
        run.save_last(arrays, {"epoch": epoch, "step": 0, "rows": [], "best_map": None, "sums": {}})
    assert sorted(p.name for p in (run.folder / "last").iterdir()) == [
        "0002.params", "0003.ema", "0003.params", "0003.states", "state.json",
    ]  # fmt: skip
    found = run.last_arrays(run.state())
    assert {kind: {name: a.tolist() for name, a in arrays.items()} for kind, arrays in found.items()} == {
        "states": {"w:0": [3, 3]}, "ema": {"w": [-3]},
    }  # fmt: skip


@pytest.mark.parametrize("text, why", [
    ("", "Expecting value"), ("[]", "list indices"), ("[" * 100_000, "recursion"), ("\0", "byte 0 is zero"),
    ('{"epoch": 1}', "'step'"),
    ('{"epoch": 1e400, "step": 0, "rows": [], "best_map": null, "sums": {}}', "'epoch' is inf"),
    ('{"epoch": 1, "step": 0, "rows": [5], "best_map": null, "sums": {}}', "its rows are not those of metrics.csv"),
    ('{"epoch": 1, "step": 0, "rows": [], "best_map": "x", "sums": {}}', "'best_map' is 'x'"),
])  # fmt: skip
def test_damaged_progress_says_why(text, why, tmp_path):
    run = begun(tmp_path / "run")
    (run.folder / "last").mkdir()
    (run.folder / "last" / "state.json").write_text(text)
    with pytest.raises(SSDZooError, match=f"state.json: damaged .*{why}.*start another one from its weights="):
        run.state()
