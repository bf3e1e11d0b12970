"""Prints the result of a data check as tables."""

from collections import defaultdict

from rich.console import Console

from ssdzoo.data.check.check_dataset import DataCheck
from ssdzoo.progress import counted
from ssdzoo.report.tables import PlainTable, add_rows, make_table, print_examples, print_line, print_table


def print_check(check: DataCheck, console: Console) -> None:
    """Prints the result of a data check."""
    classes = counted(len(check.names), "class")
    print_line(console, f"{check.data}: {', '.join(check.formats)}, {classes}", "bold")
    console.print()
    console.print(_splits(check))
    if check.repeated:
        print_line(console, f"not shown: {', '.join(check.repeated)}, whose images are all in those above", "dim")
    print_table(
        console, _classes(check, console), "width, height (pixels) and aspect (width / height): 5th, 50th and 95th percentile"
    )
    if check.anchors:
        height, width = check.anchors["size"]
        sizes = "small is below 32x32 pixels there, large from 96x96"
        what = f"share with an anchor at IoU 0.5, stretched to {height}x{width} (H x W); {sizes}"
        print_table(console, _anchors(check.anchors, console), what)
    for title, problems, style in (("errors", check.errors, "bold red"), ("warnings", check.warnings, "bold yellow")):
        _problems(console, title, problems, style)
    console.print()
    print_line(console, _verdict(check), "bold")


def _verdict(check: DataCheck) -> str:
    errors, warnings = len(check.errors), len(check.warnings)
    found = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    return f"{found}: " + ("a training would fail, or learn something wrong" if errors else "ready to train")


def _splits(check: DataCheck) -> PlainTable:
    extra = [name for name in ("difficult", "crowd") if any(row[name] for row in check.splits.values())]
    table = make_table("split", "images", "objects", "without objects", *extra)
    for split, row in check.splits.items():
        values = [row[key] for key in ("images", "objects", "negatives", *extra)]
        table.add_row(split, *(f"{value:,}" for value in values))
    return table


def _classes(check: DataCheck, console: Console) -> PlainTable:
    splits = list(check.splits)
    table = make_table("class", *splits, "share", "images", "width", "height", "aspect")
    rows = []
    for name, row in sorted(check.classes.items(), key=lambda pair: -pair[1]["share"]):
        counts = [f"{row['objects'][split]:,}" for split in splits]
        ranges = [_range(row["width"], 0), _range(row["height"], 0), _range(row["aspect"], 2)]
        rows.append([name, *counts, f"{row['share']:.1%}", f"{row['images']:,}", *ranges])
    add_rows(table, rows, console)
    return table


def _range(values: list | None, digits: int) -> str:
    return "-".join(f"{v:.{digits}f}" for v in values) if values else ""


def _anchors(found: dict, console: Console) -> PlainTable:
    table = make_table(f"{found['anchors']:,} anchors of {found['model']}", "all", "small", "medium", "large", "mean IoU")

    def cells(name: str, row: dict) -> list:
        shares = ["" if row[key] is None else f"{row[key]:.1%}" for key in ("all", "small", "medium", "large")]
        return [name, *shares, "" if row["IoU"] is None else f"{row['IoU']:.2f}"]

    rows = [cells(*pair) for pair in found["classes"].items()]
    add_rows(table, rows, console, [row["all"] for row in found["classes"].values()])
    table.add_row(*cells("all classes", found["all"]), style="bold")
    return table


def _problems(console: Console, title: str, problems: list, style: str) -> None:
    kinds = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    for kind, found in kinds.items():
        heading = f"{title[:-1] if len(found) == 1 else title}: {kind} ({len(found):,})"
        print_examples(console, heading, style, found, len(found))
