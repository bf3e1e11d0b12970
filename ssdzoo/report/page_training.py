"""The page of a training: its curves, its settings, and what it ran on."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ssdzoo.report.page import NONE, files_table, number, page, table, values_list, write_page
from ssdzoo.report.page_charts import Series, line_chart

_COLUMNS = ("epoch", "lr", "loss", "cls_loss", "box_loss", "images_per_s", "data_wait_s", "mAP")


def write_training_page(path: str | Path, name: str, rows: Sequence[dict], tables: dict[str, dict], files: Sequence[dict] = (),
                        note: tuple[str, bool] | None = None) -> None:  # fmt: skip
    """Writes the page.

    Args:
        path: of the .html.
        name: of the run.
        rows: of metrics.csv.
        tables: {"Data", "Settings", "Versions" and so on: {name: plain value}}.
        files: [{"path", "sha256"}] of the model.
        note: a sentence about the state of the training, and whether it is bad news.
    """
    best = best_row(rows)
    shown = best or (rows[-1] if rows else None)
    speeds = [row["images_per_s"] for row in rows if row["images_per_s"] is not None]
    numbers = [
        ("best mAP on the validation images", number(best["mAP"], 4) if best else NONE),
        ("epoch of the kept weights", str(shown["epoch"]) if shown else NONE),
        ("epochs", str(len(rows))),
        ("last loss", number(rows[-1]["loss"]) if rows else NONE),
        ("images per second, median", f"{sorted(speeds)[len(speeds) // 2]:.1f}" if speeds else NONE),
    ]
    notes = f'<p class="note{" bad" if note[1] else ""}">{escape(note[0])}</p>' if note else ""
    sections = [("curves", "Curves", _curves(rows, best))]
    sections += [(f"part{i}", heading, values_list(values)) for i, (heading, values) in enumerate(tables.items())]
    if files:
        sections.append(("files", "The model", files_table(files)))
    write_page(path, page(f"Training of {name}", [], numbers, sections, notes))


def best_row(rows: Sequence[dict]) -> dict | None:
    """The row of the best mAP, the first of equal ones, or None where nothing was evaluated."""
    scored = [row for row in rows if row["mAP"] is not None and row["mAP"] == row["mAP"]]
    return max(scored, key=lambda row: row["mAP"], default=None)


def _curves(rows: Sequence[dict], best: dict | None) -> str:
    if not rows:
        return "<p>No epoch is complete yet.</p>"

    def series(name: str, column: str) -> Series:
        return Series(name, [(row["epoch"], row[column]) for row in rows])

    losses = [series("loss", "loss"), series("class", "cls_loss"), series("box", "box_loss")]
    last = rows[-1]
    charts: list[tuple[str, str, list[Series], tuple[float, float] | None, float | None]] = [
        ("Loss", f"last {last['loss']:.3f}: class {last['cls_loss']:.3f}, box {last['box_loss']:.3f}", losses, None, None),
        ("Learning rate", f"last {last['lr']:.3g}", [series("lr", "lr")], None, None),
        ("Images per second", f"last {last['images_per_s']:.1f}", [series("images per second", "images_per_s")], None, None),
    ]
    if best:
        mark = (best["epoch"], best["mAP"])
        about = f"best {best['mAP']:.4f} after epoch {best['epoch']}"
        charts.insert(1, ("mAP", about, [series("mAP", "mAP")], mark, 1.0))
    figures = "".join(
        f"<figure>{line_chart(f'{title} by epoch: {about}', lines, mark, top)}"
        f"<figcaption><b>{title}</b> by epoch, {about}</figcaption></figure>\n"
        for title, about, lines, mark, top in charts
    )
    cells = ([NONE if row[c] is None else f"{row[c]:g}" for c in _COLUMNS] for row in rows)
    every = table(_COLUMNS, cells, name="All epochs")
    return f'<div class="grid" style="--cell: 340px">{figures}</div><details><summary>All epochs</summary>{every}</details>'
