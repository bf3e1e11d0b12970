"""A preset, which describes one model: its fields, what each must be, and the way out of a TOML file and back into one.

A user's table, and the `model.toml` of a run, hold the fields of one model at the top level. `presets/README.md` describes them.
"""

import math
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import tomli_w

from ssdzoo.errors import CallError
from ssdzoo.suggest import did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_POSITIVE = "positive numbers"


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
    class_loss: str = "ohem"
    shared_predictors: bool = False
    separable: bool = False
    dilation: int | None = None

    @property
    def network_args(self) -> dict:
        """The keyword arguments of `get_ssd`, but for `classes`."""
        height, width = self.base_size
        args = dict(
            name=self.backbone,
            base_size=height if height == width else self.base_size,
            features=self.features and list(self.features),
            filters=self.filters and list(self.filters),
            sizes=list(self.sizes),
            ratios=[list(r) for r in self.ratios],
            steps=self.steps and list(self.steps),
            predictors_kernel=(self.predictor_kernel,) * 2,
            predictors_pad=(self.predictor_kernel // 2,) * 2,
            nms_thresh=self.nms_thresh,
            nms_topk=self.nms_topk,
            post_nms=self.post_nms,
            shared_predictors=self.shared_predictors,
            separable=self.separable,
        )
        optional = ("min_depth", "reduce_ratio", "dilation")
        args.update({k: getattr(self, k) for k in optional if getattr(self, k) is not None})
        return args

    @property
    def classifier(self) -> str:
        """The name of the classifier whose weights the backbone starts from; see `backbone_classifier`."""
        return backbone_classifier(self.backbone)

    def with_classes(self, classes) -> "Preset":
        """The same model for other classes."""
        return replace(self, classes=tuple(classes))

    def to_toml(self) -> str:
        """The preset as a user's table; `read_preset` reads it back."""
        return to_toml(asdict(self))


def backbone_classifier(backbone: str) -> str:
    """The name of a backbone's classifier: that under a feature pyramid, or the backbone itself."""
    return backbone.removesuffix("_fpn")


def _numbers(value, count=None) -> bool:
    ok = isinstance(value, (list, tuple)) and all(_number(v) for v in value)
    return ok and (count is None or len(value) == count)


def _lists(value) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(_numbers(v) and v for v in value)


def _real(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(value) -> bool:
    return _real(value) and value > 0


def _names(value) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, str) and v for v in value)


