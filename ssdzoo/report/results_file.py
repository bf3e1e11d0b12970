"""A file of results, one JSON object a line, that a process may be killed at any time while it writes.

A line holds what `detections.json` says of an image, or {"image", "error"} of one that cannot be read. Beside it lies
`FILE.settings.json` with what the results depend on, so that a file never holds those of two models.
"""

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError, DataError, SSDZooError
from ssdzoo.files import lock, open_file, read_whole, write_text
from ssdzoo.model_source import ModelSource
from ssdzoo.predict.sharding import Shard
from ssdzoo.predict.views import Views
from ssdzoo.quote import brief

LONGEST_LINE = 1 << 26  # bytes


def results_settings(source: ModelSource, score: float, shard: Shard | None = None, precision: str = "auto",
                     views: Views | None = None) -> dict[str, Any]:  # fmt: skip
    """What the results of a model depend on; see `ResultsFile`. Runtimes are not part of it: their answers are the same but for
    rounding.

    Args:
        source: the model.
        score, shard, precision, views: as those of the prediction.
    """
    digest = source.located().digest()[:16]
    settings = {"model digest": digest, "score": score, "shard": None if shard is None else str(shard), "precision": precision}
    return {**settings, "views": views.to_dict()} if views else settings


class ResultsFile:
    """Opens a file of results to append to it. It is closed at the end of a `with` block.

    Attributes:
        done: {name of an image: number of its lines}: 1, or the number of frames of a video; those that were there already.
        failed: names of images that are in the file with an error.

    Args:
        path: the file; its folder is made where it is missing.
        settings: what the results depend on, plain values by name, such as `results_settings`.
        resume: continue a file that is there. A last line that is not whole, of a process that was killed, is removed.

    Raises:
        CallError: the file is there and `resume` is False; it was written with other settings, or by something else; another
            process is writing it.
        DataError: a line of the file that is no result.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], resume: bool = False):
        self.path, self._settings_file = Path(path), Path(f"{path}.settings.json")
        self.done: dict[str, int] = {}
        self.failed: set[str] = set()
        self._file = self._open(resume)
        try:
            if not lock(self._file.fileno()):
                raise CallError(f"another process is writing {self.path}: wait for its end, or choose another jsonl=")
            if os.fstat(self._file.fileno()).st_size:
                self._check_settings(settings)
                self._file.truncate(self._read())
            else:
                write_text(self._settings_file, json.dumps(settings, indent=1))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "ResultsFile":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        with contextlib.suppress(OSError):  # of a disk that is full: `add` has said it
            self._file.close()

    def add(self, result: dict) -> None:
        """Writes a line. It is in the file when this returns, also where the process is killed then.

        Raises:
            SSDZooError: it cannot be written, such as on a full disk; says how to go on.
        """
        try:
            self._file.write(json.dumps(result).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            why = f"{self.path} cannot be written: {error.strerror}"
            raise SSDZooError(f"{why}; what it holds is kept, so make room and continue with resume=True") from error
        self._count(result)

    def _count(self, result: dict) -> None:
        if "error" in result:
            self.failed.add(result["image"])

    def _open(self, resume: bool) -> Any:
        if resume and self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
            raise CallError(f"{self.path} is not a file: choose another jsonl=")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return open(self.path, "ab" if resume else "xb")
        except FileExistsError as error:
            if error.filename != str(self.path):  # a file where its folder should be
                raise
            raise CallError(f"{self.path} is there already: continue it with resume=True, or choose another jsonl=") from None
        except ValueError:
            raise CallError(f"{brief(str(self.path))}: no file can have this name: choose another jsonl=") from None

    def _check_settings(self, settings: dict[str, Any]) -> None:
        try:
            before = json.loads(read_whole(self._settings_file))
            if not isinstance(before, dict):
                raise ValueError
        except (OSError, ValueError):
            why = f"{self._settings_file} is missing or damaged, which says what it was written with"
            raise CallError(f"{self.path} cannot be continued: {why}; choose another jsonl=") from None
        for name in {**settings, **before}:
            if before.get(name) != settings.get(name):
                what = f"with {name} {brief(before.get(name))}, not {brief(settings.get(name))}"
                raise CallError(f"{self.path} was written {what}: continue it with the same, or choose another jsonl=")

    def _read(self) -> int:
        """Reads what is done; returns where the last whole line ends."""
        end = 0
        with open_file(self.path) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
                if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                    break
                try:
                    result = json.loads(line)
                    name = result["image"]
                    if not isinstance(name, str):
                        raise ValueError
                except (ValueError, LookupError, TypeError, RecursionError):
                    remedy = "remove this line, and its image is predicted again"
                    raise DataError(f"{self.path}: line {number} is no result, it is {brief(line)}; {remedy}") from None
                self.done[name] = self.done.get(name, 0) + 1
                self._count(result)
                end += len(line)
        return end
