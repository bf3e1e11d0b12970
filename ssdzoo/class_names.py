"""The names of a network's classes, as a user gives them."""

from collections.abc import Iterable

from ssdzoo.errors import CallError


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
