"""Tables and notes on a terminal, as the checks of data and of anchors print them."""

from collections.abc import Iterable
from itertools import islice

from rich.console import Console
from rich.table import Table

EXAMPLES = 10  # of one kind that are shown; --json has all


def make_table(*columns: str) -> Table:
    """An empty table: the first column is for names, the others for numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if table.columns else "left", overflow="fold")
    return table


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Prints a text as it is: nothing in it is markup, and numbers get no colors."""
    console.print(text, style=style, markup=False, highlight=False)


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
        console.print(f"  {example}", soft_wrap=True, markup=False, highlight=False)
    if count > EXAMPLES:
        print_line(console, f"  ... and {count - EXAMPLES:,} more (--json lists all)", "dim")
