"""What a user's MODEL is: the one place that decides it, which weights go with it, and what `auto` runs it with."""

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssdzoo.class_names import class_names
from ssdzoo.errors import CallError
from ssdzoo.exported_files import HEADS, ExportedFiles, find_exported
from ssdzoo.formats.detection_graph import check_suppress
from ssdzoo.model_kinds import ModelSource, NetworkSource, OnnxSource, SymbolSource
from ssdzoo.preset import EXPORTED, read_preset
from ssdzoo.preset_fields import check_fields
from ssdzoo.toml_file import read_toml
from ssdzoo.weights.file_classes import find_params, with_file_classes
from ssdzoo.zoo import find_preset, list_models

_NEEDS = {  # fastest first, on a CPU
    "openvino": ("onnx", "openvino"),
    "onnxruntime": ("onnx", "onnxruntime"),
    "mxnet": ("mxnet",),
    "torch": ("torch",),
}
BACKENDS = ("auto", *sorted(_NEEDS))
Numbers = float | Sequence[float]  # of all channels, or of red, green and blue


def resolve(model: str | Path, weights: str | Path | None = None, mean: Numbers | None = None, std: Numbers | None = None,
            classes: Iterable[str] | None = None, suppress: str | None = None) -> ModelSource:  # fmt: skip
    """What a user named.

    Args:
        model: the name of a preset, a table (`.toml`), a run folder, an exported model (its folder, one of its files, their
            common path, or an archive of them such as SageMaker's `model.tar.gz`), an `.onnx` file, or a parameter file that
            `convert` wrote with its table.
        weights: for a preset or a table: its parameter file, or a run folder; for a run: other weights than its best.
        mean, std: of RGB in 0..1, for an exported model that does not say them: its input is (pixel / 255 - mean) / std. One
            number for all channels or three. Numbers above 1 are of pixels 0..255: (123, 117, 104) and 1
            (`ssdzoo.formats.graph_input.GraphInput.normalization`).
        classes: names of the classes of an exported model, by default those of its sidecar, or of a `classes.txt` beside it; or
            of `weights`, which by default have those of the preset, of the table beside them, or numbers.
        suppress: what NMS compares: "per-class", the boxes of one class, or "across", of all classes. None leaves it as the graph
            of an exported model or the table of another says.

    Raises:
        CallError: none of these; several exported models in a folder; `weights` beside a model that contains its own; one of
            `mean` and `std` alone; these or `classes` beside a model that has its own; `suppress` for an `.onnx`, which holds its
            NMS.
        WeightsError: an exported model without its parameters; an archive that can't be read.
    """
    path, name, given = Path(model), str(model), _normalization(mean, std)
    check_suppress(suppress)
    exported = None if name.endswith(".onnx") else find_exported(path)
    converted = path.suffix == ".params" and path.is_file() and path.with_suffix(".toml").is_file()
    if weights is not None and (exported or converted or name.endswith(".onnx")):
        raise CallError(f"{model} contains its weights: leave weights= out")
    if run := _symbol_run(path, weights):
        _refuse_given(name, given, classes)
        exported = run
    if exported:
        return SymbolSource(name, exported, given, None if classes is None else tuple(class_names(classes)), suppress)
    if name.endswith(".onnx"):
        _refuse_baked(name, classes, suppress)
        return OnnxSource(name, path, given)
    names = None if classes is None else class_names(classes)
    if weights is None or converted or _is_run(model):
        _refuse_given(name, given, names)
    else:
        _refuse_given(name, given, None)
    found = _network_source(path, model, weights, converted, names)
    return found if suppress is None else replace(found, preset=replace(found.preset, suppress=suppress))


