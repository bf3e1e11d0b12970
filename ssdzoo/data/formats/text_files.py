"""Small text files, and the names and numbers in them."""

import errno
import io
import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from ssdzoo.errors import DataError
from ssdzoo.files import MOST_TEXT, open_file, read_whole
from ssdzoo.quote import brief


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


def read_text(path: Path, limit: int = MOST_TEXT) -> str:
    """The text of a small file in UTF-8, of at most `limit` bytes.

    Raises:
        DataError: missing, unreadable, too large, no regular file, or not UTF-8; see `ssdzoo.files.read_whole`.
    """
    try:
        return io.TextIOWrapper(io.BytesIO(read_whole(path, limit)), "utf-8-sig").read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        is_content = error.errno in (errno.EILSEQ, errno.EFBIG)
        raise DataError(f"{path}: {'' if is_content else 'cannot be read: '}{error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, from byte {error.start} on; save it as UTF-8") from None


def read_lines(path: Path) -> list:
    """The lines of a list in UTF-8; other bytes in it become U+FFFD, and a name that holds them is not found.

    Raises:
        DataError: see `read_text`.
    """
    try:
        return read_whole(path).decode("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def read_head(path: Path, size: int = 65536) -> str:
    """The begin of a file, `size` bytes as text, by which its format is recognized; "" where it cannot be read."""
    try:
        with open_file(path) as file:
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
    path = next((folder / name for name in names if os.path.isfile(folder / name)), None)
    if path is None:
        return None
    lines = [nfc(line.strip()) for line in read_text(path).splitlines()]
    classes = [line for line in lines if line]
    if not classes:
        raise DataError(f"{path}: no class names; expected one a line")
    if twice := repeated(classes):
        raise DataError(f"{path}: class {brief(twice)} is there twice")
    return classes


def repeated(names: list) -> str | None:
    """The first of the names, by the alphabet, that is there twice; None where none is."""
    return min((name for name, count in Counter(names).items() if count > 1), default=None)
