"""Tables and notes on a terminal, as the checks of data and of anchors print them."""

from rich.console import Console
from rich.table import Table


def make_table(*columns: str) -> Table:
    """An empty table: the first column is for names, the others for numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if table.columns else "left", overflow="fold")
    return table


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Prints a text as it is: nothing in it is markup, and numbers get no colors."""
    console.print(text, style=style, markup=False, highlight=False)
