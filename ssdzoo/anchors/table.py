"""Writes fitted anchors as a preset table."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path

from ssdzoo.files import write_text
from ssdzoo.preset import Preset, to_toml


def fitted_preset(preset: Preset, sizes: list, ratios: list, name: str | None = None) -> Preset:
    """The preset with other anchors, listed one by one, and without classes, which the data decide. Each feature map has heads of
    its own, because the numbers of anchors differ."""
    listed = replace(preset, sizes=tuple(map(tuple, sizes)), ratios=tuple(map(tuple, ratios)), anchor_generator="ssd")
    return replace(listed, name=name or preset.name, classes=None, shared_predictors=False)


def table_text(preset: Preset) -> str:
    """The TOML of the fields of a preset that differ from the defaults, but for name and classes."""
    defaults = {field.name: field.default for field in fields(Preset)}
    values = {k: v for k, v in asdict(preset).items() if k not in ("name", "classes") and v != defaults[k]}
    if len(set(preset.base_size)) == 1:
        values["base_size"] = preset.base_size[0]
    return to_toml(values)


def write_table(path: str | Path, preset: Preset, comments: Iterable[str]) -> None:
    """Writes a preset as a table, after comments of one line each."""
    write_text(path, commented(comments) + table_text(preset))


def commented(comments: Iterable[str]) -> str:
    """Lines of TOML's comments; what cannot be shown, such as an end of a line, becomes a question mark."""
    printable = ("".join(c if c.isprintable() else "?" for c in comment) for comment in comments)
    return "".join(f"# {comment}\n" for comment in printable)
