"""The nearest known names to one that was mistyped."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable, count: int = 1, similarity: float = 0.6) -> str:
    """The end of a message about an unknown `word`: "; do you mean 'x'?", or "" where nothing in `known` is near.

    Args:
        count: maximum number of suggestions, best first.
        similarity: minimum of `difflib.SequenceMatcher.ratio`, 0 to 1.
    """
    near = difflib.get_close_matches(word, list(known), count, similarity)
    return f"; do you mean {' or '.join(map(repr, near))}?" if near else ""
