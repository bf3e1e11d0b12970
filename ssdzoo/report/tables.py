"""Tables and notes on a terminal. What is printed is plain text: brackets and colons in the name of a class or of a file are no
markup. So all tables and consoles are made here.
"""

from collections.abc import Iterable
from itertools import islice
from math import floor
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssdzoo.quote import message, short

MAX_WIDTH = 200  # characters of a cell
EXAMPLES = 10  # of one kind that are shown; --json has all
ROWS = 100  # of a table of classes on a terminal; of more rows it shows ENDS at both ends
ROWS_IN_FILE = 2000  # that a file or a pipe gets: rich takes minutes for more
ENDS = 30


def shown_threshold(score: float) -> str:
    """A score to use as a minimum, rounded down, so that it keeps the detection that it is the score of."""
    return f"{floor(score * 1e4) / 1e4:.4f}"


class PlainTable(Table):
    """A table of rich without lines, whose texts are printed as they are. A cell with a style is a rich Text."""

    def __init__(self, *headers: str, **settings: Any):
        super().__init__(*headers, **{"box": None, "header_style": "bold", **settings})

    def add_column(self, header: Any = "", *args: Any, **settings: Any) -> None:
        super().add_column(_plain(header), *args, **settings)

    def add_row(self, *cells: Any, **settings: Any) -> None:
        super().add_row(*map(_plain, cells), **settings)


def _plain(text: Any) -> Any:
    return Text(short(text, MAX_WIDTH)) if isinstance(text, str) else text


def make_console(**settings: Any) -> Console:
    """A console that prints texts as they are; `settings` are those of rich."""
    return Console(markup=False, emoji=False, highlight=False, **settings)


def make_table(*columns: str) -> PlainTable:
    """An empty table: the first column is for names, the others for numbers."""
    table = PlainTable(pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if table.columns else "left", overflow="fold")
    return table


def add_rows(table: Table, rows: list, console: Console, worth: Iterable | None = None) -> None:
    """Adds a row for each class; of more than ROWS on a terminal, or ROWS_IN_FILE elsewhere, only the first and the last ones.

    Args:
        rows: the cells of each.
        worth: a number for each row, or None. Where rows are left out, the others are sorted by it, so that the worst and the
            best are shown, and none without a number.
    """
    if len(rows) > (ROWS if console.is_terminal else ROWS_IN_FILE):
        chosen = rows
        if worth is not None:
            chosen = [rows[i] for _, i in sorted((value, i) for i, value in enumerate(worth) if value is not None)]
        first, last = chosen[:ENDS], chosen[ENDS:][-ENDS:]
        rows = [*first, [f"... {len(rows) - len(first) - len(last):,} more (--json has all)"], *last]
    for cells in rows:
        table.add_row(*cells)


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Prints a text as it is: nothing in it is markup, and numbers get no colors."""
    console.print(Text(message(text), style or ""))


def print_table(console: Console, table: Table, note: str) -> None:
    """Prints an empty line, a table, and a note about it."""
    console.print()
    console.print(table)
    print_line(console, note, "dim")


def print_examples(console: Console, title: str, style: str, examples: Iterable, count: int) -> None:
    """Prints an empty line, a title, the first EXAMPLES of `count` examples, and how many more there are."""
    console.print()
    print_line(console, title, style)
    for example in islice(examples, EXAMPLES):
        console.print(Text(message(f"  {example}")), soft_wrap=True)
    if count > EXAMPLES:
        print_line(console, f"  ... and {count - EXAMPLES:,} more (--json lists all)", "dim")
