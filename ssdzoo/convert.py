"""From a file of weights to a parameter file by attribute paths, checked against its network, with its table beside it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssdzoo.build import get_model
from ssdzoo.class_names import are_numbered
from ssdzoo.errors import CallError
from ssdzoo.exported_files import find_exported
from ssdzoo.files import file_hash
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.model_archive import is_archive
from ssdzoo.formats.network_params import holds_detector, read_network_params
from ssdzoo.model_source import Numbers, SymbolSource, resolve
from ssdzoo.progress import counted
from ssdzoo.weights.file_classes import table_beside, with_file_classes
from ssdzoo.weights.importers import ImportedDetector, read_detector
from ssdzoo.weights.importers.mxnet_ssd import import_mxnet_ssd
from ssdzoo.weights.matching import match
from ssdzoo.zoo import find_preset, model_in_name


@dataclass
class Conversion:
    """What `convert` did.

    Attributes:
        source: the file that was read.
        target: the parameter file that was written.
        sidecar: the table that was written beside it.
        model: name of the preset.
        classes: their names.
        parameters: number of parameters in `target`.
        renamed: of these, how many have another name in `source`.
        cast: of these, how many were of another dtype.
        source_hash, target_hash: SHA-256, hexadecimal.
        notes: sentences for the user.
    """

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


def convert(source: str | Path, target: str | Path, model: str | Path | None = None, classes: list | None = None,
            force: bool = False, mean: Numbers | None = None, std: Numbers | None = None) -> Conversion:  # fmt: skip
    """Writes the weights of `source` to `target` and the preset with its classes beside it, as NAME.params and NAME.toml.

    Args:
        source: parameter file in any naming of GluonCV's or ssdzoo's; a state dict or `.safetensors` of a module of
            `ssdzoo.export.to_torch`; a detector that `ssdzoo.weights.importers.read_detector` reads; or an exported model of
            mxnet-ssd or SageMaker on VGG-16, such as `model.tar.gz`.
        target: a path that ends in `.params`.
        model: name of a preset, or a table (`.toml`). Parameter files need it, unless their table is beside them; other files
            say themselves what they are.
        classes: names of the classes. By default those of the model, else of the source's sidecar, else "class 0" and so on.
        force: replaces existing files.
        mean, std: of an exported model that does not say them: see `ssdzoo.model_source.resolve`.

    Raises:
        CallError: `target` exists, has another suffix, or is `source`; a wrong number of `classes`; no `model`, or another one
            than the file's.
        WeightsError: the file cannot be read, or is not of this model; an exported model of another architecture.
    """
    source, target = Path(source), Path(target)
    sidecar = target.with_suffix(".toml")
    if target.suffix != ".params":
        raise CallError(f"{target}: the new file must end in .params")
    if target.exists() and source.exists() and target.samefile(source):
        raise CallError(f"{target} is the file to convert: choose another name")
    for path in (target, sidecar):
        if path.exists() and not force:
            raise CallError(f"{path} is there already: choose another name, or replace it with force=")
    exported = _of_mxnet_ssd(source, classes, mean, std)
    if exported or (file_kind(source) in ("torch", "safetensors", "caffe") and not holds_detector(source)):
        if exported:
            detector = import_mxnet_ssd(exported.graph, exported.arrays, exported.preset, exported.params)
        else:
            detector = read_detector(source, classes)
        source = exported.files[0] if exported else source
        if model and find_preset(model).name != detector.preset.name:
            raise CallError(
                f"{source} is a {detector.origin}, which becomes {detector.preset.name}, not {model}: leave out model="
            )
        renamed, cast = len(detector.arrays), 0
    else:
        detector, renamed, cast = _match(source, model, classes)
    detector.save(target)
    preset, notes = detector.preset, list(detector.notes)
    names = list(preset.classes or ())
    if are_numbered(names):
        notes.append(f"nobody names its {counted(len(names), 'class')}: name them with classes=, or edit the sidecar")
    return Conversion(
        source, target, sidecar, preset.name, names, len(detector.arrays), renamed, cast,
        file_hash(source), file_hash(target), notes,
    )  # fmt: skip


def _of_mxnet_ssd(source: Path, classes: list | None, mean: Numbers | None, std: Numbers | None) -> SymbolSource | None:
    """The exported model that a path names, if its graph ends in MultiBoxDetection; None for a parameter file that is converted
    by its names."""
    if is_archive(source) or find_exported(source):
        found = resolve(source, None, mean, std, classes)
        assert isinstance(found, SymbolSource)
        if found.input.multi_box:
            return found
        if source.suffix != ".params":
            raise CallError(f"{source} is not a model of mxnet-ssd: name its parameter file, and its model with model=")
    if mean is not None or std is not None:
        raise CallError(f"{source}: mean= and std= are for exported models of mxnet-ssd and SageMaker: leave them out")
    return None


def _match(source: Path, model: str | Path | None, classes: list | None) -> tuple[ImportedDetector, int, int]:
    """The detector in a parameter file, and the numbers of new names and of casts."""
    model = model or table_beside(source)
    if model is None:
        raise CallError(f"{source} does not say which model it is of: name it with model={model_in_name(source) or ''}")
    preset = find_preset(model)
    names = set(read_network_params(source))  # before the network is built: another kind of file fails at once
    preset = with_file_classes(preset, source, classes)
    matched = match(get_model(preset), source)
    arrays = {name: array.astype(np.dtype(parameter.dtype), copy=False) for name, (parameter, array) in matched.items()}
    cast = sum(array.dtype != arrays[name].dtype for name, (_, array) in matched.items())
    return ImportedDetector(arrays, preset, "parameter file"), len(arrays.keys() - names), cast
