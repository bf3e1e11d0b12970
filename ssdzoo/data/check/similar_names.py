"""Class names that are probably one class written in two ways."""

import re
from itertools import combinations

LETTERS = 5  # of a word in which one letter more, less or other is a slip; car and cat are two classes


def similar_names(names: list) -> list:
    """[(name, other name, what differs)]: letter case, spaces and hyphens, singular and plural, or one letter."""
    found = []
    for a, b in combinations(names, 2):
        plain_a, plain_b = _plain(a), _plain(b)
        if a.lower() == b.lower():
            found.append((a, b, "upper and lower case"))
        elif plain_a == plain_b:
            found.append((a, b, "spaces, hyphens and case"))
        elif _singular(plain_a) == _singular(plain_b):
            found.append((a, b, "singular and plural"))
        elif _one_letter(a.lower(), b.lower()):
            found.append((a, b, "one letter"))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _singular(name: str) -> str:
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if name.endswith(ending) and not name.endswith("ss") and len(name) > len(ending) + 1:
            return name.removesuffix(ending) + instead
    return name


def _one_letter(a: str, b: str) -> bool:
    """Whether one letter, of a word of LETTERS or more, makes the difference; another digit makes another class."""
    words = [re.split(r"[\W_]+", name) for name in (a, b)]
    different = [pair for pair in zip(*words) if pair[0] != pair[1]]
    if len(words[0]) != len(words[1]) or len(different) != 1:
        return False
    x, y = different[0]
    same = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
    p, q = x[same:], y[same:]
    return min(len(x), len(y)) >= LETTERS and (x + y).isalpha() and (p[1:] == q[1:] or p[1:] == q or p == q[1:])
