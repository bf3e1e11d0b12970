"""Prints how anchors fit objects, as tables."""

from rich.console import Console

from ssdzoo.anchors.recall import SIDES, THRESHOLDS
from ssdzoo.measure.anchor_fit import Fit
from ssdzoo.progress import counted
from ssdzoo.report.tables import PlainTable, add_rows, make_table, print_examples, print_line, print_table

WORTH_A_NOTE = 0.01  # share of objects that are too small for the finest feature map
SIZES = {"small": "small, below 32x32", "medium": "medium, below 96x96", "large": "large"}


def print_fit(fit: Fit, data: str, split: str, console: Console) -> None:
    """Prints a comparison of anchors; `data` and `split` name the images."""
    (model, _), (before, after) = fit.presets, fit.tables
    height, width = model.base_size
    images = f"{counted(len(fit.dataset), 'image')}, {counted(before['all']['objects'], 'object')}, stretched to {width}x{height}"
    print_line(console, f"{data}, split {split}: {images}", "bold")
    print_line(console, f"now: {before['anchors']:,} anchors of {model.name}; proposed: {after['anchors']:,}", "bold")
    what = "share of the objects with an anchor of at least that IoU, and the mean of their best IoUs"
    print_table(console, _recall(before, after, console), f"{what}; sizes in the network's input")
    what = "objects whose best anchor is of that feature map, and the share of them with an IoU of at least 0.5"
    print_table(console, _levels(fit), what)
    _too_small(fit, console)
    _uncovered(fit, console)


def _recall(before: dict, after: dict, console: Console) -> PlainTable:
    table = make_table("", "objects", "now 0.5", "0.6", "0.7", "IoU", "  proposed 0.5", "0.6", "0.7", "IoU")

    def cells(label: str, old: dict, new: dict) -> list:
        return [label, f"{old['objects']:,}", *_cells(old), *_cells(new)]

    def add(label: str, old: dict, new: dict, style: str | None = None) -> None:
        if old["objects"]:
            table.add_row(*cells(label, old, new), style=style)

    add("all objects", before["all"], after["all"], "bold")
    classes = {name: row for name, row in before["classes"].items() if row["objects"]}
    rows = [cells(name, row, after["classes"][name]) for name, row in classes.items()]
    add_rows(table, rows, console, [row["0.5"] for row in classes.values()])
    for size, label in SIZES.items():
        add(label, before["sizes"][size], after["sizes"][size])
        finer = [side for side in SIDES[size] if before["sides"][side]["objects"]]
        for side in finer if len(finer) > 1 else ():
            add(f"  side {side}", before["sides"][side], after["sides"][side])
    return table


def _cells(row: dict) -> list:
    return [f"{row[str(t)]:.1%}" for t in THRESHOLDS] + [f"{row['IoU']:.2f}"]


def _levels(fit: Fit) -> PlainTable:
    numbers = "objects", "0.5"
    table = make_table("feature map", "step", "per cell", *numbers, "  proposed", *numbers, "width x height (proposed)")
    table.columns[-1].justify = "left"
    for rows, level in zip(zip(*(found["levels"] for found in fit.tables)), fit.levels[1]):
        (height, width), steps = rows[0]["cells"], sorted(set(rows[0]["steps"]))
        cells = []
        for row in rows:
            cells += [str(row["shapes"]), f"{row['objects']:,}", f"{row['0.5']:.1%}" if row["objects"] else ""]
        shapes = "  ".join(f"{w:.0f}x{h:.0f}" for w, h in level.shapes)
        table.add_row(f"{height}x{width}", "x".join(f"{s:.1f}" for s in steps), *cells, shapes)
    return table


def _too_small(fit: Fit, console: Console) -> None:
    count, objects = fit.too_small(), len(fit.objects.boxes)
    if count >= WORTH_A_NOTE * objects:
        step = max(fit.levels[0][0].steps)
        console.print()
        found = f"{counted(count, 'object')} ({count / objects:.1%}) {'is' if count == 1 else 'are'}"
        what = f"{found} too small for the finest feature map (step {step:.1f} pixels):"
        remedy = "no anchor covers them at every position. Take a model with a finer feature map (_s8) or a larger input."
        print_line(console, f"{what} {remedy}")


def _uncovered(fit: Fit, console: Console) -> None:
    missed = fit.uncovered()
    if missed:
        title = f"objects without an anchor at IoU 0.5: {len(missed):,} now, {fit.missed[1]:,} with the proposed ones"
        print_examples(console, title, "bold", map(_object, missed), len(missed))


def _object(row: dict) -> str:
    box = ", ".join(f"{v:g}" for v in row["box"])
    return f"{row['file']}: {row['class']} ({box}): IoU {row['iou']:.2f}, proposed {row['proposed']:.2f}"
