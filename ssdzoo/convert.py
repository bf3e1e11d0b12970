"""A file of weights -> a parameter file in the naming of attribute paths, checked against its network, with its table."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssdzoo.build import get_model
from ssdzoo.errors import CallError
from ssdzoo.files import file_hash, write_text
from ssdzoo.formats.params_file import write_params
from ssdzoo.formats.weights_file import file_kind, read_named
from ssdzoo.weights.foreign import read_detector
from ssdzoo.weights.matching import match
from ssdzoo.weights.transfer import class_count, known_classes
from ssdzoo.zoo import find_preset


@dataclass
class Conversion:
    """What `convert` did. Hashes are SHA-256, hexadecimal."""

    source: Path
    target: Path
    sidecar: Path
    model: str
    classes: list
    parameters: int
    renamed: int
    cast: int
    source_hash: str
    target_hash: str
    notes: list = field(default_factory=list)


def convert(source, target, model=None, classes=None, force: bool = False) -> Conversion:
    """Writes `target`, the parameter file of `model` with the values of `source`, and its sidecar (the preset with its
    classes) beside it, under the same name with `.toml`.

    Args:
        source: parameter file in any naming of GluonCV's or ssdzoo's, or a detector that `foreign.read_detector` reads.
        target: a path that ends in `.params`.
        model: name of a preset, or a table (`.toml`); needed for parameter files, the others say themselves what they are.
        classes: names of the classes; default: those of the model, else of the source's sidecar, else "class 0" and so on.
        force: replaces files that are there.

    Raises:
        CallError: `target` is there already, has another suffix, or is `source`; a wrong number of classes; no `model`, or not
            what the file says.
        WeightsError: the file cannot be read, or is not of this model.
    """
    source, target = Path(source), Path(target)
    sidecar = target.with_suffix(".toml")
    if target.suffix != ".params":
        raise CallError(f"{target}: the new file must end in .params")
    if target.exists() and source.exists() and target.samefile(source):
        raise CallError(f"{target} is the file to convert: choose another name")
    for path in (target, sidecar):
        if path.exists() and not force:
            raise CallError(f"{path} is there already: choose another name, or pass --force to replace it")
    if file_kind(source) in ("torch", "safetensors", "caffe"):
        converted = read_detector(source, classes)
        if model and find_preset(model).name != converted.preset.name:
            raise CallError(
                f"{source} is a {converted.source}, which becomes {converted.preset.name}, not {model}: leave --model out"
            )
        converted.save(target)
        preset, notes, count = converted.preset, list(converted.notes), len(converted.arrays)
        parameters, changed, cast = count, count, 0
    else:
        preset, notes, parameters, changed, cast = _rename(source, target, sidecar, model, classes)
    return Conversion(
        source, target, sidecar, preset.name, list(preset.classes), parameters, changed, cast,
        file_hash(source), file_hash(target), notes,
    )  # fmt: skip


def _rename(source: Path, target: Path, sidecar: Path, model, classes) -> tuple:
    """Writes both files of a parameter file; returns preset, notes, and the numbers of parameters, new names and casts."""
    if model is None:
        raise CallError(f"{source} does not say which model it is of: name it with --model")
    preset = find_preset(model)
    names = set(read_named(source))  # before the network is built: what is no file of weights fails at once
    preset, notes = _with_classes(preset, source, classes)
    matched = match(get_model(preset), source)
    arrays = {name: array.astype(np.dtype(parameter.dtype), copy=False) for name, (parameter, array) in matched.items()}
    write_params(target, arrays)
    write_text(sidecar, preset.to_toml())
    cast = sum(array.dtype != arrays[name].dtype for name, (_, array) in matched.items())
    return preset, notes, len(arrays), len(arrays.keys() - names), cast


def _with_classes(preset, source: Path, classes) -> tuple:
    count, notes = class_count(source), []
    offers = [classes] if classes else [o for o in (preset.classes, known_classes(source)) if o]
    chosen = next((offer for offer in offers if len(offer) == count), None)
    if chosen is None and offers:
        whose = "--classes names" if classes else f"{preset.name} has"
        raise CallError(f"{source} holds {count} classes, {whose} {len(offers[0])}: pass its names with --classes a,b,...")
    if chosen is None:
        chosen = [f"class {i}" for i in range(count)]
        notes.append(f"the file does not name its {count} classes: pass --classes, or edit the sidecar")
    return preset.with_classes(chosen), notes
