"""Prints how anchors fit objects, as tables."""

from rich.markup import escape
from rich.table import Table

from ssdzoo.anchors.recall import SIDES, THRESHOLDS

EXAMPLES = 10  # objects without an anchor that are shown; --json has all
WORTH_A_NOTE = 0.01  # share of objects that are too small for the finest feature map
SIZES = {"small": "small, below 32x32", "medium": "medium, below 96x96", "large": "large"}


def print_fit(fit, data: str, split: str, console) -> None:
    """Prints a `ssdzoo.measure.anchor_fit.Fit` on a rich Console."""
    (model, _), (before, after) = fit.presets, fit.tables
    height, width = model.base_size
    images = f"{len(fit.dataset)} images, {before['all']['objects']:,} objects, stretched to {width}x{height}"
    console.print(f"{data}, split {split}: {images}", style="bold", markup=False, highlight=False)
    anchors = f"now: {before['anchors']:,} anchors of {model.name}; proposed: {after['anchors']:,}"
    console.print(anchors, style="bold", markup=False, highlight=False)
    console.print()
    console.print(_recall(before, after))
    _note(
        console,
        "share of the objects with an anchor of at least that IoU, and the mean of their best IoUs; sizes in the network's input",
    )
    console.print()
    console.print(_levels(fit))
    _note(console, "objects whose best anchor is of that feature map, and the share of them with an IoU of at least 0.5")
    _too_small(fit, console)
    _uncovered(fit, console)


def _note(console, text: str) -> None:
    console.print(text, style="dim", highlight=False)


def _table(*columns) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if table.columns else "left", overflow="fold")
    return table


def _recall(before: dict, after: dict) -> Table:
    table = _table("", "objects", "now 0.5", "0.6", "0.7", "IoU", "  proposed 0.5", "0.6", "0.7", "IoU")

    def add(label: str, *path, **style):
        rows = [_within(found, path) for found in (before, after)]
        if rows[0]["objects"]:
            table.add_row(label, f"{rows[0]['objects']:,}", *(cell for row in rows for cell in _cells(row)), **style)

    add("all objects", "all", style="bold")
    for name in before["classes"]:
        add(escape(name), "classes", name)
    for size, label in SIZES.items():
        add(label, "sizes", size)
        finer = [side for side in SIDES[size] if before["sides"][side]["objects"]]
        for side in finer if len(finer) > 1 else ():
            add(f"  side {side}", "sides", side)
    return table


def _within(found: dict, path) -> dict:
    for key in path:
        found = found[key]
    return found


def _cells(row: dict) -> list:
    return [f"{row[str(t)]:.1%}" for t in THRESHOLDS] + [f"{row['IoU']:.2f}"]


def _levels(fit) -> Table:
    table = _table(
        "feature map", "step", "per cell", "objects", "0.5", "  proposed", "objects", "0.5", "width x height (proposed)"
    )
    table.columns[-1].justify = "left"
    for rows, level in zip(zip(*(found["levels"] for found in fit.tables)), fit.levels[1]):
        (height, width), steps = rows[0]["cells"], sorted(set(rows[0]["steps"]))
        cells = []
        for row in rows:
            cells += [str(row["shapes"]), f"{row['objects']:,}", f"{row['0.5']:.1%}" if row["objects"] else ""]
        shapes = "  ".join(f"{w:.0f}x{h:.0f}" for w, h in level.shapes)
        table.add_row(f"{height}x{width}", "x".join(f"{s:.1f}" for s in steps), *cells, shapes)
    return table


def _too_small(fit, console) -> None:
    count, objects = fit.too_small(), len(fit.objects.boxes)
    if count >= WORTH_A_NOTE * objects:
        step = max(fit.levels[0][0].steps)
        console.print()
        what = f"{count:,} objects ({count / objects:.1%}) are too small for the finest feature map (step {step:.1f} pixels):"
        remedy = "no anchor covers them at every position. Take a model with a finer feature map (_s8) or a larger input."
        console.print(f"{what} {remedy}", highlight=False)


def _uncovered(fit, console) -> None:
    missed = fit.uncovered()
    if not missed:
        return
    console.print()
    text = f"objects without an anchor at IoU 0.5: {len(missed):,} now, {fit.missed[1]:,} with the proposed ones"
    console.print(text, style="bold", highlight=False)
    for row in missed[:EXAMPLES]:
        box = ", ".join(f"{v:g}" for v in row["box"])
        text = f"  {row['file']}: {row['class']} ({box}): IoU {row['iou']:.2f}, proposed {row['proposed']:.2f}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    if len(missed) > EXAMPLES:
        _note(console, f"  ... and {len(missed) - EXAMPLES:,} more (--json lists all)")
