"""An SSD as a symbol: `NAME-symbol.json`, `NAME-0000.params`, and the sidecar `NAME.toml` that says what goes in and
comes out."""

from pathlib import Path

from ssdzoo.files import write_text
from ssdzoo.network import SSD
from ssdzoo.preset import Preset


def export_model(net: SSD, preset: Preset, folder: str | Path, name: str | None = None) -> Path:
    """Exports an SSD into `folder` under `name` (by default its preset's), with the sidecar; returns the path without suffix."""
    path = Path(folder) / (name or preset.name)
    net.export(path)
    write_text(f"{path}.toml", preset.to_toml())
    return path
