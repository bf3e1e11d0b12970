"""Files of other projects as parameter files of ssdzoo, kept in the user's cache so that a file is converted once."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.files import file_hash, user_cache
from ssdzoo.formats.params_file import read_params, write_params
from ssdzoo.preset import Preset, read_preset
from ssdzoo.version import __version__
from ssdzoo.weights.backbone import read_backbone, read_pyramid
from ssdzoo.weights.importers import read_detector
from ssdzoo.weights.published import ROOT, Found, Located, locate, survey
from ssdzoo.weights.sources import Source, other_sources


@dataclass(frozen=True)
class DetectorWeights:
    """A detector's parameter file.

    Attributes:
        path: `.params`.
        preset: of a file that was converted: its classes, and the mean and std of its pixels. None for others.
    """

    path: Path
    preset: Preset | None = None


def find_detector(name: str, which: bool | str | Path = True, root: str | Path = ROOT) -> DetectorWeights:
    """The parameter file of a detector; the file of another project is converted.

    Args:
        name, which, root: see `ssdzoo.weights.published.locate`.

    Raises:
        WeightsError: no such file, or one that cannot be converted.
    """
    found = locate(name, which, root, lambda source: _entry(source, "detector", _read_with_table))
    if found.source is None or found.source.archived:
        return DetectorWeights(found.path)
    path = found.path
    if not _is_entry(path):
        path = _path(found.source, path, "detector")
        if not _readable(path, _read_with_table):
            read_detector(found.path).save(path)
    return DetectorWeights(path, read_preset(path.with_suffix(".toml")))


def find_backbone(name: str, wanted: Collection[str], pyramid: dict, which: bool | str | Path = True,
                  root: str | Path = ROOT) -> tuple[dict, Located]:  # fmt: skip
    """({parameter: array}, the file that they are from) of a backbone, and of its feature pyramid where the file has one.

    Args:
        name, which, root: see `ssdzoo.weights.published.locate`.
        wanted, pyramid: see `read_start`.

    Raises:
        WeightsError: no such file, or one of another network.
    """
    kind = hashlib.sha256(repr((sorted(wanted), sorted(pyramid.items()))).encode()).hexdigest()[:8]
    found = locate(name, which, root, lambda source: _entry(source, kind, read_params))
    if found.source is None or found.source.archived:
        return read_start(found.path, wanted, pyramid), found
    path = found.path
    if not _is_entry(path):
        path = _path(found.source, path, kind)
        if not _readable(path, read_params):
            write_params(path, read_start(found.path, wanted, pyramid))
    return read_params(path), found


@dataclass(frozen=True)
class Start:
    """Where a detector or a backbone would start from.

    Attributes:
        files: what is on this machine, damaged files too.
        here: the one of these that would be taken, or None.
        source: the file that would be downloaded without it; None where no living server has one.
    """

    files: list[Found]
    here: Found | None
    source: Source | None


def find_start(name: str, root: str | Path = ROOT) -> Start:
    """Where a detector or a backbone would start from. Nothing is downloaded.

    Args:
        name, root: see `ssdzoo.weights.published.locate`.
    """
    files, others = survey(name, root), other_sources(name)
    for source in others:
        entries = sorted(_folder().glob(f"{source.file}-*-{__version__}-{source.digest[:16]}*.params"))
        files += [Found(entry, "converted", source) for entry in entries]
    order = [None, *(source.file for source in others)]
    usable = sorted(
        (f for f in files if f.usable),
        key=lambda f: (order.index(f.source.file if f.source and not f.source.archived else None), f.state != "published"),
    )
    return Start(files, next(iter(usable), None), next(iter(others), None))


def read_start(path: str | Path, wanted: Collection[str], pyramid: dict) -> dict:
    """{parameter: array} of a backbone, and of its feature pyramid where the file has one.

    Args:
        path: see `ssdzoo.weights.backbone.read_backbone`.
        wanted: attribute paths of the backbone's parameters.
        pyramid: {attribute path: shape} of the pyramid's convolutions; empty for a backbone without one.

    Raises:
        WeightsError: unreadable, or of another network.
    """
    arrays = read_backbone(path, wanted)
    return {**arrays, **read_pyramid(path, pyramid)} if pyramid else arrays


def _folder() -> Path:
    return user_cache() / "weights"


def _is_entry(path: Path) -> bool:
    return path.parent == _folder()


def _stem(source: Source, kind: str) -> str:
    """The beginning of an entry's name; the hash of the source follows."""
    return f"{source.file}-{kind}-{__version__}-"


def _path(source: Source, original: Path, kind: str) -> Path:
    """Where the file that is made of a source belongs."""
    digest = file_hash(original, source.algorithm or "sha256")
    return _folder() / f"{_stem(source, kind)}{digest[:16]}.params"


def _entry(source: Source, kind: str, read: Callable[[Path], object]) -> Path | None:
    """The file that was made of a source before, or None. `kind` names the network that it is for."""
    entries = sorted(_folder().glob(f"{_stem(source, kind)}{source.digest[:16]}*.params"), key=lambda path: path.stat().st_mtime)
    return next((entry for entry in reversed(entries) if _readable(entry, read)), None)


def _readable(path: Path, read: Callable[[Path], object]) -> bool:
    try:
        read(path)
    except (WeightsError, CallError):  # missing, or damaged: it is made again
        return False
    return True


def _read_with_table(path: Path) -> tuple[dict, Preset]:
    return read_params(path), read_preset(path.with_suffix(".toml"))
