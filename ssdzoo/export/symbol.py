"""A model as a symbol: `NAME-symbol.json`, `NAME-0000.params`, and the sidecar `NAME.toml` that says what goes in and
comes out."""

from pathlib import Path

from ssdzoo.exported_files import exported_paths, write_exported
from ssdzoo.files import write_text
from ssdzoo.formats.graph_parts import with_detection
from ssdzoo.model_kinds import SymbolSource
from ssdzoo.network import SSD
from ssdzoo.preset import Preset, to_toml


def export_model(net: SSD, preset: Preset, folder: str | Path, name: str | None = None) -> Path:
    """Exports an SSD into `folder` under `name` (by default its preset's), with the sidecar; returns the path without suffix."""
    path = Path(folder) / (name or preset.name)
    net.export(path)
    write_text(exported_paths(path)[2], preset.to_toml())
    return path


def export_detection(source: SymbolSource, folder: str | Path) -> Path:
    """Writes an exported model again, without the losses and labels of a training, and a sidecar with its input size, classes,
    mean and std. Needs no mxnet where these are known. Returns the path without suffix.

    Raises:
        CallError: mean and std are not known.
        WeightsError: not the detections of an SSD, or its input size is not known.
    """
    preset, path = source.preset, Path(folder) / source.name
    graph = with_detection(source.graph, preset)
    names = {node.name for node in graph.nodes if node.op == "null"}
    fields: dict = {"base_size": preset.base_size, "classes": preset.classes}
    if source.input.white is None:
        fields |= {name: [round(255 * value, 9) for value in getattr(preset, name)] for name in ("mean", "std")}
    write_exported(path, graph, {name: array for name, array in source.arrays.items() if name in names}, to_toml(fields))
    return path
