"""The fields of a preset: what each must be."""

from collections.abc import Callable
from typing import Any

from ssdzoo.augmentation.named import augmentation_of
from ssdzoo.errors import CallError
from ssdzoo.quote import brief, short
from ssdzoo.suggest import did_you_mean

_POSITIVE = "positive numbers"
_MAX_SIDE = 4096  # pixels of a side of the input
_MAX_CHANNELS = 1 << 16
_MAX_VALUES = 10_000  # of a list: as many as there may be classes
_MAX_BOXES = 1_000_000  # that NMS may take or give
SUPPRESS = ("per-class", "across")  # what an NMS may compare: boxes of one class, or of all classes
_MIN_NUMBER, _MAX_NUMBER = 1e-9, 1e9  # of numbers that are none of these


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _list(value: Any, test: Callable[[Any], Any], count: int | None = None) -> bool:
    """Whether it is a list of values that pass a test, of `count` of them where that is given."""
    if not isinstance(value, (list, tuple)) or len(value) > _MAX_VALUES:
        return False
    return all(map(test, value)) and (count is None or len(value) == count)


def is_numbers(value: Any) -> bool:
    """Whether it is a list of positive numbers."""
    return _list(value, _number)


def is_lists(value: Any) -> bool:
    """Whether it is a list of lists of positive numbers, none of them empty."""
    return bool(value) and _list(value, lambda numbers: numbers and is_numbers(numbers))


def is_real(value: Any) -> bool:
    """Whether it is a number of a size that arithmetic in float32 can take."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_MAX_NUMBER <= value <= _MAX_NUMBER


def _number(value: Any) -> bool:
    return is_real(value) and value >= _MIN_NUMBER


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _up_to(most: int) -> Callable[[Any], bool]:
    return lambda value: _integer(value) and 0 < value <= most


def _limit(value: Any) -> bool:
    """Whether it is a maximum number of boxes; one that is not positive sets no limit."""
    return _integer(value) and -_MAX_BOXES <= value <= _MAX_BOXES


def _name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _names(value: Any) -> bool:
    return bool(value) and _list(value, _name)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


# What each field must be: a test, and the words for the message.
CHECKS: dict[str, tuple[Callable, str]] = {
    "name": (_name, "a name"),
    "backbone": (_name, "the name of a backbone"),
    "base_size": (
        lambda v: _list(v, _up_to(_MAX_SIDE), 2),
        f"pixels, one whole number or [height, width], from 1 to {_MAX_SIDE}",
    ),
    "sizes": (
        lambda v: is_lists(v) or (is_numbers(v) and len(v) > 1 and list(v) == sorted(v)),
        f"rising {_POSITIVE}, in pixels, or a list of {_POSITIVE} for each feature map",
    ),
    "ratios": (is_lists, f"a list of {_POSITIVE} for each feature map, each beginning with 1 unless sizes are lists"),
    "features": (_names, "names of layers"),
    "filters": (lambda v: _list(v, _up_to(_MAX_CHANNELS)), f"whole numbers of channels, from 1 to {_MAX_CHANNELS}"),
    "steps": (
        lambda v: _list(v, lambda step: _number(step) or _list(step, _number, 2)),
        f"{_POSITIVE}, in pixels, or [vertical, horizontal] pairs",
    ),
    "classes": (lambda v: _names(v) and len(set(v)) == len(v), f"different names, at most {_MAX_VALUES}"),
    "anchor_generator": (lambda v: v in ("ssd", "lite"), '"ssd" or "lite"'),
    "predictor_kernel": (lambda v: _integer(v) and v in (1, 3), "1 or 3"),
    "min_depth": (_up_to(_MAX_CHANNELS), f"a whole number of channels, from 1 to {_MAX_CHANNELS}"),
    "reduce_ratio": (_number, "a positive number"),
    "mean": (lambda v: _list(v, is_real, 3), "three numbers"),
    "std": (lambda v: _list(v, _number, 3), f"three {_POSITIVE}"),
    "nms_thresh": (is_real, "a number"),
    "nms_topk": (_limit, f"a whole number, at most {_MAX_BOXES}"),
    "post_nms": (_limit, f"a whole number, at most {_MAX_BOXES}"),
    "suppress": (lambda v: v in SUPPRESS, '"per-class" or "across"'),
    "class_loss": (lambda v: v in ("ohem", "focal"), '"ohem" or "focal"'),
    "shared_predictors": (_flag, "true or false"),
    "separable": (_flag, "true or false"),
    "dilation": (_up_to(64), "a whole number, 6 or 1"),
    "last_kernel": (lambda v: _integer(v) and v in (3, 4), "3 or 4"),
    "augment": (lambda v: isinstance(v, dict), "a table of operations, such as mosaic = 0.5"),
}


def check_fields(table: dict, where: str) -> dict:
    """The fields of a preset's `table`, which need not be whole, as a Preset has them.

    Raises:
        CallError: names `where` (file and preset), the field, its value and what was expected.
    """
    table = dict(table)
    for field in table:
        if field not in CHECKS:
            hint = did_you_mean(field, CHECKS) or f"; the fields are {', '.join(CHECKS)}"
            raise CallError(f"{where}: unknown field {brief(field)}{hint}")
    if _integer(table.get("base_size")):
        table["base_size"] = [table["base_size"]] * 2
    for field, value in table.items():
        if isinstance(value, (list, tuple)) and len(value) > _MAX_VALUES:
            raise CallError(f"{where}: field {field!r} has {len(value)} values; at most {_MAX_VALUES} are read")
        test, expected = CHECKS[field]
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
