"""Plots of an evaluation, drawn by matplotlib without a window and without its global state."""

from math import ceil, sqrt

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ssdzoo.files import replacing
from ssdzoo.report.pictures import PALETTE

INK, FAINT, GRID = "#222222", "#d0d0d0", "#ececec"
POINTS = 300  # of a drawn curve: more than its panel has pixels
DPI = 100


def plot_curves(path, evaluation) -> None:
    """Writes precision over recall as a .png: one panel per class, the other classes faint behind it, and a dot where F1 is
    best, with its score.

    Args:
        evaluation: an Evaluation.
    """
    names = evaluation.names
    curves = [_thinned(*evaluation.curves.curve(name)[:2]) for name in names]
    columns = max(1, min(ceil(sqrt(len(names) * 1.3)), 10))
    rows = max(1, ceil(len(names) / columns))
    side = 5.2 if len(names) == 1 else 2.9 if len(names) <= 9 else 2.2
    figure = Figure(figsize=(max(columns * side, 4.5), rows * side * 0.92 + 0.7), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for i, (axis, name) in enumerate(zip(axes.flat, names)):
        _panel(axis, evaluation, name, curves, i, small=side < 2.5)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for column in range(columns):
        lowest = max((row for row in range(rows) if row * columns + column < len(names)), default=0)
        axes[lowest, column].tick_params(labelbottom=True)
    summary = evaluation.summary
    what = "mAP" if summary["metric"] == "coco" else f"{summary['metric']} mAP"
    figure.suptitle(f"{what} {_number(summary['mAP'])}   curves at IoU {summary['iou']:g}", fontsize=11, color=INK)
    figure.supxlabel("recall", fontsize=10, color=INK)
    figure.supylabel("precision", fontsize=10, color=INK)
    _save(figure, path)


def _panel(axis, evaluation, name: str, curves: list, index: int, small: bool) -> None:
    size = 8 if small else 10
    axis.set(xlim=(0, 1.02), ylim=(0, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axis.tick_params(labelsize=size - 1, color=FAINT, labelcolor=INK)
    axis.grid(color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    others = [curve for i, curve in enumerate(curves) if i != index and len(curve)]
    axis.add_collection(LineCollection(others, colors=FAINT, linewidths=0.6))
    color = np.array(PALETTE[index % len(PALETTE)]) / 255
    if len(curves[index]):
        axis.plot(*curves[index].T, color=color, linewidth=1.8, solid_capstyle="round")
    best = evaluation.summary["best_threshold"][name]
    if best:
        _best_point(axis, best, color, size)
    shown = name if len(name) <= 18 else name[:17] + "…"
    value = evaluation.summary["AP"][name]
    axis.set_title(f"{shown}  {_number(value)}", fontsize=size, color=INK if value is not None else "#888888", loc="left", pad=3)


def _best_point(axis, best: dict, color, size: int) -> None:
    x, y = best["recall"], best["precision"]
    axis.plot([x], [y], "o", color=color, markersize=5, markeredgecolor="white", clip_on=False, zorder=3)
    # Below and left of the dot, where the area under the curve is empty, unless the axes end there.
    left, below = x > 0.4, y > 0.2
    axis.annotate(
        f"score {best['score']:.2f}", (x, y), (-5 if left else 5, -5 if below else 5), textcoords="offset points",
        ha="right" if left else "left", va="top" if below else "bottom", fontsize=size - 1, color=INK, zorder=4,
        bbox=dict(facecolor="white", edgecolor="none", alpha=0.75, pad=0.8),
    )  # fmt: skip


def _thinned(recall, precision) -> np.ndarray:
    """(K, 2) float64 points of a curve, few enough to draw; (0, 2) for a class without objects."""
    if not len(recall) or np.isnan(recall[0]):
        return np.zeros((0, 2))
    if len(recall) > POINTS:
        # The last point at each of evenly spaced recalls, and the first ones, where precision moves most.
        wanted = np.searchsorted(recall, np.linspace(0, recall[-1], POINTS), side="right") - 1
        keep = np.unique(np.concatenate([np.arange(10), np.clip(wanted, 0, None), [len(recall) - 1]]))
        recall, precision = recall[keep], precision[keep]
    return np.stack([recall, precision], axis=1)


def plot_confusion(path, evaluation) -> None:
    """Writes the confusion matrix as a .png: the shade of a cell is its share of its row, the number its count."""
    summary = evaluation.summary["confusion"]
    matrix, names = np.array(summary["matrix"]), summary["names"]
    count = len(names)
    cell = 0.62 if count <= 12 else 0.42 if count <= 30 else 0.26
    size = 10 if count <= 12 else 8 if count <= 30 else 6.5
    shown = [name if len(name) <= 18 else name[:17] + "…" for name in names]
    margin = 0.35 + max(len(name) for name in shown) * size * 0.0092
    side = count * cell
    width, height = max(side + margin + 0.4, 4.2), side + margin + 1.1
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    axis = figure.add_axes(((margin + 0.25) / width, 0.5 / height, side / width, side / height))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=1.15)
    for row, column in zip(*np.nonzero(matrix)):
        color = "white" if share[row, column] > 0.55 else INK
        digits = size - 1.5 * max(0, len(str(matrix[row, column])) - 3)
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=max(digits, 3.5), color=color)
    axis.set_xticks(range(count), shown, rotation=90, fontsize=size, color=INK)
    axis.set_yticks(range(count), shown, fontsize=size, color=INK)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.2)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    axis.add_patch(
        matplotlib.patches.Rectangle((count - 1.5, count - 1.5), 1, 1, facecolor="white", edgecolor=FAINT, hatch="////", linewidth=0)
    )
    axis.set_ylabel("what it is", fontsize=max(size, 9), color=INK)
    axis.set_xlabel("what it was taken for", fontsize=max(size, 9), color=INK)
    axis.xaxis.set_label_position("bottom")
    figure.suptitle(f"score ≥ {summary['score']:g}, IoU ≥ {summary['iou']:g}", fontsize=10, color=INK, y=1 - 0.12 / height, va="top")
    _save(figure, path)


def _number(value) -> str:
    return "no objects" if value is None else f"{value:.3f}"


def _save(figure, path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="white")
