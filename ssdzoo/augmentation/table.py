"""The table of an augmentation: its operations, and what each may be set to. No images here.

A field's metadata say what its value must be, and the words for the message of one that is not.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.quote import brief, short
from ssdzoo.suggest import did_you_mean

_LONGEST = 100  # numbers of a list


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _is_list(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (list, tuple)) and 0 < len(value) <= _LONGEST and all(_is_number(v, low, high) for v in value)


def _field(default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
    return field(default=default, metadata={"fits": fits, "expected": expected})


def _number(default: float, low: float, high: float) -> Any:
    return _field(default, lambda value: _is_number(value, low, high), f"a number from {low:g} to {high:g}")


def _range(default: tuple, low: float, high: float) -> Any:
    def fits(value: Any) -> bool:
        return _is_list(value, low, high) and len(value) == 2 and value[0] <= value[1]

    return _field(default, fits, f"[lowest, highest] from {low:g} to {high:g}")


def _numbers(default: tuple, low: float, high: float) -> Any:
    return _field(default, lambda value: _is_list(value, low, high), f"a list of numbers from {low:g} to {high:g}")


@dataclass(frozen=True)
class Operation:
    """A change of the image that is made with a probability. Numbers in ranges are drawn uniformly."""

    probability: float = _number(0.0, 0, 1)


@dataclass(frozen=True)
class Expand(Operation):
    """The image is laid anywhere on a canvas of the mean color (Liu et al. 2016), `ratio` times as wide and high."""

    ratio: tuple = _range((1.0, 4.0), 1, 10)


@dataclass(frozen=True)
class Scale(Operation):
    """Scale jitter: the image becomes `ratio` times as large, on a canvas of its size; its place is drawn."""

    ratio: tuple = _range((0.5, 1.5), 0.1, 10)


@dataclass(frozen=True)
class Crop(Operation):
    """A part that has a minimum IoU with an object (Liu et al. 2016): `scale` of its sides to the image's before the `aspect`, by
    which width / height changes; one of `min_iou` is drawn, or the whole image as often as each of them."""

    scale: tuple = _range((0.3, 1.0), 0.05, 1)
    aspect: tuple = _range((0.5, 2.0), 0.1, 10)
    min_iou: tuple = _numbers((0.0, 0.1, 0.3, 0.5, 0.7, 0.9), 0, 1)


@dataclass(frozen=True)
class Mirror(Operation):
    """Left and right change places."""


@dataclass(frozen=True)
class Flip(Operation):
    """Top and bottom change places."""


@dataclass(frozen=True)
class Rotate90(Operation):
    """A turn by 90, 180 or 270 degrees."""


@dataclass(frozen=True)
class Rotate(Operation):
    """A rotation by `degrees`, counterclockwise. A box becomes the enclosing box of its rotated corners; an object is dropped
    where less than `min_visible` of that box's area stays in the view."""

    degrees: tuple = _range((-10.0, 10.0), -45, 45)
    min_visible: float = _number(0.3, 0, 1)


@dataclass(frozen=True)
class Mosaic(Operation):
    """Four images in one (Bochkovskiy et al. 2020), which meet at a point within `center`, a part of the sides. Each is shown at
    `scale` of its usual size, or larger where its tile is. An object is dropped where less than `min_visible` of it is shown."""

    center: tuple = _range((0.3, 0.7), 0.1, 0.9)
    scale: tuple = _range((0.5, 1.0), 0.1, 2)
    min_visible: float = _number(0.3, 0, 1)


@dataclass(frozen=True)
class Colors(Operation):
    """Photometric distortion (Liu et al. 2016): `brightness` is added to the values, `contrast` and `saturation` are factors,
    `hue` is turned by degrees. `each` is the probability of each of the four."""

    each: float = _number(0.5, 0, 1)
    brightness: tuple = _range((-32.0, 32.0), -255, 255)
    contrast: tuple = _range((0.5, 1.5), 0, 10)
    saturation: tuple = _range((0.5, 1.5), 0, 10)
    hue: tuple = _range((-18.0, 18.0), -180, 180)


