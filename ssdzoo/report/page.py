"""Pages of HTML that need no other file: their frame, their style, tables and headline numbers. Light and dark, also on paper.

Whatever comes from a user goes through `html.escape`, in every function here; arguments called `body` or `html` are HTML already.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path

from ssdzoo.files import write_text

_HERE = Path(__file__).parent
NONE = "-"


def page(title: str, about: Sequence[str], numbers: Iterable[tuple[str, str]], sections: Sequence[tuple[str, str, str]],
         notes: str = "", end: str = "") -> str:  # fmt: skip
    """A whole page.

    Args:
        title: the heading.
        about: lines below it.
        numbers: (name, value) of the headline numbers, the most important one first.
        sections: (id, heading, HTML of the body); the ids are ASCII words.
        notes: HTML between the numbers and the sections.
        end: HTML at the end, such as a script.
    """
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading, _ in sections)
    cards = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in numbers)
    parts = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(heading)}</h2>\n{body}</section>\n'
        for name, heading, body in sections
    )
    lines = "".join(f'<p class="soft">{escape(line)}</p>' for line in about)
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{_style()}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{lines}
<dl class="numbers">{cards}</dl>
{notes}
<nav aria-label="On this page"><ul>{links}</ul></nav>
</header>
<main>
{parts}</main>
<footer>Written by ssdzoo on {written}.</footer>
{end}
</body>
</html>
"""


def theme() -> str:
    """CSS: the colors of all pages, as variables, in the light and in the dark."""
    return (_HERE / "theme.css").read_text("utf-8")


def _style() -> str:
    light = theme().partition("@media")[0].partition("{")[2].rpartition("}")[0]  # on paper, whatever the screen has
    page_style = (_HERE / "page.css").read_text("utf-8")
    return theme() + page_style.replace("/*LIGHT*/", light.replace("light dark", "light").strip())


def script() -> str:
    """JavaScript that shows one of the pictures of a page large."""
    return (_HERE / "page.js").read_text("utf-8")


def write_page(path: str | Path, html: str) -> None:
    """Replaces a page. Names of files need not be UTF-8: their other bytes become question marks."""
    write_text(path, html.encode("utf-8", "replace").decode("utf-8"))


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash for None."""
    return NONE if value is None else f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], foot: Sequence[str] | None = None, name: str | None = None) -> str:
    """A table whose first column names the rows, and whose others hold numbers.

    Args:
        head: names of the columns.
        rows: texts. `foot`: a last row, apart from the others.
        name: what a screen reader calls it, where it can be wider than the window.
    """
    side = ' class="right"'

    def row(cells: Sequence[str]) -> str:
        first, *others = map(escape, cells)
        return f'<tr><th scope="row">{first}</th>' + "".join(f"<td{side}>{cell}</td>" for cell in others) + "</tr>\n"

    above = "".join(f'<th scope="col"{side if i else ""}>{escape(text)}</th>' for i, text in enumerate(head))
    parts = f"<thead><tr>{above}</tr></thead><tbody>{''.join(map(row, rows))}</tbody>"
    parts += f"<tfoot>{row(foot)}</tfoot>" if foot else ""
    return scrolled(f"<table>{parts}</table>", name)


def scrolled(html: str, name: str | None) -> str:
    """HTML that may be wider than the window; with a name, the keyboard reaches and scrolls it."""
    reach = f' tabindex="0" role="region" aria-label="{escape(name)}"' if name else ""
    return f'<div class="scroll"{reach}>{html}</div>\n'


def values_list(values: dict) -> str:
    """Plain values by name, in columns; None is a dash."""
    rows = (f"<div><dt>{escape(str(name))}</dt><dd>{escape(_shown(value))}</dd></div>" for name, value in values.items())
    return f'<dl class="values">{"".join(rows)}</dl>'


def _shown(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def files_table(files: Iterable[dict]) -> str:
    """Files with their SHA-256: [{"path", "sha256"}]. Of the path the name alone: a page is to be shown to others."""
    rows = "".join(
        f'<tr><th scope="row">{escape(Path(file["path"]).name)}</th><td><code>{escape(file["sha256"])}</code></td></tr>\n'
        for file in files
    )
    return scrolled(
        f'<table><thead><tr><th scope="col">file</th><th scope="col">SHA-256</th></tr></thead><tbody>{rows}</tbody></table>', None
    )
