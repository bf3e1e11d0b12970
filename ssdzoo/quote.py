"""What files and paths hold, as messages and tables show it: short, on one line, and without characters that steer a terminal."""

from typing import Any

LIMIT = 60  # characters of one value
LONGEST = 1000  # characters of one line of a message, of which the middle is left out
_SHOWN = "\n\u00a0\u200c\u200d\u3000"  # shown though Python calls them not printable: spaces, and joiners of Persian and of emoji


def brief(value: Any, limit: int = LIMIT) -> str:
    """A value of a file as a message shows it: in quotes if it is a text, short and on one line, whatever the file contains."""
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    text = repr(value[: limit + 1] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= limit else text[:limit] + "..."


def short(text: Any, limit: int = LIMIT) -> str:
    """A name of a file as a message shows it without quotes: on one line, and of at most `limit` characters."""
    plain = printable(str(text)[: limit + 1]).replace("\n", "\\n")
    return plain if len(plain) <= limit else plain[:limit] + "..."


def printable(text: str) -> str:
    """A text in which characters that cannot be seen, but ends of lines, are escaped as in Python's literals: control characters,
    those that turn the direction of writing, and surrogates, as which Python keeps bytes of a path that are not UTF-8."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _SHOWN else repr(c)[1:-1] for c in text)


def message(text: str) -> str:
    """The text of an error: printable, and without the middle of a line that is longer than LONGEST."""
    text = printable(text)
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return "\n".join(line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}" for line in text.split("\n"))
