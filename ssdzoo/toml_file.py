"""Tables in TOML, as users write them: whatever is in the file, they are read or refused in one line."""

import re
import sys
from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.files import read_whole
from ssdzoo.quote import short

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_BYTES = 4 << 20  # of a table
# A key of very many parts, for which tomllib takes the square of their number.
_LONG_KEY = re.compile(r"""(?:["']?[\w-]{1,100}["']?\s{0,9}\.\s{0,9}){32}""")


def read_toml(path: str | Path) -> dict:
    """The table in a file.

    Raises:
        CallError: the file can't be read, or is not TOML.
    """
    try:
        text = read_whole(path, _MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"{path}: cannot be read as a table: {getattr(error, 'strerror', None) or error}") from None
    return parse_toml(text, path)


def parse_toml(text: str, file: str | Path) -> dict:
    """The table in a text; `file` names it in errors."""
    if _LONG_KEY.search(text):
        raise CallError(f"{file}: not a table: one of its keys has 32 parts or more, as a.b.c has three")
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of more than 4,300 digits
        raise CallError(f"{file}: not a TOML file: {short(error, 200)}") from None
    except RecursionError:
        raise CallError(f"{file}: not a TOML file that can be read: it is nested too deeply") from None
