"""Parameters and multiply-accumulates of models by their rows. Those of the zoo were counted once (`tools/count_costs.py`) and
lie in `costs.toml`, so that listing them builds no network and needs no mxnet."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib import resources

from ssdzoo.preset import Preset, parse_toml
from ssdzoo.registry import get_model

CUSTOM_CLASSES = 20  # of a row that takes its classes from the user


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of values that are learned.
        macs: multiply-accumulates of one image of the base size.
    """

    parameters: int
    macs: int


def with_some_classes(preset: Preset) -> Preset:
    """The row itself, or with `CUSTOM_CLASSES` classes where it names none."""
    return preset if preset.classes else preset.with_classes(f"class {i}" for i in range(CUSTOM_CLASSES))


def row_key(preset: Preset) -> str:
    """16 hexadecimal digits of what a row builds; its name, the names of its classes and fields with their defaults don't
    count."""
    preset = with_some_classes(preset)
    defaults = {f.name: f.default for f in fields(Preset)}
    row = {k: v for k, v in asdict(preset).items() if k not in ("name", "classes") and v != defaults[k]}
    text = json.dumps({**row, "classes": len(preset.classes)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find_cost(preset: Preset) -> Cost:
    """The cost of a row, of 20 classes where it names none: looked up, or else counted on the network, which takes mxnet.

    Raises:
        CallError: a row that makes no network.
        SSDZooError: the row is none of the zoo, and mxnet can't be imported.
    """
    return _counted().get(row_key(preset)) or count_cost(preset)


def count_cost(preset: Preset) -> Cost:
    """The cost of a row, counted on its network."""
    from ssdzoo.nn.cost import network_cost

    return network_cost(get_model(with_some_classes(preset)))


@lru_cache(maxsize=1)
def _counted() -> dict:
    rows = parse_toml((resources.files("ssdzoo") / "costs.toml").read_text("utf-8"), "costs.toml")
    return {row.pop("row"): Cost(**row) for row in rows.values()}
