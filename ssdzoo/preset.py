"""A preset, which describes one model, and the way out of a TOML file and back into one.

A user's table, and the `model.toml` of a run, hold the fields of one model at the top level. `presets/README.md` describes them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from ssdzoo.augmentation.table import Augmentation, table_lines
from ssdzoo.errors import CallError
from ssdzoo.preset_fields import CHECKS, check_fields, is_lists, is_numbers
from ssdzoo.toml_file import read_toml

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EXPORTED = "exported symbol"  # the backbone of a model whose symbol is all that is known of its network
_NETWORK_FIELDS = (  # which `get_ssd` takes under the same name
    "features", "filters", "sizes", "ratios", "steps", "nms_thresh", "nms_topk", "post_nms", "suppress", "shared_predictors",
    "separable",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """All that is needed to build a model. `presets/README.md` says what each field is."""

    name: str
    backbone: str
    base_size: tuple  # (H, W) pixels
    sizes: tuple
    ratios: tuple
    features: tuple | None = None
    filters: tuple | None = None
    steps: tuple | None = None
    classes: tuple | None = None
    anchor_generator: str = "ssd"
    predictor_kernel: int = 3
    min_depth: int | None = None
    reduce_ratio: float | None = None
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    nms_thresh: float = 0.45
    nms_topk: int = 400
    post_nms: int = 100
    suppress: str = "per-class"
    class_loss: str = "ohem"
    shared_predictors: bool = False
    separable: bool = False
    dilation: int | None = None
    last_kernel: int | None = None
    augment: Augmentation | None = None

    @property
    def network_args(self) -> dict:
        """The keyword arguments of `get_ssd`, but for `classes`."""
        (height, width), kernel = self.base_size, self.predictor_kernel
        optional = {field: getattr(self, field) for field in ("min_depth", "reduce_ratio", "dilation", "last_kernel")}
        return {
            "name": self.backbone,
            "base_size": height if height == width else self.base_size,
            "predictors_kernel": (kernel, kernel),
            "predictors_pad": (kernel // 2, kernel // 2),
            **{field: _plain(getattr(self, field)) for field in _NETWORK_FIELDS},
            **{field: value for field, value in optional.items() if value is not None},
        }

    @property
    def classifier(self) -> str:
        """The name of the classifier whose weights the backbone starts from; see `backbone_classifier`."""
        return backbone_classifier(self.backbone)

    def with_classes(self, classes: Iterable[str]) -> "Preset":
        """The same model for other classes."""
        return replace(self, classes=tuple(classes))

    def to_toml(self) -> str:
        """The preset as a user's table; `read_preset` reads it back."""
        fields = asdict(self)
        if max(*self.mean, *self.std) > 1:  # of a std of 256, say: as pixels, as which they are read again
            fields |= {field: [round(255 * value, 9) for value in fields[field]] for field in ("mean", "std")}
        if self.backbone == EXPORTED:
            fields |= {"sizes": None, "ratios": None}
        return to_toml(fields)


def backbone_classifier(backbone: str) -> str:
    """The name of a backbone's classifier: that under a feature pyramid, or the backbone itself."""
    return backbone.removesuffix("_fpn")


assert set(CHECKS) == {f.name for f in fields(Preset)}


def check_preset(table: dict, where: str) -> Preset:
    """The Preset of a whole `table`.

    Raises:
        CallError: names `where` (file and preset), the field, its value and what was expected.
    """
    table = check_fields(table, where)
    if table.get("backbone") == EXPORTED:  # its anchors are in its symbol
        table |= {"sizes": (), "ratios": ()}
    missing = [f for f in ("name", "backbone", "base_size", "sizes", "ratios") if f not in table]
    if missing:
        raise CallError(f"{where}: field {missing[0]!r} is missing")
    maps, listed = len(table["ratios"]), is_lists(table["sizes"])
    if table["backbone"] != EXPORTED:
        _check_maps(table, where, maps, listed)
    preset = Preset(**table)
    mean, std = in_unit(preset.mean, preset.std, where)
    return replace(preset, mean=mean, std=std)


def _check_maps(table: dict, where: str, maps: int, listed: bool) -> None:
    """
    Raises:
        CallError: fields with values for another number of feature maps.
    """
    for field, count in (("sizes", maps if listed else maps + 1), ("steps", maps)):
        if field in table and len(table[field]) != count:
            raise CallError(f"{where}: field {field!r} has {len(table[field])} values; {maps} lists of ratios need {count}")
    count = len(table.get("features", ())) + len(table.get("filters", ()))
    if "features" in table and count != maps:
        raise CallError(f"{where}: field 'features' with 'filters' makes {count} feature maps; there are {maps} lists of ratios")
    if not listed and any(r[0] != 1 for r in table["ratios"]):
        raise CallError(f"{where}: field 'ratios' is {_plain(table['ratios'])!r}; expected {CHECKS['ratios'][1]}")
    for i, (sizes, ratios) in enumerate(zip(table["sizes"], table["ratios"]) if listed else ()):
        if len(sizes) != len(ratios):
            counts = f"{len(sizes)} sizes and {len(ratios)} ratios"
            raise CallError(f"{where}: feature map {i} has {counts}; sizes in lists need a ratio each")


def in_unit(mean: Sequence[float], std: Sequence[float], where: str, pixels: bool = False) -> tuple[tuple, tuple]:
    """(mean, std) of RGB in 0..1. Where a number is above 1, both are of pixels 0..255, and are divided by 255.

    Args:
        where: names the numbers in errors.
        pixels: they are of pixels anyway.

    Raises:
        CallError: one is of pixels 0..255, and the other of RGB in 0..1.
    """
    if not pixels and max(*mean, *std) <= 1:
        return tuple(mean), tuple(std)
    if 0 < max(mean) <= 1 or max(std) < 1:
        given = f"mean {list(mean)} and std {list(std)}"
        raise CallError(f"{where}: {given} are of two units: expected both of RGB in 0..1, or both of pixels 0..255")
    return tuple(m / 255 for m in mean), tuple(s / 255 for s in std)


def pixel_factors(mean: Sequence[float], std: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift), each (3,) float32, that normalize pixels 0..255: pixel * scale + shift is (pixel / 255 - mean) / std.

    Whatever normalizes for a prediction computes it so: with other rounding, candidates of equal scores would change places.
    """
    divisor = np.array(std)
    return (1 / (255 * divisor)).astype(np.float32), (-np.array(mean) / divisor).astype(np.float32)


def read_preset(path: str | Path) -> Preset:
    """The Preset of a user's table, or of the `model.toml` of a run."""
    return check_preset({"name": Path(path).stem, **read_toml(path)}, str(path))


def read_fields(path: str | Path) -> dict:
    """The fields of a table that need not be whole, checked: {field: value}."""
    return check_fields(read_toml(path), str(path))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def to_toml(fields: dict) -> str:
    """Fields of a Preset as a table, without those that are None; a list of numbers is a line."""
    text, augment = "", fields.get("augment")
    fields = {k: v for k, v in fields.items() if k != "augment"}
    for field, value in _plain({k: v for k, v in fields.items() if v is not None}).items():
        if is_lists(value):
            text += f"{field} = [\n" + "".join(f"    {numbers},\n" for numbers in value) + "]\n"
        else:
            text += f"{field} = {value}\n" if is_numbers(value) else tomli_w.dumps({field: value})
    # Last, because in TOML what follows a table belongs to it.
    return text if augment is None else text + "[augment]\n" + table_lines(augment)
