"""How anchors fit objects, as tables and as a picture."""

from rich.markup import escape
from rich.table import Table

from ssdzoo.anchors.recall import THRESHOLDS

EXAMPLES = 10  # objects without an anchor that are shown; --json has all
COLUMNS = (*map(str, THRESHOLDS), "IoU")


def print_fit(fit, data: str, split: str, console) -> None:
    """Prints a `ssdzoo.anchors.fit.Fit` on a rich Console."""
    (model, _), (before, after) = fit.presets, fit.tables
    height, width = model.base_size
    objects = before["all"]["objects"]
    title = f"{data}, split {split}: {len(fit.dataset)} images, {objects:,} objects, stretched to {width}x{height}"
    console.print(title, style="bold", markup=False, highlight=False)
    console.print()
    console.print(_recall(model.name, before, after))
    note = "share of the objects with an anchor of at least that IoU, and mean of the best IoUs; sizes are those in the input"
    console.print(note, style="dim", highlight=False)
    console.print()
    console.print(_levels(before["levels"], after["levels"]))
    note = "objects whose best anchor is of that map, and the share of them that it covers at IoU 0.5"
    console.print(note, style="dim", highlight=False)
    _uncovered(fit, console)


def _table(*columns) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if table.columns else "left", overflow="fold")
    return table


def _recall(name: str, before: dict, after: dict) -> Table:
    table = _table(f"{before['anchors']:,} anchors of {escape(name)}, {after['anchors']:,} proposed", "objects", *COLUMNS, "proposed",
                   *COLUMNS[1:])  # fmt: skip
    table.columns[6].header = f"→ {COLUMNS[0]}"
    sizes = {"small": "small, below 32x32", "medium": "medium, below 96x96", "large": "large"}
    sides = {key: f"  side {key.removesuffix('-inf')}{' and more' if key.endswith('inf') else ''}" for key in before["sides"]}
    groups = [{"all": "all objects"}, {name: escape(name) for name in before["classes"]}, {**sizes, **sides}]
    for kind, labels in zip(("", "classes", "sizes"), groups):
        for key, label in labels.items():
            where = "sides" if key in sides and kind == "sizes" else kind
            rows = [found[where][key] if where else found[key] for found in (before, after)]
            if rows[0]["objects"]:
                values = [cell for row in rows for cell in _cells(row)]
                table.add_row(label, f"{rows[0]['objects']:,}", *values, style=None if kind else "bold")
        table.add_section()
    return table


def _cells(row: dict) -> list:
    return [f"{row[str(t)]:.1%}" for t in THRESHOLDS] + [f"{row['IoU']:.2f}"]


def _levels(before: list, after: list) -> Table:
    table = _table("feature map", "step", "anchors at a cell", "objects", "0.5", "→ anchors", "objects", "0.5")
    for rows in zip(before, after):
        (height, width), steps = rows[0]["cells"], sorted(set(rows[0]["steps"]))
        cells = []
        for row in rows:
            share = f"{row['0.5']:.1%}" if row["objects"] else ""
            cells += [str(row["shapes"]), f"{row['objects']:,}", share]
        table.add_row(f"{height}x{width}", "x".join(f"{s:.1f}" for s in steps), *cells)
    return table


def _uncovered(fit, console) -> None:
    missed = fit.uncovered()
    if not missed:
        return
    after = sum(row["proposed"] < THRESHOLDS[0] for row in missed)
    console.print()
    console.print(f"without an anchor at IoU 0.5: {len(missed):,} objects, {after:,} of them with the proposed anchors too", style="bold",
                  highlight=False)  # fmt: skip
    for row in missed[:EXAMPLES]:
        box = ", ".join(f"{v:g}" for v in row["box"])
        text = f"  {row['file']}: {row['class']} ({box}): IoU {row['iou']:.2f} → {row['proposed']:.2f}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    if len(missed) > EXAMPLES:
        console.print(f"  ... and {len(missed) - EXAMPLES:,} more (--json lists all)", style="dim", highlight=False)
