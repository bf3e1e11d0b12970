"""Reads Caffe's `.prototxt`, the text format of Protocol Buffers."""

import re
from collections.abc import Iterator
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.files import read_whole
from ssdzoo.quote import brief

_MAX_BYTES = 4 << 20  # ResNet-152's has 0.1 MB
_MAX_DEPTH = 20
# Spaces and comments; texts in quotes, brackets and marks, and words; anything else.
_TOKEN = re.compile(r"""\s+|\#[^\n]*|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[][{}<>:,;]|[\w.+-]+)|(.)""")


def read_prototxt(path: str | Path) -> dict:
    """{field: its values in their order} of a file. A value is a text without quotes, or a message: such a dict.

    Raises:
        WeightsError: missing, unreadable, or not in this format.
    """
    try:
        return _parse(_tokens(read_whole(path, _MAX_BYTES).decode("utf-8")))
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise WeightsError(f"{path}: not a .prototxt: {error}") from None


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        if match[2]:
            raise ValueError(f"byte {len(text[: match.start()].encode())} is {brief(match[2])}")
        if match[1]:
            yield match[1]


def _parse(tokens: Iterator[str]) -> dict:
    whole: dict = {}
    stack = [whole]
    for name in tokens:
        if name in ",;":
            continue
        if name in "}>":
            stack.pop()
            if not stack:
                raise ValueError(f"a {name} too many")
            continue
        if not (name[0].isalpha() or name[0] == "_"):
            raise ValueError(f"{brief(name)} stands where the name of a field was expected")
        values, token = stack[-1].setdefault(name, []), next(tokens, "")
        if token == ":":
            token = next(tokens, "")
        if token and token in "{<":
            values.append({})
            stack.append(values[-1])
            if len(stack) > _MAX_DEPTH:
                raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        elif token == "[":
            while (token := next(tokens, "")) not in ("]", ""):
                values += [_scalar(token)] if token != "," else []
        else:
            values.append(_scalar(token))
    if len(stack) > 1:
        raise ValueError("it ends within a message")
    return whole


def _scalar(token: str) -> str:
    if not token or token[0] in "{}<>[]:,;":
        raise ValueError(f"{brief(token)} stands where a value was expected")
    return token[1:-1] if token[0] in "\"'" else token
