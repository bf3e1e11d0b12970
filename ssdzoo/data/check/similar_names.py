"""Class names that are probably one class written in two ways."""

import re
from itertools import combinations
from typing import NamedTuple

from ssdzoo.data.formats.text_files import nfc

COMPARED = 1000  # names of which each is compared with all others
SHOWN = 1000  # pairs
LETTERS = 5  # of a word in which one letter more, less or other is a slip; car and cat are two classes
# Between words; all other signs belong to the name: C and C++ are two classes, and so are + and -, 1.5 and 15.
_SEPARATORS = re.compile(r"(?<=[^\W_])[\s_.'-]+(?=[^\W\d_])|(?<=[^\W\d_])[\s_.'-]+(?=[^\W_])")


class _Forms(NamedTuple):
    """A name as the comparisons need it: in lower case, without separators, in the singular, its words, and its other signs."""

    lower: str
    plain: str
    singular: str
    words: list
    signs: str

    @classmethod
    def of(cls, name: str) -> "_Forms":
        lower = nfc(name).lower()
        plain = _SEPARATORS.sub("", lower)
        return cls(lower, plain, _singular(plain), re.findall(r"[^\W_]+", lower), re.sub(r"[^\W_]|[\s_.'-]", "", lower))


def similar_names(names: list) -> list:
    """[(name, other name, what differs)]: Unicode's form, letter case, spaces and hyphens, singular and plural, or one letter.

    A name of one character is a sign, which differs from all others. Of many names the first COMPARED are compared, and the first
    SHOWN pairs are returned.
    """
    found: list[tuple] = []
    pairs = combinations([(name, _Forms.of(name)) for name in names[:COMPARED] if len(nfc(name)) > 1], 2)
    for (a, one), (b, other) in pairs:
        if len(found) == SHOWN:
            break
        if one.lower == other.lower:
            found.append((a, b, "upper and lower case" if nfc(a) != nfc(b) else "the form of Unicode (NFC or NFD)"))
        elif one.plain == other.plain:
            found.append((a, b, "spaces, hyphens and case"))
        elif one.singular == other.singular:
            found.append((a, b, "singular and plural"))
        elif one.signs == other.signs and _one_letter(one.words, other.words):
            found.append((a, b, "one letter"))
    return found


def _singular(name: str) -> str:
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        stem = name.removesuffix(ending)
        if name.endswith(ending) and not name.endswith("ss") and len(stem) > 1 and stem[-1].isalpha():
            return stem + instead
    return name


def _one_letter(a: list, b: list) -> bool:
    """Whether one letter, of a word of LETTERS or more, makes the difference; another digit makes another class."""
    if len(a) != len(b):
        return False
    different = [pair for pair in zip(a, b) if pair[0] != pair[1]]
    if len(different) != 1:
        return False
    x, y = different[0]
    same = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
    p, q = x[same:], y[same:]
    return min(len(x), len(y)) >= LETTERS and (x + y).isalpha() and (p[1:] == q[1:] or p[1:] == q or p == q[1:])
