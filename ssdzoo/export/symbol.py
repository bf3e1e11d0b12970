"""A model as a symbol: `NAME-symbol.json`, `NAME-0000.params`, and the sidecar `NAME.toml` that says what goes in and
comes out."""

from pathlib import Path

from ssdzoo.files import write_text
from ssdzoo.formats.graph_parts import with_detection
from ssdzoo.formats.params_file import write_params
from ssdzoo.formats.symbol_file import symbol_text
from ssdzoo.model_kinds import SymbolSource
from ssdzoo.network import SSD
from ssdzoo.preset import Preset, to_toml


def export_model(net: SSD, preset: Preset, folder: str | Path, name: str | None = None) -> Path:
    """Exports an SSD into `folder` under `name` (by default its preset's), with the sidecar; returns the path without suffix."""
    path = Path(folder) / (name or preset.name)
    net.export(path)
    write_text(f"{path}.toml", preset.to_toml())
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
    names, statistics = {node.name for node in graph.nodes if node.op == "null"}, graph.statistics()
    arrays = {f"{'aux' if n in statistics else 'arg'}:{n}": a for n, a in source.arrays.items() if n in names}
    fields: dict = {"base_size": preset.base_size, "classes": preset.classes}
    if source.input.white is None:
        fields |= {name: [round(255 * value, 9) for value in getattr(preset, name)] for name in ("mean", "std")}
    write_params(f"{path}-0000.params", arrays)
    write_text(f"{path}-symbol.json", symbol_text(graph.raw))
    write_text(f"{path}.toml", to_toml(fields))
    return path