def _network_source(path: Path, model: str | Path, weights: str | Path | None, converted: bool,
                    classes: list | None) -> NetworkSource:  # fmt: skip
    """The source of a preset, a table, a run, or a converted parameter file. `classes` name those of the weights that a preset or
    a table is given."""
    name = str(model)
    if converted:
        return NetworkSource(name, read_preset(path.with_suffix(".toml")), path, path.with_suffix(".toml"))
    if _is_run(model):
        table = path / "model.toml"
        if not table.is_file():
            raise CallError(f"{path}: neither a run (no model.toml) nor an exported model (no *-symbol.json)")
        return NetworkSource(name, read_preset(table), find_params(path if weights is None else weights), table)
    preset, own_table = find_preset(model), path if path.suffix == ".toml" else None
    if weights is None:
        return NetworkSource(name, preset, None, own_table)
    weights = find_params(weights)
    return NetworkSource(name, with_file_classes(preset, weights, classes), weights, own_table)


def _symbol_run(path: Path, weights: str | Path | None) -> ExportedFiles | None:
    """The files of a run whose network is known as a symbol alone; None for anything else."""
    table = path / "model.toml"
    if not (table.is_file() and (path / HEADS).is_file() and read_toml(table).get("backbone") == EXPORTED):
        return None
    return ExportedFiles(path / HEADS, find_params(path if weights is None else weights), table)


def _refuse_given(model: str, given: tuple | None, classes: Any) -> None:
    """
    Raises:
        CallError: something that only an exported model needs to be told.
    """
    said = {"mean and std": given and "mean= and std=", "class names": classes and "classes="}
    for what, arguments in said.items():
        if arguments:
            which = "which are" if " and " in arguments else "which is"
            raise CallError(f"{model} has its own {what}: leave {arguments} out, {which} for exported models")


def _refuse_baked(model: str, classes: Any, suppress: str | None) -> None:
    """
    Raises:
        CallError: what is a part of an ONNX file, and can't be changed any more.
    """
    for what, argument in (("its class names", classes and "classes="), ("its NMS", suppress and "suppress=")):
        if argument:
            raise CallError(f"{model} holds {what}: leave {argument} out, and give it when the model is exported to ONNX again")


def _normalization(mean: Numbers | None, std: Numbers | None) -> tuple | None:
    """(mean, std), three numbers each; None where none is given."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise CallError("mean= and std= belong together: give both")
    values = [(value,) * 3 if isinstance(value, (int, float)) else tuple(value) for value in (mean, std)]
    checked = check_fields(dict(zip(("mean", "std"), values)), "mean= and std=")
    return checked["mean"], checked["std"]


def _is_run(model: str | Path) -> bool:
    """Whether a folder is meant: not one that only happens to have a preset's name."""
    path = Path(model)
    return path.is_dir() and ((path / "model.toml").is_file() or str(model) not in list_models())


def installed_backends() -> list[str]:
    """The backends whose packages are installed, fastest first."""
    return [name for name, packages in _NEEDS.items() if all(importlib.util.find_spec(package) for package in packages)]


def choose_backend(source: ModelSource, backend: str | None = None, ctx: Any = None) -> str:
    """The backend that runs a model: a name of BACKENDS but for `auto`.

    Args:
        backend: None is the model's own: mxnet, and for an `.onnx` as "auto". "auto" is the fastest that is installed: openvino,
            onnxruntime, mxnet, torch; on a GPU that of `ctx`.
        ctx: a context of mxnet, a device of torch such as "cuda:0", a list of these, or None for the CPU.

    Raises:
        CallError: an unknown backend; mxnet or torch for an `.onnx`.
    """
    if backend not in (None, *BACKENDS):
        raise CallError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    is_onnx = isinstance(source, OnnxSource)
    if is_onnx and backend in ("mxnet", "torch"):
        raise CallError(f"{source.model}: {backend} runs no ONNX file; its backends are onnxruntime and openvino")
    if backend is None and not is_onnx:
        return "mxnet"
    if backend not in (None, "auto"):
        return backend
    able = installed_backends()
    if is_onnx:
        return next((name for name in able if "onnx" in _NEEDS[name]), "onnxruntime")  # where none is, its error names the extra
    first = ctx[0] if isinstance(ctx, (list, tuple)) else ctx
    if getattr(first, "device_type", None) == "gpu":
        return "mxnet"
    if str(first).startswith("cuda"):
        return "torch"
    return (*able, "mxnet")[0]
