"""One item ahead of whoever uses them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(items: Iterator[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
    """Yields `make` of each item, in order. A thread takes the next item and makes it ready while the last one is used.

    Raises:
        Exception: of `items` or `make`, in its turn.
    """

    def following() -> list[Made]:
        return [make(item) for item in islice(items, 1)]

    with ThreadPoolExecutor(1) as maker:
        waiting = maker.submit(following)
        while made := waiting.result():
            waiting = maker.submit(following)
            yield from made
