"""The names of a network's classes, as a user gives them."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.files import read_whole
from ssdzoo.quote import brief

_MAX_BYTES = 1 << 20  # of a list


def class_names(classes: Iterable[str]) -> list[str]:
    """The names of the classes.

    Raises:
        CallError: no names, such as the number of the classes, or two that are equal.
    """
    if isinstance(classes, str):
        raise CallError(f"classes is one string, {classes!r}, where a list of names is expected: [{classes!r}]")
    if not isinstance(classes, Iterable):
        raise CallError(f"classes={classes!r}: expected the names of the classes, such as ['cat', 'dog'], not their number")
    names = list(classes)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise CallError(f"classes={names}: expected different names, such as ['cat', 'dog']")
    return names


def read_class_names(path: str | Path) -> list[str]:
    """The names in a file, one a line.

    Raises:
        CallError: it can't be read, holds no names, or one twice.
    """
    try:
        text = read_whole(path, _MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_class_names(text, str(path))


def parse_class_names(text: str, where: str) -> list[str]:
    """The names in a text, one a line; `where` names it in errors.

    Raises:
        CallError: no names, or one twice.
    """
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise CallError(f"{where}: no class names; expected one a line")
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise CallError(f"{where}: class {brief(twice)} is there twice")
    return names


def numbered_names(count: int) -> list[str]:
    """Names for classes that nothing names: "class 0", "class 1" and so on."""
    return [f"class {i}" for i in range(count)]


def are_numbered(names: Sequence[str]) -> bool:
    """Whether nobody has named these classes."""
    return list(names) == numbered_names(len(names))


def kept_classes(old: list, new: list, reuse: dict | Iterable[str] | None) -> dict[int, int]:
    """{new index: old index} of the classes whose weights are kept; `reuse` is the argument `reuse_weights` of
    `SSDNetwork.reset_class`.

    Raises:
        CallError: a name or an index of the dict that is not there.
    """
    if not reuse:
        return {}
    if not isinstance(reuse, dict):
        missing = [name for name in reuse if name not in old or name not in new]
        if missing:
            warnings.warn(f"no weights are kept for {missing}: not among both the old and the new classes", stacklevel=3)
        reuse = {name: name for name in reuse if name not in missing}

    def index(key: str | int, names: list, which: str) -> int:
        if key not in (names if isinstance(key, str) else range(len(names))):
            raise CallError(f"{key!r} is not among the {which} classes {names}, by name or by index")
        return names.index(key) if isinstance(key, str) else int(key)

    return {index(n, new, "new"): index(o, old, "old") for n, o in reuse.items()}
