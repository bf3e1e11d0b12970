"""report.html in the run folder, written again after each epoch, so that also a training that was killed leaves one."""

from ssdzoo.files import file_hash
from ssdzoo.machine import machine_summary, versions
from ssdzoo.progress import counted
from ssdzoo.report.page_training import best_row, write_training_page
from ssdzoo.train.callbacks import FAILED, FINISHED, INTERRUPTED, Callback, TrainingEnd, TrainingStart
from ssdzoo.train.run import REPORT, Run

_PACKAGES = {"mxnet": ("mxnet", "gluoncv"), "torch": ("torch",)}
_DATA = ("data", "split", "val_split", "format", "image_folder")


class RunReport(Callback):
    """Writes the page; see `ssdzoo.report.page_training`."""

    def on_start(self, start: TrainingStart) -> None:
        self._start, self._rows = start, list(start.rows)
        engine = start.arguments.get("engine", "mxnet")
        self._versions = versions((*_PACKAGES[engine], "numpy", "opencv-python"))

    def on_epoch(self, row: dict) -> None:
        self._rows.append(row)
        planned = self._start.arguments["epochs"]
        if len(self._rows) < planned:
            self._write((f"The training goes on: {len(self._rows)} of {counted(planned, 'epoch')} are complete.", False))

    def on_end(self, end: TrainingEnd) -> None:
        done = f"{len(end.rows)} of {counted(self._start.arguments['epochs'], 'epoch')}"
        notes = {
            FAILED: f"The training failed after {done}: {end.error}",
            INTERRUPTED: f"The training was interrupted after {done}. It can be resumed.",
        }
        kept = best_row(end.rows)
        which = f"epoch {kept['epoch']}, which has the best mAP" if kept else "the last epoch, as no epoch was evaluated"
        good = f"The training ended after {done}. best.params holds the weights of {which}."
        note = notes.get(end.status) or (good if end.status == FINISHED else f"{good} It ended early: patience or a callback.")
        best = Run(self._start.folder).best
        files = [{"path": str(best), "sha256": file_hash(best)}] if best.is_file() else []
        self._rows = list(end.rows)
        self._write((note, end.status == FAILED), files)

    def _write(self, note: tuple[str, bool], files: list | None = None) -> None:
        start, arguments = self._start, self._start.arguments
        about = {
            **{name: arguments[name] for name in _DATA if arguments.get(name) is not None},
            "images to train on": start.train_images, "images to evaluate on": start.val_images,
            "classes": list(start.preset.classes or ()),
        }  # fmt: skip
        preset = start.preset
        model = {
            "model": preset.name, "backbone": preset.backbone, "input size": preset.base_size,
            **{name: arguments[name] for name in ("weights", "base_weights") if name in arguments},
        }  # fmt: skip
        settings = {k: v for k, v in arguments.items() if k not in (*_DATA, "model", "out", "weights", "base_weights")}
        tables = {
            "Data": about, "Model": model, "Settings": settings, "Versions and machine": {**self._versions, **machine_summary()}
        }  # fmt: skip
        name = start.folder.resolve().name
        write_training_page(start.folder / REPORT, name, self._rows, tables, files or (), note)
