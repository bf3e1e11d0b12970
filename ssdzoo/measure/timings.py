"""What `ssdzoo benchmark` measured on this machine, kept for `ssdzoo models`."""

import json
import platform
import warnings
from datetime import datetime, timezone
from pathlib import Path

from ssdzoo.costs import preset_key
from ssdzoo.errors import DataError
from ssdzoo.files import read_whole, user_cache, write_text
from ssdzoo.machine import cores, processor
from ssdzoo.preset import read_preset
from ssdzoo.progress import counted

_NEWEST = ("machine", "preset", "runtime", "batch")  # of each the newest measurement is kept
_FIELDS = {*_NEWEST, "version", "image_ms", "date"}


def timings_file() -> Path:
    return user_cache() / "timings.json"


def this_machine() -> str:
    """The processor and how many cores of it this process may use."""
    return f"{processor('model name') or platform.machine()}, {counted(cores(), 'core')}"


def remember(table: str | Path, rows: list[dict]) -> None:
    """Keeps the rows of `benchmark` for the model of a table; a folder that can't be written is reported as a warning."""
    key, now = preset_key(read_preset(table)), datetime.now(timezone.utc).isoformat(timespec="seconds")
    new = [
        {
            "machine": this_machine(), "preset": key, "runtime": row["runtime"], "version": row["version"], "batch": row["batch"],
            "image_ms": row["image_ms"]["p50"], "date": now,
        }
        for row in rows
    ]  # fmt: skip
    try:
        old = _read()
    except DataError:
        old = []  # the damaged file is replaced
    kept = {tuple(entry[k] for k in _NEWEST): entry for entry in [*old, *new]}
    try:
        write_text(timings_file(), json.dumps(list(kept.values()), indent=1))
    except OSError as error:
        warnings.warn(f"{timings_file()}: the result is not kept: {error.strerror or error}", stacklevel=2)


def timings(presets: list) -> dict:
    """{model name: {runtime: entry}} of what was measured on this machine, of each runtime that of the smallest batch.

    An entry has "runtime", "version", "batch", "image_ms" (median of an image from its file to its detections) and "date".

    Raises:
        DataError: the file with the measurements is damaged.
    """
    machine, found = this_machine(), {}
    entries = sorted((e for e in _read() if e["machine"] == machine), key=lambda e: -e["batch"])
    for preset in presets:
        key = preset_key(preset)
        own = {e["runtime"]: e for e in entries if e["preset"] == key}
        if own:
            found[preset.name] = own
    return found


def fastest(entries: dict) -> dict | None:
    """The entry of ours of the shortest time, in float and not GluonCV's; None where there is none."""
    ours = [entry for runtime, entry in entries.items() if runtime != "gluoncv" and not runtime.endswith("-int8")]
    return min(ours, key=lambda entry: entry["image_ms"], default=None)


def _has_numbers(entry: dict) -> bool:
    return all(isinstance(entry[field], (int, float)) for field in ("batch", "image_ms"))


def _read() -> list:
    path = timings_file()
    if not path.is_file():
        return []
    try:
        # Files of earlier versions call the preset "row".
        entries = [{"preset": entry.get("row"), **entry} for entry in json.loads(read_whole(path))]
        if all(entry.keys() >= _FIELDS and _has_numbers(entry) for entry in entries):
            return entries
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        pass
    raise DataError(f"{path}: not what ssdzoo benchmark wrote there; delete it and measure again")
