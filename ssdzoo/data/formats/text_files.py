"""Small text files, and values of files as messages show them."""

import unicodedata
from pathlib import Path
from typing import Any

from ssdzoo.errors import DataError


def brief(value: Any, limit: int = 60) -> str:
    """A value of a file as a message shows it: short and on one line, whatever the file contains."""
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def nfc(text: str) -> str:
    """A name in Unicode's composed form (NFC), in which names of files and of classes are compared.

    A Mac writes the é in the name of a file as an e and an accent (NFD).
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


MOST_CLASSES = 10_000  # a larger id is damage, not a class


def class_id(value: Any) -> int | None:
    """A class id of a number or a text of a file; None where it is none."""
    found = number(value)
    return int(found) if 0 <= found < MOST_CLASSES and found == int(found) else None


def number(value: Any) -> float:
    """A float of a number or a text of a file; NaN where it is neither."""
    if isinstance(value, bool):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def read_text(path: Path) -> str:
    """The text of a small file in UTF-8.

    Raises:
        DataError: missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, from byte {error.start} on; save it as UTF-8") from None


def read_head(path: Path, size: int = 65536) -> str:
    """The begin of a file, `size` bytes as text, by which its format is recognized; "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(size)
    except OSError:
        return ""
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(coding, "replace")


def read_class_list(folder: Path, *names: str) -> list | None:
    """The lines of the first of these files that a folder has, in NFC; None where it has none of them.

    Raises:
        DataError: no names in it, or one twice.
    """
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return None
    lines = [nfc(line.strip()) for line in read_text(path).splitlines()]
    classes = [line for line in lines if line]
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice or not classes:
        raise DataError(f"{path}: " + (f"class {twice[0]!r} is there twice" if twice else "no class names; expected one a line"))
    return classes
