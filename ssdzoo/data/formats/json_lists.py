"""The lists in a large JSON object, in pieces: a file of COCO's may have a gigabyte, of which a reader needs a few megabytes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssdzoo.files import open_file

BLOCK = 1 << 22  # bytes that are read at a time
MOST = 1 << 28  # bytes of one element, or outside of the lists
_STEPS = np.zeros(256, np.int8)  # what a character adds to the depth of brackets; a quote, which adds nothing, is 2
_STEPS[list(b"[{")], _STEPS[list(b"]}")], _STEPS[ord('"')] = 1, -1, 2
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_KEY = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:\s*\Z')


def list_pieces(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yields (key, JSON of a list) of the lists in the outermost object; a long list comes in several pieces of whole elements.

    The text of a piece need not be JSON; everything outside of the lists is checked.

    Raises:
        ValueError: not a JSON object, or one with an element of more than MOST bytes.
        OSError: the file cannot be read.
    """
    text, depth, key, rest = b"", 0, None, bytearray()  # `rest` is the object without the content of its lists
    with open_file(file) as stream:
        while block := stream.read(max(BLOCK, len(text))):
            if b"\0" in block or len(text) + len(rest) > MOST:
                raise ValueError("not JSON")
            text += block
            places, depths = _brackets(text, depth)
            low = np.flatnonzero(depths <= 2)  # behind each of them, an element or a list begins or has ended
            if not len(low):
                continue
            begin, before = 0, depth
            for i in low[(np.minimum(depths[low], 2) != np.minimum(np.concatenate([[depth], depths[low[:-1]]]), 2))].tolist():
                at, after = int(places[i]), int(depths[i])
                if before == 1 and after == 2:
                    rest += text[begin : at + 1]
                    found = _KEY.search(text[begin:at]) if text[at] == ord("[") else None
                    key, begin = json.loads(found[1]) if found else None, at + 1
                elif before == 2 and key is not None:
                    yield key, _as_list(text[begin:at])
                    begin, key = at, None
                before = after
            end, depth = int(places[low[-1]]) + 1, int(depths[low[-1]])
            if depth == 2 and key is not None:
                yield key, _as_list(text[begin:end])
            else:
                rest += text[begin:end]
            text = text[end:]
    if not isinstance(json.loads((rest + text).decode("utf-8-sig")), dict):
        raise ValueError("not an object")


def _brackets(text: bytes, depth: int) -> tuple:
    """Places of the brackets outside of strings, (K,) int, and the depth behind each of them; `depth` is that before the text."""
    plain = _ESCAPE.sub(b"..", text) if b"\\" in text else text
    steps = _STEPS[np.frombuffer(plain, np.uint8)]
    places = np.flatnonzero(steps)
    steps = steps[places]
    quotes = steps == 2
    outside = (np.cumsum(quotes) % 2 == 0) & ~quotes
    return places[outside], depth + np.cumsum(steps[outside], dtype=np.int64)


def _as_list(elements: bytes) -> bytes:
    return b"[" + elements.strip(b" \t\r\n").removeprefix(b",") + b"]"
