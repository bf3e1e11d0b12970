"""The classes of a detector's parameter file: how many it has, and what they are called."""

from collections.abc import Sequence
from pathlib import Path

from ssdzoo.class_names import numbered_names
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.formats.network_params import CLASS_HEADS, read_network_params
from ssdzoo.preset import Preset, read_preset
from ssdzoo.progress import counted
from ssdzoo.zoo import find_preset


def find_params(path: str | Path) -> Path:
    """The parameter file of a run folder, or the file itself.

    Raises:
        WeightsError: a folder without `best.params`.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    if not (path / "best.params").is_file():
        raise WeightsError(f"{path}: no best.params in this folder; name a parameter file or the folder of a run")
    return path / "best.params"


def known_classes(path: Path) -> list | None:
    """The class names of a parameter file, or None.

    They come from the table beside it (`NAME.toml`, or the `model.toml` of a run), else from `_voc` or `_coco` in its name.
    """
    return _classes_of_name(path) if table_beside(path) is None else _classes_of_table(path)


def _classes_of_table(path: Path) -> list | None:
    table = table_beside(path)
    return list(read_preset(table).classes or ()) or None if table else None


def _classes_of_name(path: Path) -> list | None:
    for dataset in ("voc", "coco"):
        if f"_{dataset}" in path.stem:
            return list(find_preset(f"ssd_300_vgg16_atrous_{dataset}").classes or ())
    return None


def table_beside(path: Path) -> Path | None:
    """The table beside a parameter file: NAME.toml, or the model.toml of a folder; None where there is none."""
    return next((p for p in (path.with_suffix(".toml"), path.with_name("model.toml")) if p.is_file()), None)


def class_count(path: str | Path) -> int:
    """Number of classes, without the background, of the parameter file of a whole SSD.

    Raises:
        WeightsError: no class heads or no anchors in it, or they do not fit together.
    """
    arrays = read_network_params(path)
    weights = [a for n, a in arrays.items() if n.endswith(CLASS_HEADS)]
    anchors = [a for n, a in arrays.items() if n.endswith(("anchor_generators.0.anchors", "anchor_0"))]
    if not weights or not anchors or not weights[0].ndim or not anchors[0].ndim:
        raise WeightsError(f"{path}: not the weights of a whole SSD; for a backbone's file use base_weights=")
    outputs, per_cell = weights[0].shape[0], anchors[0].shape[-1] // 4
    if not per_cell or outputs % per_cell or outputs < 2 * per_cell:
        raise WeightsError(f"{path}: {outputs} class outputs do not divide by {per_cell} anchors per grid cell")
    return outputs // per_cell - 1


def with_file_classes(preset: Preset, path: Path, classes: Sequence[str] | None = None) -> Preset:
    """The preset with as many classes as a parameter file of it has.

    Their names are the given ones, else those of the preset, of the table beside the file, or of the data set in its name, where
    their number fits; else "class 0" and so on, and not VOC's where there are 20: it is a model of the user's own.

    Raises:
        CallError: another number of names is given, or of the preset or the table, and nothing else names the classes.
        WeightsError: see `class_count`.
    """
    count = class_count(path)
    said = [
        (classes, "classes= names"),
        (None if classes else preset.classes, f"{preset.name} has"),
        (None if classes else _classes_of_table(path), f"{table_beside(path)} names"),
    ]
    named = [(list(names), who) for names, who in said if names]
    guessed = [] if classes else [_classes_of_name(path) or []]
    names = next((names for names in [*(names for names, _ in named), *guessed] if len(names) == count), None)
    if names is None and named:
        others, who = named[0]
        raise CallError(f"{path} holds {counted(count, 'class')}, {who} {len(others)}: name all of them with classes=")
    return preset.with_classes(names or numbered_names(count))
