"""Augmentations by name, which are tables in this folder, from a table in a file, and from plain values."""

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from ssdzoo.augmentation.table import Augmentation
from ssdzoo.errors import CallError
from ssdzoo.quote import brief
from ssdzoo.suggest import did_you_mean
from ssdzoo.toml_file import parse_toml, read_toml

NAMES = ("ssd", "light", "none")


@lru_cache(maxsize=len(NAMES))
def named_augmentation(name: str) -> Augmentation:
    """The Augmentation of one of NAMES."""
    file = resources.files("ssdzoo.augmentation") / f"{name}.toml"
    return Augmentation().changed(parse_toml(file.read_text("utf-8"), file.name), file.name)


def augmentation_of(table: Any, where: str) -> Augmentation:
    """The Augmentation of a table; its `base`, one of NAMES, says where the operations come from that it does not name.

    Args:
        table: plain values, as a TOML file has them; see `Augmentation.changed`.
        where: names the table in errors.

    Raises:
        CallError: no table, or something in it is unknown or not allowed.
    """
    if not isinstance(table, dict):
        raise CallError(f"{where}: {brief(table)} is no table; expected operations, such as mosaic = 0.5")
    base = table.get("base", "none")
    if base not in NAMES:
        hint = did_you_mean(base, NAMES) if isinstance(base, str) else ""
        raise CallError(f"{where}: base is {brief(base)}; expected {', '.join(NAMES)}{hint}")
    return named_augmentation(base).changed({k: v for k, v in table.items() if k != "base"}, where)


def find_augmentation(value: Any) -> Augmentation:
    """An Augmentation from one of NAMES, the path of a table (`.toml`), or a table of plain values.

    Raises:
        CallError: none of them, or a table that cannot be read.
    """
    if isinstance(value, Augmentation):
        return value
    if isinstance(value, dict):
        return augmentation_of(value, "augment")
    if str(value).endswith(".toml"):
        return augmentation_of(read_toml(value), str(value))
    if value in NAMES:
        return named_augmentation(value)
    hint = did_you_mean(str(value), NAMES) or ", and tables (.toml) of your own"
    if isinstance(value, (str, Path)) and Path(value).is_file():
        hint = "; the name of a table ends with .toml"
    raise CallError(f"no augmentation {brief(value)}; there are {', '.join(NAMES)}{hint}")
