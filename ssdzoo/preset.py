"""A preset, which describes one model: its fields, what each must be, and the way out of a TOML file and back into one.

A user's table, and the `model.toml` of a run, hold the fields of one model at the top level. `presets/README.md` describes them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import tomli_w

from ssdzoo.augmentation.named import augmentation_of
from ssdzoo.augmentation.table import Augmentation, table_lines
from ssdzoo.errors import CallError
from ssdzoo.quote import brief, short
from ssdzoo.suggest import did_you_mean
from ssdzoo.toml_file import read_toml

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_POSITIVE = "positive numbers"
_MOST_PIXELS = 4096  # of a side of the input
_MOST_CHANNELS = 1 << 16
_MOST_VALUES = 10_000  # of a list: as many as there may be classes
_MOST_BOXES = 1_000_000  # that NMS may take or give
EXPORTED = "exported symbol"  # the backbone of a model whose symbol is all that is known of its network
SUPPRESS = ("per-class", "across")  # what an NMS may compare: boxes of one class, or of all classes
_SMALLEST, _LARGEST = 1e-9, 1e9  # of numbers that are none of these
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


def _list(value: Any, test: Callable[[Any], Any], count: int | None = None) -> bool:
    """Whether it is a list of values that pass a test, of `count` of them where that is given."""
    if not isinstance(value, (list, tuple)) or len(value) > _MOST_VALUES:
        return False
    return all(map(test, value)) and (count is None or len(value) == count)


def _numbers(value: Any) -> bool:
    return _list(value, _number)


def _lists(value: Any) -> bool:
    return bool(value) and _list(value, lambda numbers: numbers and _numbers(numbers))


def is_real(value: Any) -> bool:
    """Whether it is a number of a size that arithmetic in float32 can take."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _number(value: Any) -> bool:
    return is_real(value) and value >= _SMALLEST


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _up_to(most: int) -> Callable[[Any], bool]:
    return lambda value: _integer(value) and 0 < value <= most


def _limit(value: Any) -> bool:
    """Whether it is a maximum number of boxes; one that is not positive sets no limit."""
    return _integer(value) and -_MOST_BOXES <= value <= _MOST_BOXES


def _name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _names(value: Any) -> bool:
    return bool(value) and _list(value, _name)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


# What each field must be: a test, and the words for the message.
_CHECKS = {
    "name": (_name, "a name"),
    "backbone": (_name, "the name of a backbone"),
    "base_size": (
        lambda v: _list(v, _up_to(_MOST_PIXELS), 2),
        f"pixels, one whole number or [height, width], from 1 to {_MOST_PIXELS}",
    ),
    "sizes": (
        lambda v: _lists(v) or (_numbers(v) and len(v) > 1 and list(v) == sorted(v)),
        f"rising {_POSITIVE}, in pixels, or a list of {_POSITIVE} for each feature map",
    ),
    "ratios": (_lists, f"a list of {_POSITIVE} for each feature map, each beginning with 1 unless sizes are lists"),
    "features": (_names, "names of layers"),
    "filters": (lambda v: _list(v, _up_to(_MOST_CHANNELS)), f"whole numbers of channels, from 1 to {_MOST_CHANNELS}"),
    "steps": (
        lambda v: _list(v, lambda step: _number(step) or _list(step, _number, 2)),
        f"{_POSITIVE}, in pixels, or [vertical, horizontal] pairs",
    ),
    "classes": (lambda v: _names(v) and len(set(v)) == len(v), f"different names, at most {_MOST_VALUES}"),
    "anchor_generator": (lambda v: v in ("ssd", "lite"), '"ssd" or "lite"'),
    "predictor_kernel": (lambda v: _integer(v) and v in (1, 3), "1 or 3"),
    "min_depth": (_up_to(_MOST_CHANNELS), f"a whole number of channels, from 1 to {_MOST_CHANNELS}"),
    "reduce_ratio": (_number, "a positive number"),
    "mean": (lambda v: _list(v, is_real, 3), "three numbers"),
    "std": (lambda v: _list(v, _number, 3), f"three {_POSITIVE}"),
    "nms_thresh": (is_real, "a number"),
    "nms_topk": (_limit, f"a whole number, at most {_MOST_BOXES}"),
    "post_nms": (_limit, f"a whole number, at most {_MOST_BOXES}"),
    "suppress": (lambda v: v in SUPPRESS, '"per-class" or "across"'),
    "class_loss": (lambda v: v in ("ohem", "focal"), '"ohem" or "focal"'),
    "shared_predictors": (_flag, "true or false"),
    "separable": (_flag, "true or false"),
    "dilation": (_up_to(64), "a whole number, 6 or 1"),
    "last_kernel": (lambda v: _integer(v) and v in (3, 4), "3 or 4"),
    "augment": (lambda v: isinstance(v, dict), "a table of operations, such as mosaic = 0.5"),
}
assert set(_CHECKS) == {f.name for f in fields(Preset)}


def check_fields(table: dict, where: str) -> dict:
    """The fields of a preset's `table`, which need not be whole, as a Preset has them.

    Raises:
        CallError: names `where` (file and preset), the field, its value and what was expected.
    """
    table = dict(table)
    for field in table:
        if field not in _CHECKS:
            hint = did_you_mean(field, _CHECKS) or f"; the fields are {', '.join(_CHECKS)}"
            raise CallError(f"{where}: unknown field {brief(field)}{hint}")
    if _integer(table.get("base_size")):
        table["base_size"] = [table["base_size"]] * 2
    for field, value in table.items():
        if isinstance(value, (list, tuple)) and len(value) > _MOST_VALUES:
            raise CallError(f"{where}: field {field!r} has {len(value)} values; at most {_MOST_VALUES} are read")
        test, expected = _CHECKS[field]
        if not test(value):
            raise CallError(f"{where}: field {field!r} is {_shown(value)}; expected {expected}")
    frozen = {k: _frozen(v) for k, v in table.items()}
    return frozen | ({"augment": augmentation_of(table["augment"], f"{where}: augment")} if "augment" in table else {})


def _shown(value: Any) -> str:
    """A value as a message shows it."""
    try:
        return short(repr(value), 200)
    except (ValueError, RecursionError):  # a number of 5,000 digits, or lists in lists
        return brief(value)


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
    maps, listed = len(table["ratios"]), _lists(table["sizes"])
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
        raise CallError(f"{where}: field 'ratios' is {_plain(table['ratios'])!r}; expected {_CHECKS['ratios'][1]}")
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


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


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
        if _lists(value):
            text += f"{field} = [\n" + "".join(f"    {numbers},\n" for numbers in value) + "]\n"
        else:
            text += f"{field} = {value}\n" if _numbers(value) else tomli_w.dumps({field: value})
    # Last, because in TOML what follows a table belongs to it.
    return text if augment is None else text + "[augment]\n" + table_lines(augment)
