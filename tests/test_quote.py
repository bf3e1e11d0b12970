"""Values of files in messages: short, on one line, printable."""

import os
import pickle

import pytest

from ssdzoo.errors import DataError
from ssdzoo.quote import brief, message, printable, short
from tests.hostile import limits  # noqa: F401


@pytest.mark.parametrize("value, shown", [
    ("cat", "'cat'"), (5, "5"), (2**70, "a number of 71 bits"), ([1, 2], "a list of 2"), ({}, "a dict of 0"),
    ("\x1b[31m", "'\\x1b[31m'"), ("x" * 10**7, "'" + "x" * 59 + "..."), (b"\xff" * 10**7, "b'" + "\\xff" * 14 + "\\x..."),
])  # fmt: skip
def test_a_value_is_short_and_printable(value, shown):
    assert brief(value) == shown


@pytest.mark.parametrize("text, shown", [
    ("a zebra", "a zebra"), ("\u732b 🐈 é", "\u732b 🐈 é"), ("a\nb\tc\r", "a\nb\\tc\\r"), ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
    ("a\u202egpj", "a\\u202egpj"), (os.fsdecode(b"caf\xe9.jpg"), "caf\\udce9.jpg"), ("\ud800", "\\ud800"), ("\x9b1m", "\\x9b1m"),
])  # fmt: skip
def test_what_steers_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown
    shown.encode()


def test_a_name_without_quotes():
    assert short("cat") == "cat"
    assert short("a\nb") == "a\\nb"
    assert short("x" * 100) == "x" * 60 + "..."


def test_of_a_long_line_the_begin_and_the_end_are_kept():
    assert message("a" * 5000 + "b\nc") == "a" * 500 + " ... " + "a" * 499 + "b\nc"
    assert message("a" * 1000) == "a" * 1000


def test_errors_can_be_printed():
    error = DataError(f"{os.fsdecode(b'x' + bytes([255]))}.jpg: class \x1b[31m")
    assert str(error) == "x\\udcff.jpg: class \\x1b[31m"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert DataError(5).args == (5,)