def _integer(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# What each field must be: a test, and the words for the message.
_CHECKS = {
    "name": (lambda v: isinstance(v, str) and v, "a name"),
    "backbone": (lambda v: isinstance(v, str) and v, "the name of a backbone"),
    "base_size": (lambda v: _numbers(v, 2) and all(map(_integer, v)), "pixels, one whole number or [height, width]"),
    "sizes": (
        lambda v: _lists(v) or (_numbers(v) and len(v) > 1 and list(v) == sorted(v)),
        f"rising {_POSITIVE}, in pixels, or a list of {_POSITIVE} for each feature map",
    ),
    "ratios": (lambda v: _lists(v), f"a list of {_POSITIVE} for each feature map, each beginning with 1 unless sizes are lists"),
    "features": (_names, "names of layers"),
    "filters": (lambda v: _numbers(v) and all(map(_integer, v)), "whole numbers of channels"),
    "steps": (
        lambda v: isinstance(v, (list, tuple)) and all(_number(s) or _numbers(s, 2) for s in v),
        f"{_POSITIVE}, in pixels, or [vertical, horizontal] pairs",
    ),
    "classes": (lambda v: _names(v) and len(set(v)) == len(v), "different names"),
    "anchor_generator": (lambda v: v in ("ssd", "lite"), '"ssd" or "lite"'),
    "predictor_kernel": (lambda v: _integer(v) and v in (1, 3), "1 or 3"),
    "min_depth": (lambda v: _integer(v) and v > 0, "a whole number of channels"),
    "reduce_ratio": (_number, "a positive number"),
    "mean": (lambda v: isinstance(v, (list, tuple)) and len(v) == 3 and all(map(_real, v)), "three numbers"),
    "std": (lambda v: _numbers(v, 3), f"three {_POSITIVE}"),
    "nms_thresh": (_real, "a number"),
    "nms_topk": (_integer, "a whole number"),
    "post_nms": (_integer, "a whole number"),
    "class_loss": (lambda v: v in ("ohem", "focal"), '"ohem" or "focal"'),
    "shared_predictors": (lambda v: isinstance(v, bool), "true or false"),
    "separable": (lambda v: isinstance(v, bool), "true or false"),
    "dilation": (lambda v: _integer(v) and v > 0, "a whole number, 6 or 1"),
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
            raise CallError(f"{where}: unknown field {field!r}{hint}")
    if _integer(table.get("base_size")):
        table["base_size"] = [table["base_size"]] * 2
    for field, value in table.items():
        test, expected = _CHECKS[field]
        if not test(value):
            raise CallError(f"{where}: field {field!r} is {value!r}; expected {expected}")
    return {k: _frozen(v) for k, v in table.items()}


def check_preset(table: dict, where: str) -> Preset:
    """The Preset of a whole `table`.

    Raises:
        CallError: names `where` (file and preset), the field, its value and what was expected.
    """
    table = check_fields(table, where)
    missing = [f for f in ("name", "backbone", "base_size", "sizes", "ratios") if f not in table]
    if missing:
        raise CallError(f"{where}: field {missing[0]!r} is missing")
    maps, listed = len(table["ratios"]), _lists(table["sizes"])
    for field, count in (("sizes", maps if listed else maps + 1), ("steps", maps)):
        if field in table and len(table[field]) != count:
            raise CallError(f"{where}: field {field!r} has {len(table[field])} values; {maps} lists of ratios need {count}")
    if "features" in table and len(table["features"]) + len(table.get("filters", ())) != maps:
        count = len(table["features"]) + len(table.get("filters", ()))
        raise CallError(f"{where}: field 'features' with 'filters' makes {count} feature maps; there are {maps} lists of ratios")
    if not listed and any(r[0] != 1 for r in table["ratios"]):
        raise CallError(f"{where}: field 'ratios' is {_plain(table['ratios'])!r}; expected {_CHECKS['ratios'][1]}")
    if listed and [*map(len, table["sizes"])] != [*map(len, table["ratios"])]:
        i = next(i for i in range(maps) if len(table["sizes"][i]) != len(table["ratios"][i]))
        counts = f"{len(table['sizes'][i])} sizes and {len(table['ratios'][i])} ratios"
        raise CallError(f"{where}: feature map {i} has {counts}; sizes in lists need a ratio each")
    return Preset(**table)


def _frozen(value):
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def read_preset(path) -> Preset:
    """The Preset of a user's table, or of the `model.toml` of a run."""
    return check_preset({"name": Path(path).stem, **read_toml(path)}, str(path))


def read_fields(path) -> dict:
    """The fields of a table that need not be whole, checked: {field: value}."""
    return check_fields(read_toml(path), str(path))


def read_toml(path) -> dict:
    """The table in a file.

    Raises:
        CallError: the file can't be read, or is not TOML.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"{path}: cannot be read as a table: {getattr(error, 'strerror', None) or error}") from None
    return parse_toml(text, path)


def parse_toml(text: str, file) -> dict:
    """The table in a text; `file` names it in errors."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError(f"{file}: not a TOML file: {error}") from None


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def to_toml(fields: dict) -> str:
    """Fields of a Preset as a table, without those that are None; a list of numbers is a line."""
    text = ""
    for field, value in _plain({k: v for k, v in fields.items() if v is not None}).items():
        if _lists(value):
            text += f"{field} = [\n" + "".join(f"    {numbers},\n" for numbers in value) + "]\n"
        else:
            text += f"{field} = {value}\n" if _numbers(value) else tomli_w.dumps({field: value})
    return text