@dataclass(frozen=True)
class Grayscale(Operation):
    """The colors are taken away (ITU-R BT.601)."""


@dataclass(frozen=True)
class Blur(Operation):
    """A Gaussian filter, `sigma` in pixels of the network's input."""

    sigma: tuple = _range((0.5, 1.5), 0.1, 20)


FLIPS = ("horizontal", "none")  # "none" is for what means something else when it is mirrored, such as characters


@dataclass(frozen=True)
class Augmentation:
    """The operations, in the order in which they work. Without arguments none is made."""

    mosaic: Mosaic = Mosaic()
    expand: Expand = Expand()
    scale: Scale = Scale()
    crop: Crop = Crop()
    rotate: Rotate = Rotate()
    colors: Colors = Colors()
    grayscale: Grayscale = Grayscale()
    blur: Blur = Blur()
    mirror: Mirror = Mirror()
    flip: Flip = Flip()
    rotate90: Rotate90 = Rotate90()

    def to_table(self) -> dict:
        """Plain values {operation: {field: value}} of the operations that may be made; `augmentation_of` reads them back."""
        made = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name).probability}
        return {name: {f.name: _plain(getattr(operation, f.name)) for f in fields(operation)} for name, operation in made.items()}

    def changed(self, table: dict, where: str) -> "Augmentation":
        """This augmentation with the operations of a table in the place of its own.

        Args:
            table: {operation: {field: value}}, or {operation: probability}; fields that are left out have their defaults.
            where: names the table in errors.

        Raises:
            CallError: an unknown operation or field, or a value that is not allowed.
        """
        known: dict[str, type] = {f.name: type(f.default) for f in fields(self)}
        for name in table:
            if name not in known:
                hint = did_you_mean(str(name), known) or f"; the operations are {', '.join(known)}"
                raise CallError(f"{where}: unknown operation {brief(name)}{hint}")
        made: dict[str, Any] = {name: _operation(known[name], name, value, where) for name, value in table.items()}
        return replace(self, **made)

    def without_mirror(self) -> "Augmentation":
        """This augmentation without mirrored images."""
        return replace(self, mirror=Mirror())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _operation(kind: type[Operation], name: str, value: Any, where: str) -> Operation:
    values = value if isinstance(value, dict) else {"probability": value}
    own: dict[str, Field] = {f.name: f for f in fields(kind)}
    for key, given in values.items():
        if key not in own:
            hint = did_you_mean(str(key), own) or f"; the fields of {name} are {', '.join(own)}"
            raise CallError(f"{where}: {name} has no field {brief(key)}{hint}")
        if not own[key].metadata["fits"](given):
            raise CallError(f"{where}: {key} of {name} is {_shown(given)}; expected {own[key].metadata['expected']}")
    if "probability" not in values:
        raise CallError(f"{where}: {name} has no probability; expected one from 0 to 1")
    given_values: dict[str, Any] = {key: tuple(given) if isinstance(given, list) else given for key, given in values.items()}
    return kind(**given_values) if values["probability"] else kind()  # all that are not made are equal


def _shown(value: Any) -> str:
    plain = isinstance(value, (list, tuple)) and len(value) <= 4 and not any(isinstance(v, (list, tuple, dict)) for v in value)
    return short(value, 100) if plain else brief(value)


def table_lines(operations: dict) -> str:
    """The operations that may be made, {operation: {field: value}}, as lines of TOML."""
    made = {name: values for name, values in operations.items() if values["probability"]}
    lines = {name: ", ".join(f"{key} = {_plain(value)}" for key, value in values.items()) for name, values in made.items()}
    return "".join(f"{name} = {{ {line} }}\n" for name, line in lines.items())
