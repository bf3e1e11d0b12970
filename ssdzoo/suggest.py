"""The nearest known names to one that was mistyped."""

import difflib
from collections.abc import Iterable
from itertools import islice

from ssdzoo.quote import brief

COMPARED = 2000  # known names that are compared: each takes some microseconds
LONGEST = 100  # characters of a word that is compared, which takes the square of it


def did_you_mean(word: str, known: Iterable, count: int = 1, similarity: float = 0.6) -> str:
    """The end of a message about an unknown `word`: "; do you mean 'x'?", or "" where nothing in `known` is near.

    Args:
        known: names, of which the first COMPARED are compared.
        count: maximum number of suggestions, best first.
        similarity: minimum of `difflib.SequenceMatcher.ratio`, 0 to 1.
    """
    if len(word) > LONGEST:
        return ""
    names = [name for name in islice(known, COMPARED) if len(name) <= LONGEST]
    near = difflib.get_close_matches(word, names, count, similarity)
    return f"; do you mean {' or '.join(map(brief, near))}?" if near else ""
