"""The curves of a training as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ssdzoo.files import replacing
from ssdzoo.report.pictures import PALETTE

DPI = 100


def plot_training(path: str | Path, rows: Sequence[dict]) -> None:
    """Writes loss, mAP and learning rate over the epochs as a .png of 1,050x320 pixels, one panel each.

    Args:
        rows: at least one of metrics.csv, as `TrainingResult.rows` has them; mAP is None where an epoch was not evaluated.
    """
    figure = Figure(figsize=(10.5, 3.2), dpi=DPI, layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    for index, (name, label) in enumerate((("loss", "loss"), ("cls_loss", "of classes"), ("box_loss", "of boxes"))):
        _line(loss, rows, name, label, index)
    loss.legend(frameon=False, fontsize=8)
    loss.set_title("loss", loc="left", fontsize=10)
    loss.set_ylim(bottom=0)
    _line(score, rows, "mAP", "mAP", 1, marker="o")
    scored = [row for row in rows if row["mAP"] is not None]
    best = max(scored, key=lambda row: (row["mAP"], row["epoch"])) if scored else None
    title = f"mAP of the evaluations, best {best['mAP']:.3f} in epoch {best['epoch']}" if best else "mAP: nothing was evaluated"
    score.set_title(title, loc="left", fontsize=10)
    score.set_ylim(-0.03, 1.03)  # so that a dot at either end is whole
    _line(rate, rows, "lr", "learning rate", 2)
    rate.set_title("learning rate", loc="left", fontsize=10)
    rate.set_ylim(bottom=0)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="white")


def _line(axis: Axes, rows: Sequence[dict], name: str, label: str, color: int, marker: str = "") -> None:
    known = [(row["epoch"], row[name]) for row in rows if row[name] is not None]
    # A single epoch is a dot.
    style = marker or ("o" if len(known) == 1 else "")
    shade = tuple(channel / 255 for channel in PALETTE[color])
    axis.plot(*zip(*known) if known else ((), ()), color=shade, label=label, marker=style, markersize=4, linewidth=1.6)
    axis.set_xlabel("epoch", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(color="#ececec", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
