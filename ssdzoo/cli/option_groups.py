"""Options that several verbs share and that belong together: a verb has one argument for all of them."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any


def grouped(name: str, options: Iterable[inspect.Parameter], make: Callable[..., Any]) -> Callable[[Any], Any]:
    """A decorator that gives a verb `options` in the place of its argument `name`, which gets what `make` returns.

    Args:
        options: arguments and options as typer takes them: parameters with an annotation and, where they may be left out, a
            default.
        make: is called with the values of the options, in their order.
    """
    places = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]

    def decorate(function: Any) -> Any:
        @wraps(function)
        def verb(**given: Any) -> Any:
            values = [given.pop(place.name) for place in places]
            return function(**given, **{name: make(*values)})

        own = inspect.signature(function).parameters.values()
        parameters = [each for place in own for each in (places if place.name == name else [place])]
        verb.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        )
        return verb

    return decorate
